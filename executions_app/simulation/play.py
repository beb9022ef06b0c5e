"""Play one scenario with the real engine, and say what of its record is wrong."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from executions_app.engine.attempt import Attempt
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import EngineInterrupted, ErrorInfo, OwnershipLost, names_of
from executions_app.engine.run import RunResult, execute
from executions_app.engine.states import Reason
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
    ended_at: float = 0.0
    violations: list[str] = field(default_factory=list)


def play(scenario: Scenario, *, hurt: TaskFactory | None = None) -> Played:
    """Run it to its end, and beyond: until the last code that was let go has ended too.

    `hurt` makes the engine's own tasks, and may let them raise what they never should.
    """
    played = Played(scenario=scenario, may_give_up=hurt is not None)
    loop = VirtualTimeLoop()
    try:
        run(_play(played, loop, hurt), loop=loop)
    except Stuck as stuck:
        played.violations.append(str(stuck))
    except IllegalEvent as illegal:
        played.violations.append(f"illegal event: {illegal}")
    else:
        played.violations += violations_of(played)
    return played


async def _play(played: Played, loop: VirtualTimeLoop, hurt: TaskFactory | None) -> None:
    scenario = played.scenario
    record = played.record = SimulatedRecord(scenario)
    loop.before_waiting = record.must_not_idle
    actor, token = Actor(scenario, record), CancelToken()
    _strike(played, record, token, loop)
    ports = ports_for(loop, seed=scenario.seed)
    context = ExecutionContext(scenario.plan, scenario.input, execution_id="execution-1", started_at=ports.clock.now())
    limit = scenario.plan.settings.timeout_seconds
    if limit is not None:
        # Set before the engine sets its own timer for the same moment: from then on nothing has to start.
        _ = loop.call_at(float(limit), _begin_to_end, record)
    loop.set_task_factory(hurt)
    try:
        processors = {**PROCESSORS, NodeType.TOOL: actor}
        walk = execute(context, processors=processors, sink=record, ports=ports, cancel=token)
        played.result = await loop.create_task(walk, name="run")
    except OwnershipLost as error:
        played.raised = error
    except IllegalEvent:
        raise
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as the runner: it must still end
        played.raised = error if isinstance(error, Exception) else EngineInterrupted()
        kind = type(error)
        _ = record.fail(
            ErrorInfo(
                code="engine_error", message=str(error), type=kind.__name__, node=None, bases=tuple(names_of(kind))
            )
        )
    finally:
        loop.set_task_factory(None)
    played.ended_at = loop.time()
    await _outlive(played, actor)


def _begin_to_end(record: SimulatedRecord) -> None:
    record.ending = True


def _strike(played: Played, record: SimulatedRecord, token: CancelToken, loop: VirtualTimeLoop) -> None:
    at = played.scenario.strike_at

    def hear() -> None:
        if played.heard_at is None and not token.requested:
            played.heard_at = loop.time()
        record.tell_to_end()
        token.request(Reason.USER)

    def cancel(heard_after: float) -> None:
        record.request_cancel()
        _ = loop.call_later(heard_after, hear)

    match played.scenario.strike:
        case Strike.CANCEL:
            _ = loop.call_at(at, cancel, 0)
        case Strike.MARK:
            _ = loop.call_at(at, cancel, POLL_SECONDS)
        case Strike.TAKE_OVER:
            _ = loop.call_at(at, record.take_over)
        case _:
            pass


async def _outlive(played: Played, actor: Actor) -> None:
    """Wait for what was let go: whatever it returns, the record must stay as it is."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    played.left = sorted(task.get_name() for task in others)
    played.violations += [
        f"{task.get_name()} was left behind, and nobody let it go" for task in others - Attempt.abandoned
    ]
    assert played.record is not None
    before = len(played.record.entries), played.record.status
    if others:
        _ = await asyncio.wait(others)
    played.late_results = actor.late
    played.violations += actor.violations
    if (len(played.record.entries), played.record.status) != before:
        played.violations.append("the record changed after its end")
