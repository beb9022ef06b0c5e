"""Run a plan without a database: an in-memory sink that keeps the recorder's promises, shipped for tests.

`MemorySink` passes the same contract tests as the Django recorder, and refuses what a database cannot see: a start
before the predecessors are durable, more nodes at work than the execution allows.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import timedelta
from typing import Self

from executions_app.engine import journal
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import ErrorInfo, OwnershipLost, RecorderFailed
from executions_app.engine.events import (
    CallEnded,
    CallStarted,
    Event,
    ExecutionEnded,
    NodeRetrying,
    NodeSettled,
    NodeStarted,
)
from executions_app.engine.ports import POST_SECONDS, Clock, Limits, Ports, Turn, start_of_time
from executions_app.engine.progress import NodeProgress, Progress
from executions_app.engine.rows import AttemptRow, CallTable
from executions_app.engine.run import RunResult, execute
from executions_app.engine.states import (
    NODE_TRANSITIONS,
    TERMINAL_EXECUTION,
    TERMINAL_NODE,
    AttemptOutcome,
    ExecutionStatus,
    NodeStatus,
    Reason,
)
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import JsonObject, NodeType, Scheduling
from workflows_app.processors.base import Processor
from workflows_app.processors.errors import NodeConfigurationError


class IllegalEvent(AssertionError):
    """Raised by `MemorySink` when the engine emits what no record may hold."""


class MemorySink:
    """The record of one running execution, in memory, and the sink of its owner.

    What is handed over while a batch is written makes the next batch. `latency` is how many turns of the event loop
    a batch takes. `before_commit` may raise, as a database does: then nothing of the batch is kept.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        latency: int = 1,
        before_commit: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        self.plan = plan
        self.latency = latency
        self.before_commit = before_commit
        self.status = ExecutionStatus.RUNNING
        self.reason: Reason | None = None
        self.error: ErrorInfo | None = None
        self.cancel_requested = False
        self.statuses: list[NodeStatus] = [NodeStatus.PENDING] * len(plan.nodes)
        self.settled: dict[str, NodeSettled] = {}
        self.starts: dict[str, list[NodeStarted]] = {}
        self.attempts: dict[str, AttemptRow] = {}
        self.calls = CallTable()
        # The journal: the position of an entry is its number.
        self.entries: list[journal.Entry] = []
        self.end: ExecutionEnded | None = None
        # Nodes between their start and the commit of their outcome: the slots that are held.
        self.peak_running = 0
        # The last retry of each node.
        self.retries: dict[int, NodeRetrying] = {}
        self._reset()

    def _reset(self) -> None:
        """What belongs to one owner."""
        self._owned = True
        self._closed: Exception | None = None
        self._events: list[Event] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None

    # What the owner does.

    def post(self, event: Event) -> None:
        if self._closed is None:
            self._check(event)
            self._events.append(event)
            if not self._writing and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(POST_SECONDS, self._hand_over)

    async def commit(self, events: Sequence[Event]) -> None:
        if self._closed is not None:
            raise self._closed
        if not events and not self._events:
            return
        for event in events:
            self._check(event)
        self._events.extend(events)
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append(durable)
        if not self._writing:
            self._hand_over()
        await durable

    # What others do.

    def request_cancel(self) -> None:
        """Mark the execution; the mark counts at its end at the latest."""
        if self.status is ExecutionStatus.RUNNING and not self.cancel_requested:
            self.cancel_requested = True
            self._note("execution.cancel_requested", "Cancellation was requested.")

    def take_over(self) -> Self:
        """The sink of the engine that claims the execution: nothing of this owner is accepted any more.

        What was at work is as the claim leaves it: its attempt abandoned, the node pending, or running where its
        work cannot be repeated.
        """
        self._owned = False
        successor = copy(self)
        successor._reset()
        for node in self._abandon_attempts():
            if self.plan.nodes[node].effect.is_repeatable:
                self.statuses[node] = NodeStatus.PENDING
        successor._note("execution.recovered", "Another engine goes on with the execution.")
        return successor

    def progress(self) -> Progress:
        """Where the run stands, for the engine that took it over."""
        attempts = Counter(attempt.node for attempt in self.attempts.values())
        began = {starts[0].node: starts[0].started_at for starts in self.starts.values()}
        nodes = [
            NodeProgress(
                node=settled.node,
                status=settled.status,
                edges=settled.edges,
                attempts=attempts[settled.node],
                retry_count=settled.retry_count,
                started_at=began.get(settled.node),
                output=settled.output,
                error=settled.error,
                cause=settled.cause,
                spent=self.calls.spent_of(settled.node),
            )
            for settled in self.settled.values()
        ]
        for node, status in enumerate(self.statuses):
            if status in TERMINAL_NODE or node not in began:
                continue
            retry = self.retries.get(node)
            nodes.append(
                NodeProgress(
                    node=node,
                    status=NodeStatus.PENDING,
                    attempts=attempts[node],
                    retry_count=0 if retry is None else retry.retry_count,
                    started_at=began[node],
                    due_at=None if retry is None else retry.at + timedelta(seconds=retry.delay),
                    is_crashed=status is NodeStatus.RUNNING,
                    spent=self.calls.spent_of(node),
                )
            )
        return Progress(nodes=nodes)

    def fail(self, error: ErrorInfo) -> bool:
        """End the execution as its owner does where its engine gave up. False where it is no longer the owner."""
        if not self._owned or self.status in TERMINAL_EXECUTION:
            return False
        for node, status in enumerate(self.statuses):
            if status not in TERMINAL_NODE:
                self.statuses[node] = NodeStatus.CANCELLED
                self._note("node.cancelled", f"Node '{self._key(node)}' was cancelled.", self._key(node))
        _ = self._abandon_attempts()
        self.status, self.reason, self.error = ExecutionStatus.FAILED, Reason.CRASHED, error
        self._note("execution.failed", f"Execution failed: {error.message}")
        return True

    def _abandon_attempts(self) -> Sequence[int]:
        """The nodes whose attempts were under way."""
        open_ = [attempt for attempt in self.attempts.values() if attempt.outcome is AttemptOutcome.STARTED]
        for attempt in open_:
            attempt.outcome = AttemptOutcome.ABANDONED
        self.calls.abandon()
        return [attempt.node for attempt in open_]

    # How it is written.

    def after_latency(self, write: Callable[[], None]) -> None:
        """Call `write` when the database would have answered."""
        self._turn(self.latency, write)

    def _turn(self, turns: int, write: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        _ = loop.call_soon(write) if turns <= 1 else loop.call_soon(self._turn, turns - 1, write)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing or not (self._events or self._waiting):
            return
        self._writing = True
        batch, waiting = self._events, self._waiting
        self._events, self._waiting = [], []
        self.after_latency(lambda: self._written(batch, waiting))

    def _written(self, batch: Sequence[Event], waiting: Sequence[asyncio.Future[None]]) -> None:
        self._writing = False
        try:
            self._write(batch)
        except (OwnershipLost, RecorderFailed, IllegalEvent) as error:
            self._closed = error
        except Exception as error:  # noqa: BLE001 - whatever a database raises
            self._closed = RecorderFailed(f"The record could not be written: {error}")
            self._closed.__cause__ = error
        for durable in waiting:
            if not durable.done():
                if self._closed is None:
                    durable.set_result(None)
                else:
                    durable.set_exception(self._closed)
        self._hand_over()

    def _write(self, batch: Sequence[Event]) -> None:
        if self._closed is not None:
            # It was handed over while the batch before it, which is lost, was written.
            raise self._closed
        if not self._owned or self.status in TERMINAL_EXECUTION:
            raise OwnershipLost("in memory")
        if self.before_commit is not None:
            self.before_commit(batch)
        for event in batch:
            self._apply(event)

    def _check(self, event: Event) -> None:
        """What is wrong when it is emitted: a start before what it depends on is durable."""
        if isinstance(event, NodeStarted):
            for edge in self.plan.incoming[event.node]:
                source = self.plan.ends[edge][0]
                if self.statuses[source] not in TERMINAL_NODE:
                    raise IllegalEvent(f"{self._key(event.node)} started before {self._key(source)} was durable")

    def _apply(self, event: Event) -> None:
        match event:
            case NodeStarted():
                self._start(event)
            case NodeRetrying():
                self._move(event.node, NodeStatus.PENDING)
                self._end_attempt(event)
                self.retries[event.node] = event
            case NodeSettled():
                self._move(event.node, event.status)
                self._end_attempt(event)
                self.settled[self._key(event.node)] = event
            case CallStarted() | CallEnded():
                attempt = self.attempts.get(event.attempt_id)
                if not self.calls.take(event, attempt):
                    raise IllegalEvent(f"{self._key(event.node)}: call {event.number} may not begin or end now")
            case ExecutionEnded():
                self._end(event)
                return
            case _:
                pass
        self.entries.append(journal.entry_of(event, self.plan))

    def _start(self, event: NodeStarted) -> None:
        self._move(event.node, NodeStatus.RUNNING)
        earlier = self.starts.setdefault(self._key(event.node), [])
        if event.number != len(earlier) + 1 or event.attempt_id in self.attempts:
            raise IllegalEvent(f"{self._key(event.node)}: attempt {event.number} after {len(earlier)} attempts")
        earlier.append(event)
        self.attempts[event.attempt_id] = AttemptRow(
            attempt_id=event.attempt_id, node=event.node, number=event.number, started_at=event.at
        )
        running = sum(status is NodeStatus.RUNNING for status in self.statuses)
        self.peak_running = max(self.peak_running, running)
        if running > self.plan.settings.max_parallel_nodes:
            raise IllegalEvent(f"{running} nodes are at work, {self.plan.settings.max_parallel_nodes} may be")

    def _end_attempt(self, event: NodeRetrying | NodeSettled) -> None:
        if not event.attempt_id:
            return
        attempt = self.attempts.get(event.attempt_id)
        if attempt is None or attempt.outcome is not AttemptOutcome.STARTED or event.attempt_outcome is None:
            raise IllegalEvent(f"{self._key(event.node)}: no attempt {event.attempt_id} is under way")
        if self.calls.has_open(event.attempt_id):
            raise IllegalEvent(f"{self._key(event.node)}: its attempt ended before a call of it")
        attempt.outcome, attempt.error, attempt.ended_at = event.attempt_outcome, event.error, event.at

    def _end(self, event: ExecutionEnded) -> None:
        still_open = [self._key(node) for node, status in enumerate(self.statuses) if status not in TERMINAL_NODE]
        if still_open:
            raise IllegalEvent(f"the execution ended while these were open: {still_open}")
        self.status, self.reason, self.error = event.status, event.reason, event.error
        if self.cancel_requested and event.reason in (None, Reason.NODE_ERROR):
            self.status, self.reason = ExecutionStatus.CANCELLED, Reason.USER
        self.entries.append(journal.ended(self.status, event))
        self.end = event

    def _move(self, node: int, status: NodeStatus) -> None:
        if status not in NODE_TRANSITIONS[self.statuses[node]]:
            raise IllegalEvent(f"{self._key(node)}: {self.statuses[node]} -> {status}")
        self.statuses[node] = status

    def _note(self, event: str, message: str, node: str = "") -> None:
        self.entries.append(journal.Entry(event=event, level="info", node=node, message=message, data={}))

    def _key(self, node: int) -> str:
        return self.plan.nodes[node].key


def ports_for(
    loop: asyncio.AbstractEventLoop,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    secrets: Mapping[str, str] | None = None,
    pace: Callable[[Sequence[str]], Sequence[Turn]] | None = None,
) -> Ports:
    """Deterministic ports: a clock from the loop, seeded chance, ids that count, these secrets and turns."""

    async def values_of(names: Sequence[str]) -> Mapping[str, str]:
        known = secrets or {}
        if missing := [name for name in names if name not in known]:
            raise NodeConfigurationError(f"There is no secret '{missing[0]}'.")
        return {name: known[name] for name in names}

    numbers = itertools.count(1)
    return Ports(
        clock=Clock(epoch=start_of_time(), origin=loop.time(), time=loop.time),
        random=random.Random(seed).random,  # noqa: S311 - jitter in tests, no secret
        new_id=lambda: f"attempt-{next(numbers)}",
        limits=limits or Limits(),
        secrets=values_of,
        pace=pace,
    )


async def run_plan(
    plan: Plan,
    input_data: JsonObject | None = None,
    *,
    processors: Mapping[NodeType, Processor],
    sink: MemorySink | None = None,
    cancel: CancelToken | None = None,
    scheduling: Scheduling | None = None,
    seed: int = 0,
    limits: Limits | None = None,
    secrets: Mapping[str, str] | None = None,
    pace: Callable[[Sequence[str]], Sequence[Turn]] | None = None,
) -> tuple[RunResult, MemorySink]:
    """Run a plan in this event loop and give back the result and what was recorded."""
    sink = sink or MemorySink(plan)
    ports = ports_for(asyncio.get_running_loop(), seed=seed, limits=limits, secrets=secrets, pace=pace)
    context = ExecutionContext(plan, input_data, execution_id="execution-1", started_at=ports.clock.now())
    result = await execute(
        context,
        processors=processors,
        sink=sink,
        ports=ports,
        cancel=cancel or CancelToken(),
        scheduling=scheduling,
    )
    return result, sink
