"""The compare-and-set statements, which with those of `ownership` are all that write a `status`.

Every transition begins with a statement on the execution's row that checks what must hold, locks the row and
allocates the journal's next numbers. Where it changes no row, somebody else was first: nothing is written.
The statements are plain SQL that SQLite and PostgreSQL share; values go in as parameters.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import batched
from typing import Any, NamedTuple, cast

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import DatabaseDefault

from executions_app.engine.states import AttemptOutcome, ExecutionStatus, NodeStatus, Reason
from executions_app.models.attempt import NodeAttempt
from executions_app.models.bulk import Columns, ManyRows, insert, unnest, update
from executions_app.models.commits import committed
from executions_app.models.execution import WorkflowExecution
from executions_app.models.log import ExecutionLog
from executions_app.models.node_execution import NodeExecution
from executions_app.models.notices import notify_cancel
from executions_app.models.spending import ABANDON_CALLS
from executions_app.models.withdrawal import drop_jobs_of
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan

EXECUTIONS = WorkflowExecution._meta.db_table
NODES = NodeExecution._meta.db_table
ATTEMPTS = NodeAttempt._meta.db_table
LOGS = ExecutionLog._meta.db_table

# Checks the fence, locks the execution and allocates the journal's numbers. `kept` is 0 where a node is settled, which
# ends a row of crashes, else 1. On PostgreSQL rows are locked in one order by all that lock several.
_NUMBERED: Columns = [("count", "int"), ("kept", "int"), ("id", "uuid"), ("fence", "int")]
LOCK_AND_NUMBER = ManyRows(
    one=f"""
    UPDATE {EXECUTIONS}
    SET last_seq = last_seq + v."count", recorded_seq = last_seq + v."count", recoveries = recoveries * v.kept
    FROM (SELECT %s AS "count", %s AS kept, %s AS id, %s AS fence) AS v
    WHERE {EXECUTIONS}.id = v.id AND {EXECUTIONS}.fence = v.fence AND status = 'running'
    RETURNING {EXECUTIONS}.id, last_seq""",
    many=f"""
    WITH v AS (SELECT * FROM {unnest(_NUMBERED)}), locked AS MATERIALIZED (
        SELECT e.id FROM {EXECUTIONS} AS e JOIN v USING (id, fence)
        WHERE e.status = 'running' ORDER BY e.id FOR UPDATE OF e)
    UPDATE {EXECUTIONS} AS e
    SET last_seq = e.last_seq + v."count", recorded_seq = e.last_seq + v."count", recoveries = e.recoveries * v.kept
    FROM v JOIN locked USING (id) WHERE e.id = v.id RETURNING e.id, e.last_seq""",
)

# Where the reply to a commit was lost: what the owner with this fence has on record.
RECORDED = f"SELECT recorded_seq, status FROM {EXECUTIONS} WHERE id = %s AND fence = %s"

# A cancel that was asked for before the end wins, also over a node's failure; the row's lock decides which came
# first. An end that nobody chose, such as a time limit, stays what it is.
_ENDED: Columns = [
    ("status", "text"), ("reason", "text"), ("output", "text"), ("error", "text"), ("ended_at", "timestamptz"),
    ("id", "uuid"), ("fence", "int"),
]  # fmt: skip
_CANCELLED = "cancel_requested_at IS NOT NULL AND v.reason IN ('', 'node_error')"
_END = f"""
    UPDATE {EXECUTIONS}
    SET status = CASE WHEN {_CANCELLED} THEN 'cancelled' ELSE v.status END,
        reason = CASE WHEN {_CANCELLED} THEN 'user' ELSE v.reason END,
        output = v.output, error = v.error, ended_at = v.ended_at
    FROM %s
    WHERE {EXECUTIONS}.id = v.id AND {EXECUTIONS}.fence = v.fence AND {EXECUTIONS}.status = 'running'
    RETURNING {EXECUTIONS}.id, {EXECUTIONS}.status"""
END = ManyRows(
    one=_END % f"(SELECT {', '.join(f'%s AS {name}' for name, _ in _ENDED)}) AS v",
    many=_END % unnest(_ENDED),
)

CANCEL_PENDING = f"""
    UPDATE {EXECUTIONS}
    SET status = 'cancelled', reason = 'user', cancel_requested_at = %s, cancel_requested_by_id = %s,
        cancel_reason = %s, ended_at = %s,
        last_seq = last_seq + (SELECT COUNT(*) FROM {NODES} WHERE execution_id = %s) + 2
    WHERE id = %s AND status = 'pending' RETURNING last_seq"""

REQUEST_CANCEL = f"""
    UPDATE {EXECUTIONS}
    SET cancel_requested_at = %s, cancel_requested_by_id = %s, cancel_reason = %s, last_seq = last_seq + 1
    WHERE id = %s AND status = 'running' AND cancel_requested_at IS NULL RETURNING last_seq"""

# The item is a value of each row and no constant: PostgreSQL takes that for rare as long as it has no statistics, and
# looks up nothing else.
_NODE: Columns = [("execution_id", "uuid"), ("order", "int"), ("item", "int")]
_OPEN = f"{NODES}.status IN ('pending', 'running')"
_START: Columns = [("attempt_id", "text"), ("input", "text"), ("started_at", "timestamptz")]
_ERROR: Columns = [("error", "text"), ("error_message", "text"), ("traceback", "text")]
_SETTLE: Columns = [
    ("status", "text"), ("reason", "text"), ("retry_count", "int"), ("output", "text"), *_ERROR,
    ("details", "text"), ("edges", "text"), ("ended_at", "timestamptz"),
]  # fmt: skip

NODE_STARTED = update(NODES, [*_START, ("retry_count", "int")], fixed="status = 'running'", keys=_NODE, only=_OPEN)
NODE_RETRYING = update(
    NODES,
    [("retry_count", "int"), ("due_at", "timestamptz"), *_ERROR],
    fixed="status = 'pending'",
    keys=_NODE,
    only=_OPEN,
)
NODE_SETTLED = update(NODES, _SETTLE, keys=_NODE, only=_OPEN)
# A start and an end that meet in one batch are one row write.
NODE_STARTED_AND_SETTLED = update(NODES, [*_START, *_SETTLE], keys=_NODE, only=_OPEN)

_ATTEMPT_END: Columns = [
    ("outcome", "text"), ("error", "text"), ("traceback", "text"), ("ended_at", "timestamptz"),
    ("pre_process_us", "bigint"), ("process_us", "bigint"), ("post_process_us", "bigint"),
    ("bytes_in", "bigint"), ("bytes_out", "bigint"),
]  # fmt: skip
ATTEMPT = insert(
    ATTEMPTS,
    [
        ("attempt_id", "text"), ("execution_id", "uuid"), ("order", "int"), ("number", "int"), ("fence", "int"),
        ("started_at", "timestamptz"), *_ATTEMPT_END,
    ],
    fixed="item", values="-1",
)  # fmt: skip
# A late result finds no attempt that is under way.
ATTEMPT_ENDED = update(ATTEMPTS, _ATTEMPT_END, keys=[("attempt_id", "text")], only=f"{ATTEMPTS}.outcome = 'started'")

ABANDON_ATTEMPTS = f"""
    UPDATE {ATTEMPTS} SET outcome = '{AttemptOutcome.ABANDONED}', ended_at = %s
    WHERE execution_id = %s AND outcome = 'started'"""

CANCEL_OPEN_NODES = f"""
    UPDATE {NODES} SET status = 'cancelled', reason = %s, ended_at = %s
    WHERE execution_id = %s AND status IN ('pending', 'running') RETURNING key"""

INSERT_LOG = insert(
    LOGS,
    [
        ("execution_id", "uuid"), ("seq", "int"), ("event", "text"), ("level", "text"), ("node", "text"),
        ("message", "text"), ("data", "text"), ("at", "timestamptz"),
    ],
)  # fmt: skip

INSERT_NODE = insert(
    NODES,
    [
        ("execution_id", "uuid"), ("order", "int"), ("key", "text"), ("type", "text"), ("name", "text"),
        ("level", "int"),
    ],
    fixed="item, status, reason, retry_count, attempt_id, error_message, traceback, edges",
    values="-1, 'pending', '', 0, '', '', '', ''",
)  # fmt: skip


# What ended for good in another execution of the same plan.
KEEP_NODES = f"""
    UPDATE {NODES} SET status = o.status, reason = o.reason, retry_count = o.retry_count, input = o.input,
        output = o.output, details = o.details, edges = o.edges, started_at = o.started_at, ended_at = o.ended_at
    FROM {NODES} AS o
    WHERE {NODES}.execution_id = %s AND o.execution_id = %s AND {NODES}."order" = o."order"
        AND {NODES}.item = o.item AND o."order" IN (%%s)
    RETURNING {NODES}."order", {NODES}.key, {NODES}.status"""


class End(NamedTuple):
    """How an execution ends; `output` and `error` are JSON text."""

    status: ExecutionStatus
    reason: Reason | None
    output: str | None
    error: str | None
    at: datetime


def db_id(execution_id: uuid.UUID) -> Any:
    """An id as this database's driver takes it."""
    return execution_id if connection.features.has_native_uuid_field else execution_id.hex


