"""A batch of events to the database: one synchronous function, one transaction, a few statements.

A node's start and end that meet in a batch are one row write. Statements are raw: the ORM's bulk_update is four
to fifteen times slower here (see benchmarks).
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from executions_app.engine import journal
from executions_app.engine.errors import ErrorInfo, OwnershipLost
from executions_app.engine.events import Event, ExecutionEnded, NodeRetrying, NodeSettled, NodeStarted
from executions_app.engine.states import AttemptOutcome, ExecutionStatus
from executions_app.live.events import Committed
from executions_app.models import querysets
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Run:
    """The execution that a batch's events belong to, and the fence that its owner was given."""

    execution_id: uuid.UUID
    fence: int
    plan: Plan


class RecordMismatch(RuntimeError):
    """Raised when a node's row is not in a state that the event may follow."""

    def __init__(self, missing: int) -> None:
        super().__init__(
            f"{missing} of the nodes to be recorded are finished already or have no row; nothing was written."
        )


type Result = list[Committed] | BaseException


def write(batch: Sequence[tuple[Run, Sequence[Event]]]) -> list[Result]:
    """Commit a batch; for each of its runs what was committed, or why that run's events were not.

    A batch that fails is repeated run by run, so that only the run that fails alone has failed.
    """
    try:
        return _transaction(batch)
    except Exception as error:  # noqa: BLE001 - whatever a database raises is the answer to the runs
        if len(batch) == 1:
            return [error]
    return [result for one in batch for result in write([one])]


def _transaction(batch: Sequence[tuple[Run, Sequence[Event]]]) -> list[Result]:
    rows = _Rows(querysets.time_adapter())
    results: list[Result] = []
    with transaction.atomic(), connection.cursor() as cursor:
        for run, events in batch:
            row_id = querysets.db_id(run.execution_id)
            crashes_kept = 0 if any(isinstance(event, NodeSettled) for event in events) else 1
            cursor.execute(querysets.LOCK_AND_NUMBER, (len(events), crashes_kept, row_id, run.fence))
            locked = cursor.fetchone()
            if locked is None:
                results.append(OwnershipLost(run.execution_id))
                continue
            first_seq: int = locked[0] - len(events) + 1
            results.append(_take(rows, cursor, run, row_id, events, first_seq))
        rows.write(cursor)
    return results


def _take(
    rows: "_Rows",
    cursor: CursorWrapper,
    run: Run,
    row_id: Any,
    events: Sequence[Event],
    first_seq: int,
) -> list[Committed]:
    committed: list[Committed] = []
    nodes: dict[int, _NodeChange] = {}
    attempts: dict[str, _AttemptChange] = {}
    for seq, event in enumerate(events, first_seq):
        entry = journal.entry_of(event, run.plan)
        match event:
            case NodeStarted() | NodeRetrying() | NodeSettled():
                nodes.setdefault(event.node, _NodeChange()).add(event)
                if event.attempt_id:
                    attempts.setdefault(event.attempt_id, _AttemptChange()).add(event)
            case ExecutionEnded():
                entry = _end(cursor, run, row_id, event)
            case _:
                pass
        at = rows.time(event.at)
        data = jsontext.dumps_struct(entry.data) if entry.data else None
        rows.logs.append((row_id, seq, entry.event, entry.level, entry.node, entry.message, data, at))
        committed.append(Committed(seq=seq, at=event.at, entry=entry))
    for node, change in nodes.items():
        rows.add(row_id, node, change)
    for attempt_id, change in attempts.items():
        rows.add_attempt(row_id, run.fence, attempt_id, change)
    return committed


def _end(cursor: CursorWrapper, run: Run, row_id: Any, event: ExecutionEnded) -> journal.Entry:
    end = querysets.End(event.status, event.reason, event.output or None, _error(event.error), event.at)
    cursor.execute(querysets.END, querysets.end_values(end, row_id, run.fence))
    # The row may say cancelled where the engine says completed.
    return journal.ended(ExecutionStatus(cursor.fetchone()[0]), event)


