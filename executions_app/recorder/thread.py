"""The recorder's thread: Django's connection of its own, one batch at a time, everything that waits in each.

The thread starts with the first request and ends, closing its connection, when nothing came for a while: a
script that runs one workflow leaves nothing behind.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from executions_app import measures
from executions_app.engine.errors import OwnershipLost
from executions_app.engine.events import (
    AttemptMeasures,
    CallEnded,
    Event,
    ExecutionEnded,
    NodeAbandoned,
    NodeRetrying,
    NodeSettled,
)
from executions_app.live.publisher import publisher
from executions_app.models import querysets
from executions_app.recorder.writer import Batch, Result, Run, write
from workflows_app.agents.calls import NOTHING, Spent
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import NodeType

logger = logging.getLogger(__name__)

IDLE_SECONDS = 5.0
# Pauses between tries while the database does not answer; how many tries a batch has while it does.
FIRST_PAUSE_SECONDS = 0.05
LAST_PAUSE_SECONDS = 1.0
MAX_TRIES = 3
_OF_THE_DATABASE = (OperationalError, InterfaceError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Events of one run, and whom to tell when they are durable or refused. `done` is called in the thread."""

    run: Run
    events: Sequence[Event]
    done: Callable[[Result], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call[T]:
    function: Callable[[], T]
    future: Future[T]


class _Stop:
    pass


class Recorder:
    """One writer for all runs of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inbox: queue.SimpleQueue[list[Request] | _Call[object] | _Stop] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Runs one of whose batches is lost: what they handed over meanwhile would be a record with a hole.
        self._refused: WeakKeyDictionary[Run, BaseException] = WeakKeyDictionary()

    def submit(self, requests: list[Request]) -> None:
        """Write these with the next batch. From any thread."""
        self._put(requests)

    def call[T](self, function: Callable[[], T]) -> Future[T]:
        """Run a function on the recorder's connection, after the batches that wait already."""
        future: Future[T] = Future()
        self._put(_Call(function=function, future=future))  # pyright: ignore[reportArgumentType]
        return future

    def stop(self) -> None:
        """Write what waits, close the connection, end the thread. The next request starts it again."""
        with self._lock:
            thread = self._thread
            if thread is None:
                return
            self._inbox.put(_Stop())
        thread.join()

    def _put(self, item: "list[Request] | _Call[object]") -> None:
        with self._lock:
            self._inbox.put(item)
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            while self._serve():
                _drop_broken_connection()
        finally:
            connection.close()
            with self._lock:
                # Only after a defect of this module: the next request must not wait for a dead thread.
                if self._thread is threading.current_thread():
                    self._thread = None

    def _serve(self) -> bool:
        """Take everything that waits, in order; False when it is time to end."""
        try:
            items = [self._inbox.get(timeout=IDLE_SECONDS)]
        except queue.Empty:
            with self._lock:
                if self._inbox.empty():
                    self._thread = None
                    return False
            return True
        while not self._inbox.empty():
            items.append(self._inbox.get())
        # One batch, though calls came in between: a call waits for what was handed over before it, and more.
        self._write([request for item in items if isinstance(item, list) for request in item])
        for item in items:
            if isinstance(item, _Call):
                _answer(item)
        if any(isinstance(item, _Stop) for item in items):
            with self._lock:
                self._thread = None
                if not self._inbox.empty():
                    self._start()
            return False
        return True

    def _write(self, requests: list[Request]) -> None:
        # A run may have asked twice since the last batch: its events are one sequence.
        runs: dict[Run, list[Event]] = {}
        for request in requests:
            runs.setdefault(request.run, []).extend(request.events)
        accepted = [(run, events) for run, events in runs.items() if run not in self._refused]
        results: dict[Run, Result | None] = {run: self._refused.get(run) for run in runs}
        if accepted:
            began = time.perf_counter()
            results |= _persist(accepted)
            _measure(accepted, results, time.perf_counter() - began)
        for run, result in results.items():
            if isinstance(result, list):
                publisher.publish(run.execution_id, result)
        for request in requests:
            result = results[request.run]
            assert result is not None
            request.done(result)
            if isinstance(result, BaseException):
                self._refused[request.run] = result
            else:
                # The first request of a run is told of all its entries; nobody hears of one twice.
                results[request.run] = []


def _persist(batch: Batch) -> dict[Run, Result]:
    """Write a batch, again and again while it is the database that fails, until it is on record or its runs are lost.

    A run is lost at the latest when its lease ends, which nobody can prolong without the database.
    """
    results = dict(zip((run for run, _ in batch), write(batch), strict=True))
    failures, pause = 0, FIRST_PAUSE_SECONDS
    while failures < MAX_TRIES:
        waiting = [(run, events) for run, events in batch if isinstance(results[run], _OF_THE_DATABASE)]
        lost = [run for run, _ in waiting if run.lost]
        results |= {run: OwnershipLost(run.execution_id) for run in lost}
        repeat = [(run, events) for run, events in waiting if not run.lost]
        if not repeat:
            break
        reason = str(results[repeat[0][0]]).strip()
        logger.warning("The record waits for the database: %s", reason)
        # What fails while the database is well is the batch's own fault, and must not hold up the others.
        failures += _is_well(reason)
        time.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE_SECONDS)
        results |= zip((run for run, _ in repeat), write(repeat, again=True), strict=True)
    return results


