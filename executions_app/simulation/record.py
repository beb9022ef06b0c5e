"""The record of a simulated run: the shipped in-memory sink, slow, fallible, and watched at every step."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Self, override

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.events import Event, NodeRetrying, NodeSettled, NodeStarted
from executions_app.engine.states import TERMINAL_EXECUTION, TERMINAL_NODE, NodeStatus
from executions_app.engine.testing import IllegalEvent, MemorySink
from executions_app.simulation.rules import edge_states, fate, is_unhandled_failure
from executions_app.simulation.scenario import Scenario, Strike
from workflows_app.dag.types import OnFailure, Scheduling


class DatabaseDown(Exception):
    """Raised by the simulated database."""


class SimulatedRecord(MemorySink):
    """`history` has what is durable, in order, each with the time of its commit."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario.plan, before_commit=self._count_batch)
        self.history: list[tuple[float, Event]] = []
        # When each of `entries` was committed.
        self.times: list[float] = []
        # An engine is at work on it.
        self.attended = True
        # Another engine took the execution before it had ended.
        self.lost = False
        # Nodes that were begun, durable or not, and have no outcome yet.
        self.begun: set[int] = set()
        # Nothing has to start any more: the execution has reached its time limit, or what follows is true.
        self.ending = False
        # Nothing may start any more: it was told to end, or stopped at a failure.
        self.closed_to_starts = False
        self._loop = asyncio.get_running_loop()
        self._latencies = cycle(scenario.latencies)
        self._fails_at = scenario.strike_at if scenario.strike is Strike.DATABASE else 0
        self._batches = 0
        # Nodes that wait for a retry, and until when.
        self._due: dict[int, float] = {}

    @override
    def after_latency(self, write: Callable[[], None]) -> None:
        _ = self._loop.call_later(next(self._latencies), write)

    @override
    def _check(self, event: Event) -> None:
        super()._check(event)
        match event:
            case NodeStarted():
                if self.closed_to_starts:
                    raise IllegalEvent(f"{self._key(event.node)} started after the run was told to end")
                self.begun.add(event.node)
                _ = self._due.pop(event.node, None)
            case NodeRetrying():
                self.begun.discard(event.node)
            case NodeSettled():
                self.begun.discard(event.node)
            case _:
                pass

    @override
    def _apply(self, event: Event) -> None:
        super()._apply(event)
        self._stamp()
        self.history.append((self._loop.time(), event))
        if isinstance(event, NodeRetrying):
            self._due[event.node] = self._loop.time() + event.delay
        elif isinstance(event, NodeSettled) and self._stops(event):
            self.tell_to_end()

    def _stops(self, event: NodeSettled) -> bool:
        return self.plan.settings.on_failure is OnFailure.STOP and is_unhandled_failure(self.plan, event)

    def tell_to_end(self) -> None:
        self.ending = self.closed_to_starts = True

    @override
    def request_cancel(self) -> None:
        super().request_cancel()
        self._stamp()

    @override
    def take_over(self) -> Self:
        self.lost = self.status not in TERMINAL_EXECUTION
        successor = super().take_over()
        successor.lost = False
        successor.before_commit = successor._count_batch
        # What was not durable never was.
        successor.begun = set()
        successor.attended = False
        successor._stamp()
        return successor

    @override
    def fail(self, error: ErrorInfo) -> bool:
        failed = super().fail(error)
        self._stamp()
        return failed

    def _stamp(self) -> None:
        self.times += [self._loop.time()] * (len(self.entries) - len(self.times))

    def _count_batch(self, batch: Sequence[Event]) -> None:
        del batch
        self._batches += 1
        if self._batches == self._fails_at:
            raise DatabaseDown("database is gone")

    def must_not_idle(self) -> None:
        """Called when time is about to pass. Raises `IllegalEvent` where a node could start and a slot is free."""
        if not self.attended or self.ending or self.status in TERMINAL_EXECUTION:
            return
        if self._writing or self._closed is not None:
            return
        if len(self.begun) >= self.plan.settings.max_parallel_nodes:
            return
        states = edge_states(self.plan, self.settled)
        now = self._loop.time()
        for node, status in enumerate(self.statuses):
            if status is not NodeStatus.PENDING or node in self.begun or self._due.get(node, 0) > now:
                continue
            if self._is_parked(node):
                continue
            incoming = [states[edge] for edge in self.plan.incoming[node]]
            if None not in incoming and (not incoming or fate(self.plan.nodes[node].join, incoming) is None):
                raise IllegalEvent(f"{self.plan.nodes[node].key} could run, a slot is free, and time passes")

    def _is_parked(self, node: int) -> bool:
        """Whether an earlier level is not finished."""
        if self.plan.settings.scheduling is Scheduling.EAGER:
            return False
        levels = self.plan.levels
        return any(
            status not in TERMINAL_NODE and levels[other] < levels[node] for other, status in enumerate(self.statuses)
        )