def db_time(at: datetime) -> Any:
    """An aware UTC time as this database's driver takes it."""
    return time_adapter()(at)


def time_adapter() -> Callable[[datetime], Any]:
    """`db_time` for many times: which database it is, is asked once."""
    return _time_as_text if connection.vendor == "sqlite" else _time_as_it_is


def _time_as_text(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")


def _time_as_it_is(at: datetime) -> datetime:
    return at


def now() -> datetime:
    return datetime.now(UTC)


def insert_execution(execution: WorkflowExecution) -> None:
    """The row of an accepted execution. Raises `IntegrityError` where a constraint says no."""
    fields = [field for field in WorkflowExecution._meta.concrete_fields if not _is_left_out(execution, field.attname)]
    values = [field.get_db_prep_save(getattr(execution, field.attname), connection=connection) for field in fields]
    columns = ", ".join(connection.ops.quote_name(cast(str, field.column)) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {EXECUTIONS} ({columns}) VALUES ({', '.join(['%s'] * len(fields))}) RETURNING due_at", values
        )
        execution.due_at = aware(cursor.fetchone()[0])


def _is_left_out(execution: WorkflowExecution, name: str) -> bool:
    """What the database fills in: by its own clock, where it is a time."""
    return isinstance(getattr(execution, name), DatabaseDefault)


def insert_nodes(execution_id: uuid.UUID, plan: Plan) -> None:
    """A row for every node of a run, from its acceptance on."""
    row_id = db_id(execution_id)
    with connection.cursor() as cursor:
        _ = INSERT_NODE.run(
            cursor,
            [
                (row_id, order, node.key, str(node.type), node.label, level)
                for order, (node, level) in enumerate(zip(plan.nodes, plan.levels, strict=True))
            ],
        )


def keep_nodes(execution_id: uuid.UUID, earlier: uuid.UUID, orders: Sequence[int], *, first_seq: int) -> None:
    """Let a new execution begin with what these nodes came to in an earlier one, and say so in its journal."""
    entries: list[tuple[Any, ...]] = []
    row_id, at = db_id(execution_id), db_time(now())
    with connection.cursor() as cursor:
        for chunk in batched(orders, 500):
            marks = ", ".join(["%s"] * len(chunk))
            cursor.execute(KEEP_NODES.replace("%%s", marks), (row_id, db_id(earlier), *chunk))
            for _, key, status in sorted(cursor.fetchall()):
                message = f"Node '{key}' stays {status}, as in execution {earlier}."
                data = jsontext.dumps({"status": status, "kept_from": str(earlier)})
                seq = first_seq + len(entries)
                entries.append((row_id, seq, f"node.{status}", "info", key, message, data, at))
        if entries:
            _ = INSERT_LOG.run(cursor, entries)


def write_log(
    cursor: CursorWrapper,
    execution_id: uuid.UUID,
    seq: int,
    event: str,
    message: str,
    *,
    node: str = "",
    level: str = "info",
    data: dict[str, Any] | None = None,
) -> None:
    """One journal entry whose number the caller has allocated in this transaction."""
    entry = (db_id(execution_id), seq, event, level, node, message, jsontext.dumps(data or {}), db_time(now()))
    _ = INSERT_LOG.run(cursor, [entry])


class CancelRequest(NamedTuple):
    """Who asks for the end of a run, and why; both may be empty."""

    user_id: Any = None
    user_name: str = ""
    why: str = ""

    @property
    def sentence(self) -> str:
        by = f" by {self.user_name}" if self.user_name else ""
        return f"Cancellation was requested{by}{f': {self.why}' if self.why else '.'}"


NOBODY = CancelRequest()


def request_cancel(execution_id: uuid.UUID, request: CancelRequest = NOBODY) -> bool:
    """Cancel a pending execution on the spot; mark a running one for its owner. Otherwise change nothing.

    True where the execution ended here.
    """
    row_id, at = db_id(execution_id), db_time(now())
    asked = (at, request.user_id, request.why)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CANCEL_PENDING, (*asked, at, row_id, row_id))
        row = cursor.fetchone()
        if row is not None:
            _cancel_unstarted(cursor, execution_id, request, last_seq=row[0])
            return True
        cursor.execute(REQUEST_CANCEL, (*asked, row_id))
        row = cursor.fetchone()
        if row is not None:
            write_log(cursor, execution_id, row[0], "execution.cancel_requested", request.sentence)
            notify_cancel(cursor, execution_id)
    return False


