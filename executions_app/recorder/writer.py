"""A batch of events to the database: one synchronous function, one transaction, a few statements.

A node's start and end that meet in a batch are one row write. Statements are raw: the ORM's bulk_update is four
to fifteen times slower here (see benchmarks).
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from executions_app.engine import journal
from executions_app.engine.errors import ErrorInfo, OwnershipLost
from executions_app.engine.events import (
    AttemptMeasures,
    CallEnded,
    CallStarted,
    Event,
    ExecutionEnded,
    NodeRetrying,
    NodeSettled,
    NodeStarted,
)
from executions_app.engine.states import AttemptOutcome, ExecutionStatus
from executions_app.live.events import Committed
from executions_app.models import querysets, spending
from executions_app.models.commits import committed
from executions_app.models.withdrawal import drop_jobs, drop_jobs_of
from workflows_app.agents.calls import NOTHING, CallOutcome, Spent
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Run:
    """The execution that a batch's events belong to, and the fence that its owner was given."""

    execution_id: uuid.UUID
    fence: int
    plan: Plan
    # The number of the last entry that its owner wrote, as far as the owner heard; the recorder keeps it.
    seq: int
    # It has another owner, or may have: nothing is written any more. Set once, by any thread.
    lost: bool = False


# The item of a node that is not mapped over several.
_NODE_ITSELF = -1


class RecordMismatch(RuntimeError):
    """Raised when a node's row is not in a state that the event may follow."""

    def __init__(self, missing: int) -> None:
        super().__init__(
            f"{missing} of the nodes to be recorded are finished already or have no row; nothing was written."
        )


type Result = list[Committed] | BaseException
type Batch = Sequence[tuple[Run, Sequence[Event]]]


def write(batch: Batch, *, again: bool = False) -> list[Result]:
    """Commit a batch; for each of its runs what was committed, or why that run's events were not.

    A batch that fails is repeated run by run, so that only the run that fails alone has failed. What failed with an
    error of the connection may be on record all the same: pass it `again`, unchanged, and it is there once.
    """
    try:
        return _transaction(batch, again=again)
    except Exception as error:  # noqa: BLE001 - whatever a database raises is the answer to the runs
        if len(batch) == 1:
            return [error]
    # The commit may have happened, and only the reply may be lost.
    return [result for one in batch for result in write([one], again=True)]


def _transaction(batch: Batch, *, again: bool) -> list[Result]:
    results: dict[Run, list[Committed]] = {}
    with committed("write"), connection.cursor() as cursor:
        if again:
            results |= _written_before(cursor, batch)
        fresh = [(querysets.db_id(run.execution_id), run, events) for run, events in batch if run not in results]
        last_seqs = dict(_number(cursor, fresh))
        # Of the others another engine is the owner.
        owned = [(row_id, run, events) for row_id, run, events in fresh if row_id in last_seqs]
        ends = [
            querysets.end_row(_end(event), row_id, run.fence)
            for row_id, run, events in owned
            for event in events
            if isinstance(event, ExecutionEnded)
        ]
        statuses = dict(querysets.END.returned(cursor, ends)) if ends else {}
        rows = _Rows(querysets.time_adapter())
        for row_id, run, events in owned:
            entries = _entries(run, events, last_seqs[row_id], statuses.get(row_id))
            rows.take(row_id, run.fence, events, entries)
            results[run] = entries
        rows.write(cursor)
        for row_id, run, events in owned:
            if run.plan.runs_elsewhere:
                _end_jobs(cursor, row_id, run.plan, events)
    for run, entries in results.items():
        if entries:
            run.seq = entries[-1].seq
    return [results[run] if run in results else OwnershipLost(run.execution_id) for run, _ in batch]


def _number(cursor: CursorWrapper, batch: Sequence[tuple[Any, Run, Sequence[Event]]]) -> list[tuple[Any, ...]]:
    """The id and the last number of each run that is still its owner's."""
    wanted = [
        (len(events), 0 if any(isinstance(event, NodeSettled) for event in events) else 1, row_id, run.fence)
        for row_id, run, events in batch
    ]
    return querysets.LOCK_AND_NUMBER.returned(cursor, wanted) if wanted else []


