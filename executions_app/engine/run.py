"""One run: walk the plan, call processors within the limits, commit what happened, end with a value.

The order of things is the promise. A node's outcome, with every skip that follows from it, is committed before
its slot is free and before a successor starts (durable before visible). A node that waits, for a slot or for its
next attempt, is no task. What a processor does is a value by the time it arrives here: nothing raises into the
TaskGroup.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from executions_app.engine.attempt import Cancelled, Outcome
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import EngineInterrupted, ErrorInfo, HandedBack
from executions_app.engine.events import AttemptMeasures
from executions_app.engine.frontier import Frontier, order_of
from executions_app.engine.lifecycle import Lifecycle
from executions_app.engine.ports import Ports, Sink
from executions_app.engine.progress import NOTHING_YET, Progress
from executions_app.engine.settling import Settlement, Settler
from executions_app.engine.states import TERMINAL_NODE, ExecutionStatus, NodeStatus, Reason
from executions_app.engine.turns import Turns
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Effect, NodeType, Scheduling
from workflows_app.processors.base import Processor
from workflows_app.tools.reconciling import Done, NotDone, Unknown, Verdict

_NEVER_BEGAN: tuple[Outcome, AttemptMeasures | None] = (Cancelled(), None)


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, as the engine saw it; the record may say cancelled where a cancel came first."""

    status: ExecutionStatus
    reason: Reason | None
    # JSON text; empty for none.
    output: str
    error: ErrorInfo | None
    context: ExecutionContext
    statuses: Sequence[NodeStatus]


async def execute(
    context: ExecutionContext,
    *,
    processors: Mapping[NodeType, Processor],
    sink: Sink,
    ports: Ports,
    cancel: CancelToken,
    scheduling: Scheduling | None = None,
    progress: Progress = NOTHING_YET,
) -> RunResult:
    """Run the context's plan to its end; `scheduling` overrides the plan's, `progress` is where it goes on.

    Raises `OwnershipLost` or `RecorderFailed` where the sink did, `EngineInterrupted` where one of the run's tasks
    was cancelled by somebody else, `HandedBack` where the token asked for it; nothing more is written then, and no code
    of a node goes on unattended. Whatever nodes do is part of the result. To end a run early, use `cancel`, not the
    task's cancellation.
    """
    return await _Run(context, processors, sink, ports, cancel, scheduling).to_its_end(progress)


