"""What the engine asks of the world: a sink for events, a clock, ids and chance."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from executions_app.engine.elsewhere import Remote
from executions_app.engine.events import Event
from workflows_app.agents.calls import UNBOUNDED, Caps

# How long a posted event may wait for the next commit, in seconds.
POST_SECONDS = 0.01


class Sink(Protocol):
    """Makes the events of one execution durable, in the order in which they are given."""

    def post(self, event: Event) -> None:
        """Take an event along with the next commit, `POST_SECONDS` later at the latest. Never waits, never raises."""
        ...

    async def commit(self, events: Sequence[Event]) -> None:
        """Return once these events, and all that were posted before, are durable.

        Raises `OwnershipLost` when the execution belongs to somebody else, `RecorderFailed` when the events
        could not be written. After either nothing more of this execution is accepted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Wall time that moves with the event loop: `now()` is `epoch` plus the loop's time since `origin`.

    Under a loop with virtual time the records are in virtual time too.
    """

    epoch: datetime
    origin: float
    time: Callable[[], float]

    def now(self) -> datetime:
        return self.epoch + timedelta(seconds=self.time() - self.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far the engine goes for one execution.

    `grace` is how many seconds a cancelled processor has before it is let go; `output_bytes` bounds one
    node's output, `execution_bytes` all outputs of an execution together, `agent_budget` what all its agents may take.
    """

    grace: float = 10.0
    output_bytes: int = 16 * 1024 * 1024
    execution_bytes: int = 256 * 1024 * 1024
    agent_budget: Caps = UNBOUNDED


class Turn(NamedTuple):
    """A turn at a tool that has a rate. `rule` is what holds for it, to stand in a sentence; `wait()` waits for it."""

    rule: str
    wait: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """`random()` is uniform in [0, 1); `new_id()` gives a fresh unique id for every attempt.

    `secrets(names)` gives the values of secrets of the execution's owner, and raises a `NodeError` for one that there
    is not; None: there are none at all. `remote` are the processes that run nodes with `runs_on`; None: they run here.
    """

    clock: Clock
    random: Callable[[], float]
    new_id: Callable[[], str]
    limits: Limits = field(default_factory=Limits)
    secrets: Callable[[Sequence[str]], Awaitable[Mapping[str, str]]] | None = None
    pace: Callable[[Sequence[str]], Sequence[Turn]] | None = None
    remote: Remote | None = None


def start_of_time() -> datetime:
    """A fixed wall time for simulations."""
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