def _measure(batch: Batch, results: Mapping[Run, Result | None], seconds: float) -> None:
    measures.batch_seconds.observe(seconds)
    measures.batch_events.observe(sum(len(events) for _, events in batch))
    for run, events in batch:
        entries = results[run]
        if not isinstance(entries, list):
            continue
        for event in events:
            if isinstance(event, (NodeSettled, NodeRetrying)) and event.measures is not None:
                _measure_attempt(run.plan.nodes[event.node], event.measures)
            if isinstance(event, NodeSettled):
                if event.started_at is not None:
                    took = (event.at - event.started_at).total_seconds()
                    measures.node_seconds.observe(took, run.plan.nodes[event.node].type, event.status)
            elif isinstance(event, NodeAbandoned):
                measures.nodes_abandoned.add()
            elif isinstance(event, CallEnded):
                _measure_call(event.spent)
            elif isinstance(event, ExecutionEnded):
                # As the row says: a cancel wins against the end that the engine came to.
                measures.executions_ended.add(entries[-1].entry.event.removeprefix("execution."))


def _measure_attempt(node: NodePlan, measured: AttemptMeasures) -> None:
    if node.type not in (NodeType.TOOL, NodeType.AGENT):
        return
    # No names: whoever reads the measures need not know what there is.
    name = str(node.type)
    measures.step_seconds.observe(measured.pre_process, name, "pre_process")
    if measured.process is not None:
        measures.step_seconds.observe(measured.process, name, "process")
    if measured.post_process is not None:
        measures.step_seconds.observe(measured.post_process, name, "post_process")
    for direction, size in (("in", measured.bytes_in), ("out", measured.bytes_out)):
        if size is not None:
            measures.attempt_bytes.add(name, direction, number=size)


def _measure_call(spent: Spent) -> None:
    if spent == NOTHING:
        return
    measures.agent_requests.add(number=spent.requests)
    measures.agent_tokens.add("in", number=spent.input_tokens)
    measures.agent_tokens.add("out", number=spent.output_tokens)
    measures.agent_cost.add(number=spent.cost or 0)


def _is_well(reason: str) -> bool:
    """Whether the database takes a change now. One whose disk is full takes small ones, which says nothing."""
    if "full" in reason or "No space left" in reason:
        return False
    _drop_broken_connection()
    try:
        with transaction.atomic():
            querysets.touch_nothing()
    except (DatabaseError, InterfaceError):
        _drop_broken_connection()
        return False
    return True


def _drop_broken_connection() -> None:
    """After an error the connection may be of no use. Age alone is no reason: while there is work it is kept."""
    if connection.errors_occurred and not connection.is_usable():
        connection.close()


def _answer(call: _Call[object]) -> None:
    if not call.future.set_running_or_notify_cancel():
        # Whoever asked has gone before it was begun.
        return
    try:
        result = call.function()
    except BaseException as error:  # noqa: BLE001 - the caller gets what its function raised
        call.future.set_exception(error)
    else:
        call.future.set_result(result)


recorder = Recorder()


async def in_recorder[T](function: Callable[[], T]) -> T:
    """Call a synchronous function on the recorder's thread and connection."""
    return await asyncio.wrap_future(recorder.call(function))
