"""The one way to run an accepted execution: claim, walk the snapshot, record, tell that it ended."""

import asyncio
import random
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import uuid_utils

from executions_app import measures
from executions_app.conf import ExecutionSettings, execution_settings
from executions_app.dispatch.announce import announce
from executions_app.dispatch.chosen import pass_on
from executions_app.dispatch.elsewhere import Elsewhere
from executions_app.dispatch.identity import engine_name
from executions_app.dispatch.pacing import pacer
from executions_app.dispatch.running import Listed, listed
from executions_app.dispatch.secrets import secrets_of
from executions_app.dispatch.tracing import TracedSink, trace_of, traced
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.elsewhere import Remote
from executions_app.engine.errors import HandedBack, OwnershipLost
from executions_app.engine.ports import Clock, Limits, Ports, Turn
from executions_app.engine.run import execute
from executions_app.engine.states import TERMINAL_NODE, ExecutionStatus, Reason
from executions_app.live.events import Observer
from executions_app.live.publisher import publisher
from executions_app.models import ownership, querysets, rate
from executions_app.models.ownership import Abandoned, Claim
from executions_app.models.rate import Grant
from executions_app.models.turns import Asked
from executions_app.recorder.sink import RecordingSink
from executions_app.recorder.thread import in_recorder
from executions_app.recorder.writer import Run
from workflows_app.dag.plan import Plan
from workflows_app.processors.registry import PROCESSORS
from workflows_app.services.compile import plan_by_id
from workflows_app.tools import shell, threads
from workflows_app.tools.http import limits as http
from workflows_app.tools.process_limits import processes
from workflows_app.tools.rates import Rate

# So many engines may die of a run in a row, before it is taken for the cause.
MAX_RECOVERIES = 3

type Taken = tuple[Claim, Plan] | None


async def run(
    execution_id: uuid.UUID,
    *,
    observe: Observer | None = None,
    cancel: CancelToken | None = None,
) -> bool:
    """Run a pending execution to its end in this event loop. False where it did not end here.

    Cancelling the awaiting task cancels the execution, waits for its end, then raises `CancelledError`.
    Raises what the database raised where not even the failure could be recorded.
    """
    return await _guarded(_Turn(lambda: _claim(execution_id), cancel or CancelToken(), observe), str(execution_id))


async def resume(seen: Abandoned) -> bool:
    """Go on with a run whose engine is gone, to its end. False where it did not end here."""
    return await _guarded(_Turn(lambda: _reclaim(seen), CancelToken(), None), str(seen.execution_id))


async def claim_waiting(
    limit: int, queues: Sequence[str] = (), patience: float = 0.0
) -> Sequence[Coroutine[Any, Any, bool]]:
    """Take pending executions in their order; each is to be run by awaiting it, as `run` does.

    Of these queues, or of all; once one of them has been due for so many seconds.
    """
    claimed_at = time.monotonic()
    asked = Asked(limit=limit, queues=queues, patience=patience)
    claims = await in_recorder(
        lambda: ownership.claim_waiting(asked, engine_name(), execution_settings().lease_seconds)
    )
    return [_go(claim, claimed_at) for claim in claims]


async def _go(claim: Claim, claimed_at: float) -> bool:
    turn = _Turn(lambda: (claim, plan_by_id(claim.version_id)), CancelToken(), None, claimed_at)
    return await _guarded(turn, str(claim.execution_id))


@dataclass(frozen=True, slots=True)
class _Turn:
    """One engine's turn at a run."""

    # Called in the recorder's thread.
    take: Callable[[], Taken]
    cancel: CancelToken
    observe: Observer | None
    # By the monotonic clock, before the statement was sent.
    claimed_at: float = field(default_factory=time.monotonic)


async def _guarded(turn: _Turn, name: str) -> bool:
    # A task of its own: not even the claim may be torn from what follows it.
    work = asyncio.create_task(_work(turn), name=f"execution {name}")
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        turn.cancel.request(Reason.USER)
        _ = await work
        raise


async def _work(turn: _Turn) -> bool:
    taken = await in_recorder(turn.take)
    if taken is None:
        return False
    claim, plan = taken
    publisher.changed(claim.execution_id)
    if claim.cancel_requested:
        turn.cancel.request(Reason.USER)
    ended = await _walk(claim, plan, turn)
    if ended:
        await in_recorder(lambda: _tell(claim.execution_id, plan))
    return ended


def _tell(execution_id: uuid.UUID, plan: Plan) -> None:
    """Who wants to know that it ended."""
    pass_on(execution_id, plan.settings)
    announce(execution_id)


def _claim(execution_id: uuid.UUID) -> Taken:
    claim = ownership.claim(execution_id, engine_name(), execution_settings().lease_seconds)
    return None if claim is None else (claim, plan_by_id(claim.version_id))


