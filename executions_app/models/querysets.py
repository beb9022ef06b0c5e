"""The compare-and-set statements: the one module that writes a `status`.

Every transition begins with a statement on the execution's row that checks what must hold, locks the row and
allocates the journal's next numbers. Where it changes no row, somebody else was first: nothing is written.
The statements are plain SQL that SQLite and PostgreSQL share; values go in as parameters.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from executions_app.engine.states import AttemptOutcome, ExecutionStatus, NodeStatus, Reason
from executions_app.models.attempt import NodeAttempt
from executions_app.models.execution import WorkflowExecution
from executions_app.models.log import ExecutionLog
from executions_app.models.node_execution import NodeExecution
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan

EXECUTIONS = WorkflowExecution._meta.db_table
NODES = NodeExecution._meta.db_table
ATTEMPTS = NodeAttempt._meta.db_table
LOGS = ExecutionLog._meta.db_table

# The second value is 0 where a node is settled, which ends a row of crashes, else 1.
LOCK_AND_NUMBER = f"""
    UPDATE {EXECUTIONS} SET last_seq = last_seq + %s, recoveries = recoveries * %s
    WHERE id = %s AND fence = %s AND status = 'running' RETURNING last_seq"""

# A cancel that was asked for before the end wins, also over a node's failure; the row's lock decides which came
# first. An end that nobody chose, such as a time limit, stays what it is.
_CANCELLED = "cancel_requested_at IS NOT NULL AND %s IN ('', 'node_error')"
END = f"""
    UPDATE {EXECUTIONS}
    SET status = CASE WHEN {_CANCELLED} THEN 'cancelled' ELSE %s END,
        reason = CASE WHEN {_CANCELLED} THEN 'user' ELSE %s END,
        output = %s, error = %s, ended_at = %s
    WHERE id = %s AND fence = %s AND status = 'running' RETURNING status"""

CANCEL_PENDING = f"""
    UPDATE {EXECUTIONS}
    SET status = 'cancelled', reason = 'user', cancel_requested_at = %s, ended_at = %s,
        last_seq = last_seq + (SELECT COUNT(*) FROM {NODES} WHERE execution_id = %s) + 2
    WHERE id = %s AND status = 'pending' RETURNING last_seq"""

REQUEST_CANCEL = f"""
    UPDATE {EXECUTIONS} SET cancel_requested_at = %s, last_seq = last_seq + 1
    WHERE id = %s AND status = 'running' AND cancel_requested_at IS NULL RETURNING last_seq"""

_NODE = "WHERE execution_id = %s AND \"order\" = %s AND item = -1 AND status IN ('pending', 'running')"

NODE_STARTED = f"""
    UPDATE {NODES}
    SET status = 'running', attempt_id = %s, retry_count = %s, input = %s, started_at = %s {_NODE}"""

NODE_RETRYING = f"""
    UPDATE {NODES}
    SET status = 'pending', retry_count = %s, due_at = %s, error = %s, error_message = %s, traceback = %s {_NODE}"""

NODE_SETTLED = f"""
    UPDATE {NODES}
    SET status = %s, reason = %s, retry_count = %s, output = %s, error = %s, error_message = %s, traceback = %s,
        details = %s, edges = %s, ended_at = %s {_NODE}"""

# A start and an end that meet in one batch are one row write.
NODE_STARTED_AND_SETTLED = f"""
    UPDATE {NODES}
    SET attempt_id = %s, input = %s, started_at = %s, status = %s, reason = %s, retry_count = %s, output = %s,
        error = %s, error_message = %s, traceback = %s, details = %s, edges = %s, ended_at = %s {_NODE}"""

ATTEMPT = f"""
    INSERT INTO {ATTEMPTS} (attempt_id, execution_id, "order", item, number, fence, started_at,
                            outcome, error, traceback, ended_at)
    VALUES (%s, %s, %s, -1, %s, %s, %s, %s, %s, %s, %s)"""

# A late result finds no attempt that is under way.
ATTEMPT_ENDED = f"""
    UPDATE {ATTEMPTS} SET outcome = %s, error = %s, traceback = %s, ended_at = %s
    WHERE attempt_id = %s AND outcome = 'started'"""

ABANDON_ATTEMPTS = f"""
    UPDATE {ATTEMPTS} SET outcome = '{AttemptOutcome.ABANDONED}', ended_at = %s
    WHERE execution_id = %s AND outcome = 'started'"""

CANCEL_OPEN_NODES = f"""
    UPDATE {NODES} SET status = 'cancelled', reason = %s, ended_at = %s
    WHERE execution_id = %s AND status IN ('pending', 'running') RETURNING key"""

INSERT_LOG = f"""
    INSERT INTO {LOGS} (execution_id, seq, event, level, node, message, data, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""

INSERT_NODE = f"""
    INSERT INTO {NODES} (execution_id, "order", item, key, type, name, level, status, reason, retry_count,
                         attempt_id, error_message, traceback, edges)
    VALUES (%s, %s, -1, %s, %s, %s, %s, 'pending', '', 0, '', '', '', '')"""


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
    fields = WorkflowExecution._meta.concrete_fields
    values = [field.get_db_prep_save(getattr(execution, field.attname), connection=connection) for field in fields]
    columns = ", ".join(connection.ops.quote_name(cast(str, field.column)) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {EXECUTIONS} ({columns}) VALUES ({', '.join(['%s'] * len(fields))})", values)


def insert_nodes(execution_id: uuid.UUID, plan: Plan) -> None:
    """A row for every node of a run, from its acceptance on."""
    row_id = db_id(execution_id)
    with connection.cursor() as cursor:
        cursor.executemany(
            INSERT_NODE,
            [
                (row_id, order, node.key, str(node.type), node.label, level)
                for order, (node, level) in enumerate(zip(plan.nodes, plan.levels, strict=True))
            ],
        )


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
    cursor.execute(
        INSERT_LOG,
        (db_id(execution_id), seq, event, level, node, message, jsontext.dumps(data or {}), db_time(now())),
    )


def request_cancel(execution_id: uuid.UUID) -> bool:
    """Cancel a pending execution on the spot; mark a running one for its owner. Otherwise change nothing.

    True where the execution ended here.
    """
    row_id, at = db_id(execution_id), db_time(now())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CANCEL_PENDING, (at, at, row_id, row_id))
        row = cursor.fetchone()
        if row is not None:
            _cancel_unstarted(cursor, execution_id, last_seq=row[0])
            return True
        cursor.execute(REQUEST_CANCEL, (at, row_id))
        row = cursor.fetchone()
        if row is not None:
            write_log(cursor, execution_id, row[0], "execution.cancel_requested", "Cancellation was requested.")
    return False


def cancel_requested(execution_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Which of these executions are marked for cancellation and have not ended."""
    marked = WorkflowExecution.objects.filter(
        pk__in=execution_ids, status=ExecutionStatus.RUNNING, cancel_requested_at__isnull=False
    )
    return list(marked.values_list("pk", flat=True))


def is_owned(execution_id: uuid.UUID, fence: int) -> bool:
    """Whether a run belongs to the engine with this fence, or ended while it did."""
    return WorkflowExecution.objects.filter(pk=execution_id, fence=fence).exists()


def fail_run(execution_id: uuid.UUID, fence: int, error: dict[str, Any], reason: Reason = Reason.CRASHED) -> bool:
    """End a run that cannot go on: open nodes cancelled, the execution failed. False where it is not ours."""
    ended_at = now()
    row_id, at = db_id(execution_id), db_time(ended_at)
    failed = str(ExecutionStatus.FAILED)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LOCK_AND_NUMBER, (0, 1, row_id, fence))
        row = cursor.fetchone()
        if row is None:
            return False
        seq: int = row[0]
        cursor.execute(CANCEL_OPEN_NODES, (str(Reason.SHUTDOWN), at, row_id))
        keys = [key for (key,) in cursor.fetchall()]
        cursor.execute(ABANDON_ATTEMPTS, (at, row_id))
        cursor.execute(LOCK_AND_NUMBER, (len(keys) + 1, 1, row_id, fence))
        _log_cancelled_nodes(cursor, execution_id, keys, Reason.SHUTDOWN, first_seq=seq + 1)
        end = End(ExecutionStatus.FAILED, reason, output=None, error=jsontext.dumps(error), at=ended_at)
        cursor.execute(END, end_values(end, row_id, fence))
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


def end_values(end: End, row_id: Any, fence: int) -> tuple[Any, ...]:
    """The parameters of `END`."""
    why = str(end.reason or "")
    return (why, str(end.status), why, why, end.output, end.error, db_time(end.at), row_id, fence)


def _cancel_unstarted(cursor: CursorWrapper, execution_id: uuid.UUID, *, last_seq: int) -> None:
    cursor.execute(CANCEL_OPEN_NODES, (str(Reason.USER), db_time(now()), db_id(execution_id)))
    keys = [key for (key,) in cursor.fetchall()]
    first = last_seq - len(keys) - 1
    write_log(cursor, execution_id, first, "execution.cancel_requested", "Cancellation was requested.")
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
