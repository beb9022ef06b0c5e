"""Run a plan without a database: an in-memory sink that keeps the recorder's promises, shipped for tests.

`MemorySink` refuses what the database would refuse: a transition that is not in the table, a second terminal
event, a start before the predecessors are durable.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence

from executions_app.engine import journal
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import OwnershipLost
from executions_app.engine.events import (
    Event,
    ExecutionEnded,
    NodeRetrying,
    NodeSettled,
    NodeStarted,
)
from executions_app.engine.ports import Clock, Limits, Ports, start_of_time
from executions_app.engine.run import RunResult, execute
from executions_app.engine.states import NODE_TRANSITIONS, TERMINAL_NODE, NodeStatus
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import JsonObject, NodeType, Scheduling
from workflows_app.processors.base import Processor


class IllegalEvent(AssertionError):
    """Raised by `MemorySink` when the engine emits what no record may hold."""


class MemorySink:
    """The journal and the node rows of one execution, in memory.

    `latency` is how many turns of the event loop a commit takes. `before_commit` may raise, as a database does.
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
        self.statuses: list[NodeStatus] = [NodeStatus.PENDING] * len(plan.nodes)
        self.settled: dict[str, NodeSettled] = {}
        self.starts: dict[str, list[NodeStarted]] = {}
        self.entries: list[journal.Entry] = []
        self.end: ExecutionEnded | None = None
        # Nodes between their start and the commit of their outcome: the slots that are held.
        self.peak_running = 0
        self._posted: list[Event] = []

    def post(self, event: Event) -> None:
        if self.end is None:
            self._posted.append(event)
            if isinstance(event, NodeStarted):
                self._start(event)

    async def commit(self, events: Sequence[Event]) -> None:
        if self.end is not None:
            raise OwnershipLost("in memory")
        for event in events:
            if isinstance(event, NodeStarted):
                self._start(event)
        batch = [*self._posted, *events]
        self._posted.clear()
        for _ in range(self.latency):
            await asyncio.sleep(0)
        if self.before_commit is not None:
            self.before_commit(batch)
        for event in batch:
            self._apply(event)

    def _start(self, event: NodeStarted) -> None:
        """Checked when it is emitted, not when it is durable: nothing starts before what it depends on is."""
        for edge in self.plan.incoming[event.node]:
            source = self.plan.ends[edge][0]
            if self.statuses[source] not in TERMINAL_NODE:
                raise IllegalEvent(f"{self._key(event.node)} started before {self._key(source)} was durable")

    def _apply(self, event: Event) -> None:
        self.entries.append(journal.entry_of(event, self.plan))
        match event:
            case NodeStarted():
                self._move(event.node, NodeStatus.RUNNING)
                self.starts.setdefault(self._key(event.node), []).append(event)
                running = sum(status is NodeStatus.RUNNING for status in self.statuses)
                self.peak_running = max(self.peak_running, running)
            case NodeRetrying():
                self._move(event.node, NodeStatus.PENDING)
            case NodeSettled():
                self._move(event.node, event.status)
                self.settled[self._key(event.node)] = event
            case ExecutionEnded():
                still_open = [
                    self._key(node) for node, status in enumerate(self.statuses) if status not in TERMINAL_NODE
                ]
                if still_open:
                    raise IllegalEvent(f"the execution ended while these were open: {still_open}")
                self.end = event
            case _:
                pass

    def _move(self, node: int, status: NodeStatus) -> None:
        if status not in NODE_TRANSITIONS[self.statuses[node]]:
            raise IllegalEvent(f"{self._key(node)}: {self.statuses[node]} -> {status}")
        self.statuses[node] = status

    def _key(self, node: int) -> str:
        return self.plan.nodes[node].key


def ports_for(loop: asyncio.AbstractEventLoop, *, seed: int = 0, limits: Limits | None = None) -> Ports:
    """Deterministic ports: a clock from the loop, seeded chance, ids that count."""
    numbers = itertools.count(1)
    return Ports(
        clock=Clock(epoch=start_of_time(), origin=loop.time(), time=loop.time),
        random=random.Random(seed).random,  # noqa: S311 - jitter in tests, no secret
        new_id=lambda: f"attempt-{next(numbers)}",
        limits=limits or Limits(),
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
) -> tuple[RunResult, MemorySink]:
    """Run a plan in this event loop and give back the result and what was recorded."""
    sink = sink or MemorySink(plan)
    ports = ports_for(asyncio.get_running_loop(), seed=seed, limits=limits)
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
