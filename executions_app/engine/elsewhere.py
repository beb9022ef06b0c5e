"""Attempts that another process runs: what it is asked, and what it says of it.

The engine decides of such an attempt as of any other: its start is on record before anybody else hears of it, its time
limit and its cancellation are the engine's, and so is whether what comes back counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, Self

import msgspec

from executions_app.engine.attempt import Failed, Lost, Succeeded
from executions_app.engine.errors import ErrorInfo
from executions_app.engine.events import AttemptMeasures, Logged
from executions_app.engine.states import Reason
from workflows_app.tools.context import InterruptionReport

# What `NodePlan.runs_on` begins with.
_OF_A_QUEUE = "queue:"


def queue_of(runs_on: str | None) -> str:
    """The queue that a node names; empty for one that runs where its execution does."""
    return (runs_on or "").removeprefix(_OF_A_QUEUE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """One attempt of one node, for a process that serves a queue. `node` is its position in the plan.

    It is over after so many `seconds`. `tell` takes what its code writes to the journal, in order; `interrupted` is
    that of its `ToolContext`.
    """

    node: int
    queue: str
    attempt_id: str
    number: int
    retry_count: int
    first_at: datetime
    seconds: float
    tell: Callable[[Logged], None]
    interrupted: InterruptionReport


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A journal line on its way to the engine."""

    at: datetime
    level: str
    message: str
    data: dict[str, Any] | None = None

    @classmethod
    def of(cls, logged: Logged) -> Self:
        return cls(at=logged.at, level=logged.level, message=logged.message, data=logged.data)

    def of_node(self, node: int) -> Logged:
        return Logged(node=node, at=self.at, level=self.level, message=self.message, data=self.data)


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of an attempt, from the process that ran it; or that this process is gone, in a sentence.

    `output` is JSON text. What is in it, in the error and in the journal has no secrets any more.
    """

    ending: Literal["succeeded", "failed", "lost"]
    output: str = ""
    found_done: bool = False
    error: ErrorInfo | None = None
    reason: Reason = Reason.NODE_ERROR
    let_go: str = ""
    why: str = ""
    # Whether the process that is gone may have died of this attempt.
    died: bool = False
    measures: AttemptMeasures | None = None

    @property
    def outcome(self) -> Succeeded | Failed | Lost:
        match self.ending:
            case "succeeded":
                return Succeeded(self.output, self.found_done)
            case "failed":
                assert self.error is not None
                return Failed(self.error, self.reason, self.let_go)
            case _:
                return Lost(why=self.why, died=self.died)


class Remote(Protocol):
    """The other processes."""

    def serves(self, queue: str) -> bool:
        """Whether this process itself runs what is for a queue."""
        ...

    async def run(self, errand: Errand) -> Report:
        """Have an attempt run, and wait for what comes of it, however long there is nobody to run it.

        Cancelled, it tells the other process to stop and waits until that has done so. Nothing is accepted after that.
        """
        ...

    async def stopped(self, attempt_id: str) -> None:
        """Wait until no process is at work any more on an attempt of an engine before this one, as far as is known."""
        ...