def cancel_requested(execution_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Which of these executions are marked for cancellation and have not ended."""
    marked = WorkflowExecution.objects.filter(
        pk__in=execution_ids, status=ExecutionStatus.RUNNING, cancel_requested_at__isnull=False
    )
    return list(marked.values_list("pk", flat=True))


def touch_nothing() -> None:
    """A change of no row. Raises what the database raises when it takes no changes."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {EXECUTIONS} SET last_seq = last_seq WHERE id IS NULL")


def is_owned(execution_id: uuid.UUID, fence: int) -> bool:
    """Whether a run belongs to the engine with this fence, or ended while it did."""
    return WorkflowExecution.objects.filter(pk=execution_id, fence=fence).exists()


def fail_run(execution_id: uuid.UUID, fence: int, error: dict[str, Any], reason: Reason = Reason.CRASHED) -> bool:
    """End a run that cannot go on: open nodes cancelled, the execution failed. False where it is not ours."""
    ended_at = now()
    row_id, at = db_id(execution_id), db_time(ended_at)
    failed = str(ExecutionStatus.FAILED)
    with committed("fail_run"), connection.cursor() as cursor:
        locked = LOCK_AND_NUMBER.returned(cursor, [(0, 1, row_id, fence)])
        if not locked:
            return False
        seq: int = locked[0][1]
        cursor.execute(CANCEL_OPEN_NODES, (str(Reason.SHUTDOWN), at, row_id))
        keys = [key for (key,) in cursor.fetchall()]
        cursor.execute(ABANDON_ATTEMPTS, (at, row_id))
        cursor.execute(ABANDON_CALLS, (at, row_id))
        drop_jobs_of(cursor, row_id)
        _ = LOCK_AND_NUMBER.returned(cursor, [(len(keys) + 1, 1, row_id, fence)])
        _log_cancelled_nodes(cursor, execution_id, keys, Reason.SHUTDOWN, first_seq=seq + 1)
        end = End(ExecutionStatus.FAILED, reason, output=None, error=jsontext.dumps(error), at=ended_at)
        _ = END.returned(cursor, [end_row(end, row_id, fence)])
        write_log(
            cursor,
            execution_id,
            seq + len(keys) + 1,
            "execution.failed",
            f"Execution failed: {error['message']}",
            level="error",
            data={"status": failed, "reason": str(reason), "error": error},
        )
    return True