class _NodeChange:
    """The events of one node in one batch, reduced to what its row must show after them."""

    __slots__ = ("retrying", "settled", "started")

    def __init__(self) -> None:
        self.started: NodeStarted | None = None
        self.retrying: NodeRetrying | None = None
        self.settled: NodeSettled | None = None

    def add(self, event: NodeStarted | NodeRetrying | NodeSettled) -> None:
        match event:
            case NodeStarted():
                # The next attempt: its start says all that the retry before it said of the status.
                self.started, self.retrying = event, None
            case NodeRetrying():
                self.retrying = event
            case NodeSettled():
                self.settled, self.retrying = event, None


class _AttemptChange:
    """The events of one attempt in one batch."""

    __slots__ = ("ended", "started")

    def __init__(self) -> None:
        self.started: NodeStarted | None = None
        self.ended: NodeRetrying | NodeSettled | None = None

    def add(self, event: NodeStarted | NodeRetrying | NodeSettled) -> None:
        if isinstance(event, NodeStarted):
            self.started = event
        else:
            self.ended = event


class _Rows:
    """The parameters of a batch, by statement."""

    __slots__ = ("attempts", "ended_attempts", "logs", "retrying", "settled", "started", "started_and_settled", "time")

    def __init__(self, time: Callable[[datetime], Any]) -> None:
        self.time = time
        self.started: list[tuple[Any, ...]] = []
        self.retrying: list[tuple[Any, ...]] = []
        self.settled: list[tuple[Any, ...]] = []
        self.started_and_settled: list[tuple[Any, ...]] = []
        self.attempts: list[tuple[Any, ...]] = []
        self.ended_attempts: list[tuple[Any, ...]] = []
        self.logs: list[tuple[Any, ...]] = []

    def add_attempt(self, row_id: Any, fence: int, attempt_id: str, change: _AttemptChange) -> None:
        started, ended = change.started, change.ended
        if ended is None:
            end = (str(AttemptOutcome.STARTED), None, "", None)
        else:
            error = ended.error
            outcome, traceback = str(ended.attempt_outcome), "" if error is None else error.traceback
            end = (outcome, _error(error), traceback, self.time(ended.at))
        if started is None:
            self.ended_attempts.append((*end, attempt_id))
        else:
            start = (attempt_id, row_id, started.node, started.number, fence, self.time(started.at))
            self.attempts.append((*start, *end))

    def add(self, row_id: Any, node: int, change: _NodeChange) -> None:
        started, settled, retrying = change.started, change.settled, change.retrying
        where = (row_id, node)
        if started is not None and settled is not None:
            start = (started.attempt_id, started.input or None, self.time(started.started_at))
            self.started_and_settled.append((*start, *self._settled(settled), *where))
            return
        if started is not None:
            self.started.append(
                (
                    started.attempt_id, started.retry_count, started.input or None,
                    self.time(started.started_at), *where,
                )
            )  # fmt: skip
        if retrying is not None:
            error = retrying.error
            due_at = self.time(retrying.at + timedelta(seconds=retrying.delay))
            self.retrying.append((retrying.retry_count, due_at, _error(error), error.message, error.traceback, *where))
        if settled is not None:
            self.settled.append((*self._settled(settled), *where))

    def write(self, cursor: CursorWrapper) -> None:
        for statement, parameters in (
            (querysets.NODE_STARTED, self.started),
            (querysets.NODE_RETRYING, self.retrying),
            (querysets.NODE_SETTLED, self.settled),
            (querysets.NODE_STARTED_AND_SETTLED, self.started_and_settled),
            (querysets.ATTEMPT, self.attempts),
            (querysets.ATTEMPT_ENDED, self.ended_attempts),
            (querysets.INSERT_LOG, self.logs),
        ):
            if parameters:
                cursor.executemany(statement, parameters)
                if cursor.rowcount != len(parameters):
                    raise RecordMismatch(len(parameters) - cursor.rowcount)

    def _settled(self, event: NodeSettled) -> tuple[Any, ...]:
        error = event.error
        return (
            str(event.status),
            str(event.reason or ""),
            event.retry_count,
            event.output or None,
            _error(error),
            "" if error is None else error.message,
            "" if error is None else error.traceback,
            event.details or None,
            event.edges,
            self.time(event.at),
        )


def _error(error: ErrorInfo | None) -> str | None:
    return None if error is None else jsontext.dumps(error.public())