def _written_before(cursor: CursorWrapper, batch: Batch) -> dict[Run, list[Committed]]:
    """Runs whose events are on record already: their owner's count has moved on without its knowing."""
    # A commit that is still under way holds the row.
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    found: dict[Run, list[Committed]] = {}
    for run, events in batch:
        cursor.execute(querysets.RECORDED + lock, (querysets.db_id(run.execution_id), run.fence))
        row = cursor.fetchone()
        if row is not None and row[0] != run.seq:
            found[run] = _entries(run, events, row[0], row[1])
    return found


def _entries(run: Run, events: Sequence[Event], last_seq: int, status: str | None) -> list[Committed]:
    """The journal's entries; of an execution that ended with the status that the row decided on."""
    first = last_seq - len(events) + 1
    return [
        Committed(
            seq=seq,
            at=event.at,
            entry=journal.ended(ExecutionStatus(status), event)
            if isinstance(event, ExecutionEnded)
            else journal.entry_of(event, run.plan),
        )
        for seq, event in enumerate(events, first)
    ]


def _end_jobs(cursor: CursorWrapper, row_id: Any, plan: Plan, events: Sequence[Event]) -> None:
    """With an attempt ends its job, and with the execution whatever an engine before this one left."""
    ended = [event for event in events if isinstance(event, (NodeRetrying, NodeSettled)) and event.attempt_id]
    drop_jobs(cursor, sorted(event.attempt_id for event in ended if plan.nodes[event.node].runs_on))
    if any(isinstance(event, ExecutionEnded) for event in events):
        drop_jobs_of(cursor, row_id)


def _end(event: ExecutionEnded) -> querysets.End:
    return querysets.End(event.status, event.reason, event.output or None, _error(event.error), event.at)


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


class _CallChange:
    """The events of one call of an agent in one batch."""

    __slots__ = ("ended", "started")

    def __init__(self) -> None:
        self.started: CallStarted | None = None
        self.ended: CallEnded | None = None

    def add(self, event: CallStarted | CallEnded) -> None:
        if isinstance(event, CallStarted):
            self.started = event
        else:
            self.ended = event