def end_row(end: End, row_id: Any, fence: int) -> tuple[Any, ...]:
    """The parameters of `END`."""
    return (str(end.status), str(end.reason or ""), end.output, end.error, db_time(end.at), row_id, fence)


def _cancel_unstarted(cursor: CursorWrapper, execution_id: uuid.UUID, request: CancelRequest, *, last_seq: int) -> None:
    cursor.execute(CANCEL_OPEN_NODES, (str(Reason.USER), db_time(now()), db_id(execution_id)))
    keys = [key for (key,) in cursor.fetchall()]
    first = last_seq - len(keys) - 1
    write_log(cursor, execution_id, first, "execution.cancel_requested", request.sentence)
    _log_cancelled_nodes(cursor, execution_id, keys, Reason.USER, first_seq=first + 1)
    data = {"status": str(ExecutionStatus.CANCELLED), "reason": str(Reason.USER)}
    write_log(cursor, execution_id, last_seq, "execution.cancelled", "Execution cancelled.", data=data)


def _log_cancelled_nodes(
    cursor: CursorWrapper, execution_id: uuid.UUID, keys: Sequence[str], reason: Reason, *, first_seq: int
) -> None:
    data = {"status": str(NodeStatus.CANCELLED), "reason": str(reason)}
    for seq, key in enumerate(keys, first_seq):
        message = f"Node '{key}' was cancelled ({reason})."
        write_log(cursor, execution_id, seq, "node.cancelled", message, node=key, data=data)


def aware(value: datetime | str) -> datetime:
    """A time as a raw cursor gives it: on SQLite text, or a time that does not say that it is in UTC."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