class _Run:
    def __init__(
        self,
        context: ExecutionContext,
        processors: Mapping[NodeType, Processor],
        sink: Sink,
        ports: Ports,
        cancel: CancelToken,
        scheduling: Scheduling | None,
    ) -> None:
        self._context = context
        self._plan: Plan = context.plan
        self._sink = sink
        self._ports = ports
        self._cancel = cancel
        self._frontier = Frontier(self._plan)
        context.follow(self._frontier.edge_states)
        self._settler = Settler(context, self._frontier, ports, cancel)
        self._lifecycle = Lifecycle(context, processors, sink, ports, cancel)
        self._turns = Turns(self._plan, sink, ports)
        self._order = order_of(scheduling or self._plan.settings.scheduling, self._plan)
        self._free_slots: int = self._plan.settings.max_parallel_nodes
        self._queue: deque[int] = deque()
        # Attempts with all that comes before and after them.
        self._drives: set[asyncio.Task[None]] = set()
        # Nodes that wait for their next attempt.
        self._retries: dict[int, asyncio.TimerHandle] = {}
        # Nodes whose end is not committed yet.
        self._open_nodes: int = len(self._plan.nodes)
        self._broken: BaseException | None = None
        self._finished = asyncio.Event()
        # Those that wait for a request to end or to hand back.
        self._watchers: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()
        self._loop = asyncio.get_running_loop()

    async def to_its_end(self, progress: Progress) -> RunResult:
        self._settler.restore(progress)
        self._lifecycle.restore(progress)
        ended = [one.node for one in progress.nodes if one.status in TERMINAL_NODE]
        self._queue.extend(self._order.close(ended))
        self._open_nodes -= len(ended)
        async with self._group:
            self._watchers.append(self._spawn(self._watch_cancel(), "watch cancel"))
            timer = self._time_limit()
            self._cancel.when_handed_back(self._begin_to_hand_back)
            try:
                self._resume(progress)
                _ = await self._finished.wait()
            except BaseException:
                self._break(EngineInterrupted())
                raise
            finally:
                # There is nothing left to hand back.
                self._cancel.when_handed_back(lambda: None)
                for handle in (timer, *self._watchers, *self._retries.values()):
                    if handle is not None:
                        _ = handle.cancel()
        if self._broken is not None:
            raise self._broken
        end = self._settler.end()
        await self._sink.commit([end])
        return RunResult(
            status=end.status,
            reason=end.reason,
            output=end.output,
            error=end.error,
            context=self._context,
            statuses=self._frontier.statuses,
        )

    def _time_limit(self) -> asyncio.TimerHandle | None:
        """Of the whole execution, from its first start on."""
        limit, began = self._plan.settings.timeout_seconds, self._context.started_at
        if limit is None:
            return None
        passed = 0.0 if began is None else (self._ports.clock.now() - began).total_seconds()
        return self._loop.call_later(max(0.0, float(limit) - passed), self._cancel.request, Reason.TIMEOUT)

    def _resume(self, progress: Progress) -> None:
        """Start what may start now: at the very start the entry nodes, else what the record leaves open."""
        crashed = {one.node: one.attempt_id for one in progress.nodes if one.is_crashed}
        due = {one.node: one.due_at for one in progress.nodes if one.due_at is not None}
        now = self._ports.clock.now()
        ready: list[int] = []
        for node in self._frontier.begin().ready:
            at = due.get(node)
            if node in crashed:
                self._frontier.start(node)
                self._free_slots -= 1
                _ = self._spawn(self._settle_crashed(node, crashed[node]), self._plan.nodes[node].key)
            elif at is not None and at > now:
                # It was admitted before it was first tried.
                self._retries[node] = self._loop.call_later((at - now).total_seconds(), self._requeue, node)
            else:
                ready.append(node)
        if not self._open_nodes:
            self._finished.set()
        self._admit(ready)

    async def _settle_crashed(self, node: int, attempt_id: str) -> None:
        try:
            verdict: Verdict = Unknown()
            if self._plan.nodes[node].effect is Effect.CHECKABLE:
                interrupted = self._settler.interrupted_attempt(node, attempt_id)
                verdict = await self._lifecycle.ask_about_crashed(node, interrupted)
            match verdict:
                case NotDone() if self._settler.starts_nothing_more:
                    settlement = self._settler.settle(node, Cancelled())
                    await self._commit(settlement)
                case NotDone():
                    self._frontier.suspend(node)
                    self._queue.append(node)
                    settlement = Settlement()
                case Done(output):
                    settlement = self._settler.find_done(node, cast(str, output))
                    await self._commit(settlement)
                case Unknown(why):
                    settlement = self._settler.crash(node, why)
                    await self._commit(settlement)
        except Exception as error:  # noqa: BLE001 - as in _drive
            self._break(error)
            return
        self._free_slots += 1
        self._admit(settlement.ready)

    def _admit(self, ready: Iterable[int] = ()) -> None:
        """Queue what may start, and start as many as there are slots."""
        self._queue.extend(self._order.admit(ready))
        while self._free_slots > 0 and self._queue and not (self._cancel.requested or self._cancel.handing_back):
            node = self._queue.popleft()
            # It may have been stopped while it waited.
            if self._frontier.statuses[node] is NodeStatus.PENDING:
                self._free_slots -= 1
                self._frontier.start(node)
                drive = self._spawn(self._drive(node), self._plan.nodes[node].key)
                self._drives.add(drive)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A child of the run. One that is cancelled, even before its first step, would end silently."""
        task = self._group.create_task(work, name=name)
        task.add_done_callback(self._notice)
        return task

    def _notice(self, task: asyncio.Task[None]) -> None:
        self._drives.discard(task)
        # Once the run has finished it ends its watchers itself.
        if task.cancelled() and not self._finished.is_set():
            self._break(EngineInterrupted())

    async def _drive(self, node: int) -> None:
        """One attempt of a node, from its slot to the commit of its outcome."""
        try:
            if not await self._turns.of_node(node) and not self._settler.starts_nothing_more:
                # Handed back before it began: it is as if it had had no slot.
                self._frontier.suspend(node)
                self._queue.append(node)
                self._free_slots += 1
                return
            # Between its slot and now the run may have been told to end, or may have stopped at a failure.
            outcome, measures = (
                _NEVER_BEGAN
                if self._settler.starts_nothing_more
                else await self._lifecycle.attempt(node, self._settler.begin_attempt(node))
            )
            settlement = self._settler.settle(node, outcome, measures)
            await self._commit(settlement)
        except Exception as error:  # noqa: BLE001 - a lost record or a defect ends the run, never hangs it
            self._break(error)
            return
        if settlement.retry_in is not None:
            self._retries[node] = self._loop.call_later(settlement.retry_in, self._requeue, node)
        self._free_slots += 1
        self._admit(settlement.ready)

    async def _commit(self, settlement: Settlement) -> None:
        if self._broken is not None:
            raise self._broken
        if self._settler.starts_nothing_more:
            self._turns.end()
        await self._sink.commit(settlement.events)
        self._queue.extend(self._order.close(settlement.closed))
        self._open_nodes -= len(settlement.closed)
        if not self._open_nodes:
            self._finished.set()

    def _requeue(self, node: int) -> None:
        del self._retries[node]
        self._queue.append(node)
        self._admit()

    async def _watch_cancel(self) -> None:
        try:
            reason = await self._cancel.wait()
            settlement = self._settler.cancel_waiting(reason)
            for attempt in tuple(self._lifecycle.under_way.values()):
                attempt.cancel()
            await self._commit(settlement)
        except Exception as error:  # noqa: BLE001 - as in _drive
            self._break(error)

    def _begin_to_hand_back(self) -> None:
        self._turns.end()
        self._watchers.append(self._spawn(self._hand_back(), "hand back"))

    async def _hand_back(self) -> None:
        """Let end what runs, as far as it ends in time; then stop where the record stands."""
        if self._drives:
            _ = await asyncio.wait(self._drives, timeout=self._ports.limits.grace)
        if not self._finished.is_set():
            self._break(HandedBack())

    def _break(self, error: BaseException) -> None:
        """The record is gone, or the engine is wrong: stop everything without another write."""
        if self._broken is None:
            self._broken = error
            # Cancels what runs and starts nothing more; the sink refuses what would be written of it.
            self._cancel.request(Reason.SHUTDOWN)
        self._turns.end()
        for attempt in tuple(self._lifecycle.under_way.values()):
            attempt.cancel()
        self._finished.set()
