"""Play one scenario with the real engine, and say what of its record is wrong."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from executions_app.engine.attempt import Attempt
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import EngineInterrupted, ErrorInfo, HandedBack, OwnershipLost, names_of
from executions_app.engine.run import RunResult, execute
from executions_app.engine.states import TERMINAL_EXECUTION, Reason
from executions_app.engine.testing import IllegalEvent, ports_for
from executions_app.simulation.actors import Actor
from executions_app.simulation.invariants import violations_of
from executions_app.simulation.record import SimulatedRecord
from executions_app.simulation.scenario import Scenario, Strike
from executions_app.simulation.virtual_time import Stuck, VirtualTimeLoop, run
from workflows_app.dag.types import NodeType
from workflows_app.processors.registry import PROCESSORS

type TaskFactory = Callable[..., asyncio.Task[Any]]

# A mark in the record is heard within this time.
POLL_SECONDS = 1.0
# How long a run whose engine was killed is without one.
DOWN_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class Played:
    """A scenario that was played. `heard_at` is when the engine heard of a cancel, in seconds, None for never."""

    scenario: Scenario
    record: SimulatedRecord | None = None
    result: RunResult | None = None
    heard_at: float | None = None
    # Its tasks were hurt on purpose: it may give up.
    may_give_up: bool = False
    # What kept the engine from going on, by itself or by a strike.
    raised: Exception | None = None
    # Code that was let go and had not ended when the run did.
    left: Sequence[str] = ()
    late_results: int = 0
    # How many engines died under it.
    kills: int = 0
    ended_at: float = 0.0
    violations: list[str] = field(default_factory=list)


def play(scenario: Scenario, *, hurt: TaskFactory | None = None) -> Played:
    """Run it to its end, and beyond: until the last code that was let go has ended too.

    `hurt` makes the engine's own tasks, and may let them raise what they never should.
    """
    played = Played(scenario=scenario, may_give_up=hurt is not None)
    loop = VirtualTimeLoop()
    try:
        run(_begin(played, loop, hurt), loop=loop)
    except Stuck as stuck:
        played.violations.append(str(stuck))
    except IllegalEvent as illegal:
        played.violations.append(f"illegal event: {illegal}")
    else:
        played.violations += violations_of(played)
    return played


async def _begin(played: Played, loop: VirtualTimeLoop, hurt: TaskFactory | None) -> None:
    await _Stage(played, loop).play(hurt)


def _was_handed_back(engine: asyncio.Task[RunResult]) -> bool:
    return not engine.cancelled() and isinstance(engine.exception(), HandedBack)


class _Stage:
    """One run, from its first engine to its last."""

    def __init__(self, played: Played, loop: VirtualTimeLoop) -> None:
        self._played = played
        self._scenario = played.scenario
        self._loop = loop
        self._record = SimulatedRecord(played.scenario)
        self._token = CancelToken()
        # One for each engine.
        self._actors: list[Actor] = []
        self._ports = ports_for(loop, seed=played.scenario.seed)
        self._began = self._ports.clock.now()

    async def play(self, hurt: TaskFactory | None) -> None:
        played, limit = self._played, self._scenario.plan.settings.timeout_seconds
        self._loop.before_waiting = self._before_waiting
        if limit is not None:
            # Set before the engine sets its own timer for the same moment: from then on nothing has to start.
            _ = self._loop.call_at(float(limit), self._let_end)
        self._strike()
        for seconds, dies in self._scenario.kills:
            engine = self._engine(hurt)
            _ = await asyncio.wait({engine}, timeout=seconds)
            if not dies:
                # From here on it starts nothing more, whatever could run.
                self._record.attended = False
                self._token.hand_back()
                _ = await asyncio.wait({engine})
            if self._record.status in TERMINAL_EXECUTION or (engine.done() and not _was_handed_back(engine)):
                break
            await self._kill(engine)
        else:
            engine = self._engine(hurt)
        await self._hear_end(engine)
        played.record, played.ended_at = self._record, self._loop.time()
        await self._outlive()

    def _engine(self, hurt: TaskFactory | None) -> asyncio.Task[RunResult]:
        """Start an engine on what the record says."""
        self._record.attended = True
        self._actors.append(Actor(self._scenario, self._record))
        self._token = CancelToken()
        if self._record.cancel_requested:
            self._hear()
        context = ExecutionContext(
            self._scenario.plan, self._scenario.input, execution_id="execution-1", started_at=self._began
        )
        walk = execute(
            context,
            processors={**PROCESSORS, NodeType.TOOL: self._actors[-1]},
            sink=self._record,
            ports=self._ports,
            cancel=self._token,
            progress=self._record.progress(),
        )
        self._loop.set_task_factory(hurt)
        return self._loop.create_task(walk, name="run")

    async def _kill(self, engine: asyncio.Task[RunResult]) -> None:
        """What it has not committed is lost; after a while another engine is there."""
        self._loop.set_task_factory(None)
        self._record = self._record.take_over()
        self._actors[-1].is_dead = True
        self._played.kills += 1
        _ = engine.cancel()
        # Its code may see the end, which after a real kill it would not: the record must not care.
        _ = await asyncio.wait({engine})
        if not engine.cancelled():
            # Taking note of it is all that is asked for.
            _ = engine.exception()
        await asyncio.sleep(DOWN_SECONDS)

    async def _hear_end(self, engine: asyncio.Task[RunResult]) -> None:
        played = self._played
        try:
            played.result = await engine
        except OwnershipLost as error:
            played.raised = error
        except IllegalEvent:
            raise
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as the runner: it must still end
            played.raised = error if isinstance(error, Exception) else EngineInterrupted()
            kind, names = type(error).__name__, tuple(names_of(type(error)))
            _ = self._record.fail(ErrorInfo(code="engine_error", message=str(error), type=kind, node=None, bases=names))
        finally:
            self._loop.set_task_factory(None)

    def _before_waiting(self) -> None:
        # An engine that is told to end, or gives up, starts nothing more.
        if not self._token.requested:
            self._record.must_not_idle()

    def _let_end(self) -> None:
        self._record.ending = True

    def _strike(self) -> None:
        loop, at = self._loop, self._scenario.strike_at
        match self._scenario.strike:
            case Strike.CANCEL:
                _ = loop.call_at(at, self._cancel, 0)
            case Strike.MARK:
                _ = loop.call_at(at, self._cancel, POLL_SECONDS)
            case Strike.TAKE_OVER:
                _ = loop.call_at(at, self._take_over)
            case _:
                pass

    def _take_over(self) -> None:
        # What has ended cannot be claimed.
        if self._record.status not in TERMINAL_EXECUTION:
            _ = self._record.take_over()

    def _cancel(self, heard_after: float) -> None:
        self._record.request_cancel()
        _ = self._loop.call_later(heard_after, self._hear)

    def _hear(self) -> None:
        if self._played.heard_at is None and not self._token.requested:
            self._played.heard_at = self._loop.time()
        self._record.tell_to_end()
        self._token.request(Reason.USER)

    async def _outlive(self) -> None:
        """Wait for what was let go: whatever it returns, the record must stay as it is."""
        played = self._played
        others = asyncio.all_tasks() - {asyncio.current_task()}
        played.left = sorted(task.get_name() for task in others)
        played.violations += [
            f"{task.get_name()} was left behind, and nobody let it go" for task in others - Attempt.abandoned
        ]
        before = len(self._record.entries), self._record.status
        if others:
            _ = await asyncio.wait(others)
        for actor in self._actors:
            played.late_results += actor.late
            played.violations += actor.violations
        if (len(self._record.entries), self._record.status) != before:
            played.violations.append("the record changed after its end")