def _reclaim(seen: Abandoned) -> Taken:
    plan = plan_by_id(seen.version_id)
    claim = ownership.reclaim(seen, engine_name(), execution_settings().lease_seconds, plan)
    return None if claim is None else (claim, plan)


async def _walk(claim: Claim, plan: Plan, turn: _Turn) -> bool:
    """Walk the plan. True where the execution's end is on record and came from here."""
    execution_id = claim.execution_id
    if claim.recoveries > MAX_RECOVERIES:
        looping = _crash_loop(claim, plan)
        return await in_recorder(lambda: _fail(claim, looping, Reason.CRASH_LOOP))
    context = ExecutionContext(
        plan,
        claim.input,
        execution_id=str(execution_id),
        trigger_type=claim.trigger_type,
        started_at=claim.started_at,
    )
    chosen, loop = execution_settings(), asyncio.get_running_loop()
    configure_tools(chosen)
    record = Run(execution_id=execution_id, fence=claim.fence, plan=plan, seq=claim.last_seq)
    sink = RecordingSink(record, observe=turn.observe)
    trace = trace_of(claim, plan)
    safe_until = turn.claimed_at + chosen.lease_seconds
    with listed(Listed(claim=claim, token=turn.cancel, sink=sink, loop=loop, safe_until=safe_until)):
        try:
            _ = await execute(
                context,
                processors=PROCESSORS if trace is None else traced(PROCESSORS, trace),
                sink=sink if trace is None else TracedSink(sink, trace),
                ports=ports_of(execution_id, chosen.limits, Elsewhere(claim, plan)),
                cancel=turn.cancel,
                scheduling=claim.scheduling,
                progress=claim.progress,
            )
        except HandedBack:
            await in_recorder(lambda: ownership.release(execution_id, claim.fence, engine_name()))
            return False
        except OwnershipLost:
            # Another owner writes the record now.
            return False
        except BaseException as error:
            problem = _problem(error)
            ending = asyncio.ensure_future(in_recorder(lambda: _fail(claim, problem, Reason.CRASHED)))
            ended = await asyncio.shield(ending)
            if not isinstance(error, Exception):
                raise
            return ended
        finally:
            if trace is not None:
                trace.end()
    return True


def _fail(claim: Claim, problem: dict[str, object], reason: Reason) -> bool:
    failed = querysets.fail_run(claim.execution_id, claim.fence, problem, reason)
    if failed:
        publisher.changed(claim.execution_id)
        measures.executions_ended.add(ExecutionStatus.FAILED)
    return failed


def _crash_loop(claim: Claim, plan: Plan) -> dict[str, object]:
    at_work = [plan.nodes[one.node].key for one in claim.progress.nodes if one.status not in TERMINAL_NODE]
    suspects = f" Nodes that were at work: {', '.join(at_work)}." if at_work else ""
    return {
        "code": "crash_loop",
        "message": f"{claim.recoveries} engines in a row died of this execution before a node was settled.{suspects}",
        "type": "CrashLoop",
        "node": None,
    }


def configure_tools(chosen: ExecutionSettings) -> None:
    """The settings may have been changed since the last run."""
    threads.pool.limit = chosen.tool_threads
    processes.limits, processes.setup = chosen.processes.limits, chosen.processes.setup
    shell.programs.allowed = chosen.shell_programs
    http.configured.limits = chosen.http


def _problem(error: BaseException) -> dict[str, object]:
    """The engine's or the recorder's own failure, as the execution's error."""
    if isinstance(error, BaseExceptionGroup):
        # A task group wraps what was raised among its tasks.
        return _problem(error.exceptions[0])
    last = "".join(traceback.format_exception(error)[-1:]).strip()
    return {
        "code": "engine_error",
        "message": f"The engine could not go on with this execution: {last}",
        "type": type(error).__name__,
        "node": None,
    }


def ports_of(execution_id: uuid.UUID, limits: Limits, remote: Remote | None = None) -> Ports:
    """What the nodes of a run may ask for, in the running event loop."""
    loop = asyncio.get_running_loop()
    return Ports(
        clock=Clock(epoch=querysets.now(), origin=loop.time(), time=loop.time),
        random=random.random,
        new_id=lambda: str(uuid_utils.uuid7()),
        limits=limits,
        secrets=lambda names: in_recorder(lambda: secrets_of(execution_id, names)),
        pace=turns,
        remote=remote,
    )


def turns(tools: Sequence[str]) -> Sequence[Turn]:
    """What is to be waited for in this event loop before what has these names is called: see the engine's `pace`."""
    return pacer(_take).turns(tools)


async def _take(tool: str, limit: Rate, wanted: int) -> Grant:
    return await in_recorder(lambda: rate.take(tool, limit, wanted))