class _Rows:
    """The parameters of a batch, by statement."""

    __slots__ = (
        "attempts", "calls", "ended_attempts", "ended_calls", "logs", "retrying", "settled", "started",
        "started_and_settled", "time",
    )  # fmt: skip

    def __init__(self, time: Callable[[datetime], Any]) -> None:
        self.time = time
        self.started: list[tuple[Any, ...]] = []
        self.retrying: list[tuple[Any, ...]] = []
        self.settled: list[tuple[Any, ...]] = []
        self.started_and_settled: list[tuple[Any, ...]] = []
        self.attempts: list[tuple[Any, ...]] = []
        self.ended_attempts: list[tuple[Any, ...]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.ended_calls: list[tuple[Any, ...]] = []
        self.logs: list[tuple[Any, ...]] = []

    def take(self, row_id: Any, fence: int, events: Sequence[Event], entries: Sequence[Committed]) -> None:
        """The rows that the events of one run change."""
        nodes: dict[int, _NodeChange] = {}
        attempts: dict[str, _AttemptChange] = {}
        calls: dict[tuple[str, int], _CallChange] = {}
        for event in events:
            if isinstance(event, (NodeStarted, NodeRetrying, NodeSettled)):
                nodes.setdefault(event.node, _NodeChange()).add(event)
                if event.attempt_id:
                    attempts.setdefault(event.attempt_id, _AttemptChange()).add(event)
            elif isinstance(event, (CallStarted, CallEnded)):
                calls.setdefault((event.attempt_id, event.number), _CallChange()).add(event)
        for node, change in nodes.items():
            self.add(row_id, node, change)
        for attempt_id, change in attempts.items():
            self.add_attempt(row_id, fence, attempt_id, change)
        for change in calls.values():
            self.add_call(row_id, fence, change)
        for one in entries:
            entry = one.entry
            data = jsontext.dumps_struct(entry.data) if entry.data else None
            at = self.time(one.at)
            self.logs.append((row_id, one.seq, entry.event, entry.level, entry.node, entry.message, data, at))

    def add_attempt(self, row_id: Any, fence: int, attempt_id: str, change: _AttemptChange) -> None:
        started, ended = change.started, change.ended
        if ended is None:
            end = (str(AttemptOutcome.STARTED), None, "", None, *_UNMEASURED)
        else:
            error = ended.error
            outcome, traceback = str(ended.attempt_outcome), "" if error is None else error.traceback
            end = (outcome, _error(error), traceback, self.time(ended.at), *_measured(ended.measures))
        if started is None:
            self.ended_attempts.append((*end, attempt_id))
        else:
            start = (attempt_id, row_id, started.node, started.number, fence, self.time(started.at))
            self.attempts.append((*start, *end))

    def add_call(self, row_id: Any, fence: int, change: _CallChange) -> None:
        started, ended = change.started, change.ended
        end = (str(CallOutcome.STARTED), None, None, *_spent(NOTHING), None)
        if ended is not None:
            error = None if ended.error is None else jsontext.dumps(ended.error)
            end = (str(ended.outcome), ended.result or None, error, *_spent(ended.spent), self.time(ended.at))
        if started is not None:
            reserved = (None,) * 4 if started.reserved is None else _spent(started.reserved)
            who = (str(started.kind), started.provider, started.name, str(started.effect), started.arguments or None)
            where = (row_id, started.node, started.attempt_id, started.number, fence)
            self.calls.append((*where, *who, *reserved, self.time(started.at), *end))
        elif ended is not None:
            self.ended_calls.append((*end, row_id, ended.attempt_id, ended.number))

    def add(self, row_id: Any, node: int, change: _NodeChange) -> None:
        started, settled, retrying = change.started, change.settled, change.retrying
        where = (row_id, node, _NODE_ITSELF)
        if started is not None and settled is not None:
            start = (started.attempt_id, started.input or None, self.time(started.started_at))
            self.started_and_settled.append((*start, *self._settled(settled), *where))
            return
        if started is not None:
            start = (started.attempt_id, started.input or None, self.time(started.started_at))
            self.started.append((*start, started.retry_count, *where))
        if retrying is not None:
            error = retrying.error
            due_at = self.time(retrying.at + timedelta(seconds=retrying.delay))
            self.retrying.append((retrying.retry_count, due_at, _error(error), error.message, error.traceback, *where))
        if settled is not None:
            self.settled.append((*self._settled(settled), *where))

    def write(self, cursor: CursorWrapper) -> None:
        for statement, rows in (
            (querysets.NODE_STARTED, self.started),
            (querysets.NODE_RETRYING, self.retrying),
            (querysets.NODE_SETTLED, self.settled),
            (querysets.NODE_STARTED_AND_SETTLED, self.started_and_settled),
            (querysets.ATTEMPT, self.attempts),
            (querysets.ATTEMPT_ENDED, self.ended_attempts),
            (spending.CALL, self.calls),
            (spending.CALL_ENDED, self.ended_calls),
            (querysets.INSERT_LOG, self.logs),
        ):
            if rows:
                changed = statement.run(cursor, rows)
                if changed != len(rows):
                    raise RecordMismatch(len(rows) - changed)

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


_UNMEASURED = (None, None, None, None, None)


def _measured(measures: AttemptMeasures | None) -> tuple[int | None, ...]:
    """In the order of an attempt's columns, times in microseconds."""
    if measures is None:
        return _UNMEASURED
    return (
        round(measures.pre_process * 1_000_000),
        None if measures.process is None else round(measures.process * 1_000_000),
        None if measures.post_process is None else round(measures.post_process * 1_000_000),
        measures.bytes_in,
        measures.bytes_out,
    )


def _spent(spent: Spent) -> tuple[int | None, ...]:
    """In the order of a call's columns."""
    return (spent.requests, spent.input_tokens, spent.output_tokens, spent.cost)


def _error(error: ErrorInfo | None) -> str | None:
    return None if error is None else jsontext.dumps(error.public())
