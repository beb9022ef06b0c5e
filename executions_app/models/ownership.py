"""Who owns a run: claims, leases and what a new owner finds. Compare-and-set like `querysets`, whose other half it is.

An owner has a run until its lease runs out. Whoever takes the run gets a higher fence; what an owner with a lower one
writes is refused. The database's clock decides about leases.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.progress import NOTHING_YET, NodeProgress, Progress
from executions_app.engine.states import TERMINAL_NODE, NodeStatus
from executions_app.models.attempt import NodeAttempt
from executions_app.models.execution import WorkflowExecution
from executions_app.models.node_execution import NodeExecution
from executions_app.models.querysets import (
    ABANDON_ATTEMPTS,
    EXECUTIONS,
    NODES,
    aware,
    db_id,
    db_time,
    now,
    write_log,
)
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Effect, Scheduling

# Not `cancel_requested_at IS NOT NULL`: SQLite before 3.41 takes that for true in every RETURNING.
_CLAIMED = """version_id, input, trigger_type, scheduling, fence, last_seq, started_at, recoveries,
    cancel_requested_at"""

CLAIM = f"""
    UPDATE {EXECUTIONS}
    SET status = 'running', fence = fence + 1, claimed_by = %s, lease_until = %s, last_seq = last_seq + 1,
        started_at = COALESCE(started_at, %s)
    WHERE id = %s AND status = 'pending' RETURNING {_CLAIMED}"""

# A lease that was given back is no crash.
RECLAIM = f"""
    UPDATE {EXECUTIONS}
    SET fence = fence + 1, lease_until = %s, last_seq = last_seq + 1,
        recoveries = recoveries + CASE WHEN claimed_by = '' THEN 0 ELSE 1 END, claimed_by = %s
    WHERE id = %s AND fence = %s AND status = 'running' RETURNING {_CLAIMED}"""

RENEW = f"""
    UPDATE {EXECUTIONS} SET lease_until = %s
    WHERE claimed_by = %s AND status = 'running' RETURNING id, fence, cancel_requested_at"""

RELEASE = f"""
    UPDATE {EXECUTIONS} SET claimed_by = '', lease_until = %s
    WHERE id = %s AND fence = %s AND claimed_by = %s AND status = 'running'"""

REPEAT_NODE = f"""
    UPDATE {NODES} SET status = 'pending'
    WHERE execution_id = %s AND "order" = %s AND item = -1 AND status = 'running'"""


class Claim(NamedTuple):
    """What the owner of a run needs: its fence, and what there is to do."""

    execution_id: uuid.UUID
    version_id: uuid.UUID
    # JSON text.
    input: str
    trigger_type: str
    scheduling: Scheduling
    fence: int
    last_seq: int
    started_at: datetime
    # How many engines in a row died of it.
    recoveries: int
    cancel_requested: bool
    progress: Progress = NOTHING_YET


class Renewed(NamedTuple):
    """A run that is still its owner's."""

    execution_id: uuid.UUID
    fence: int
    cancel_requested: bool


class Abandoned(NamedTuple):
    """A run whose owner is gone, as it was seen."""

    execution_id: uuid.UUID
    fence: int
    owner: str


def claim(execution_id: uuid.UUID, owner: str, lease_seconds: float) -> Claim | None:
    """Take a pending execution; None where it is no longer pending."""
    at = now()
    lease_until = at + timedelta(seconds=lease_seconds)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM, (owner, db_time(lease_until), db_time(at), db_id(execution_id)))
        taken = _claim_of(execution_id, cursor)
        if taken is not None:
            data = {"fence": taken.fence, "owner": owner}
            write_log(cursor, execution_id, taken.last_seq, "execution.running", "Execution started.", data=data)
        return taken


def abandoned(dead: Sequence[str], limit: int) -> Sequence[Abandoned]:
    """Running executions whose lease has run out, or whose owner is known to be dead; the oldest leases first."""
    found = WorkflowExecution.objects.filter(status="running")
    gone = found.filter(lease_until__lt=now()) | found.filter(claimed_by__in=dead)
    return [Abandoned(*row) for row in gone.order_by("lease_until").values_list("id", "fence", "claimed_by")[:limit]]


def owners() -> Sequence[str]:
    """The engines that have runs."""
    found = WorkflowExecution.objects.filter(status="running").exclude(claimed_by="").order_by()
    return list(found.values_list("claimed_by", flat=True).distinct())


def waiting(limit: int) -> Sequence[uuid.UUID]:
    """Executions that nobody has taken yet, in the order in which they were accepted."""
    found = WorkflowExecution.objects.filter(status="pending").order_by("created_at", "id")
    return list(found.values_list("id", flat=True)[:limit])


def reclaim(seen: Abandoned, owner: str, lease_seconds: float, plan: Plan) -> Claim | None:
    """Take a run whose owner is gone, with where it stands; None where somebody else was first.

    In the same transaction what was at work is put right: its attempt is abandoned, and it is pending again unless
    its work cannot be repeated.
    """
    lease_until = db_time(now() + timedelta(seconds=lease_seconds))
    row_id = db_id(seen.execution_id)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(RECLAIM, (lease_until, owner, row_id, seen.fence))
        taken = _claim_of(seen.execution_id, cursor)
        if taken is None:
            return None
        cursor.execute(ABANDON_ATTEMPTS, (db_time(now()), row_id))
        at_work = NodeExecution.objects.filter(execution_id=seen.execution_id, status=NodeStatus.RUNNING)
        orders: list[int] = list(at_work.values_list("order", flat=True))
        for order in orders:
            if plan.nodes[order].effect is not Effect.AT_MOST_ONCE:
                cursor.execute(REPEAT_NODE, (row_id, order))
        message = (
            f"Engine {owner} goes on with the execution; {seen.owner} died."
            if seen.owner
            else f"Engine {owner} goes on with the execution, which was handed back."
        )
        data = {"fence": taken.fence, "owner": owner, "before": seen.owner, "recoveries": taken.recoveries}
        write_log(cursor, seen.execution_id, taken.last_seq, "execution.recovered", message, level="warning", data=data)
        return taken._replace(progress=progress_of(seen.execution_id))


def renew(owner: str, lease_seconds: float) -> Sequence[Renewed]:
    """Prolong the leases of all runs of an owner: those that are still its own."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(RENEW, (db_time(now() + timedelta(seconds=lease_seconds)), owner))
        return [Renewed(uuid.UUID(str(id_)), fence, wanted is not None) for id_, fence, wanted in cursor.fetchall()]


def release(execution_id: uuid.UUID, fence: int, owner: str) -> None:
    """Give a run back: whoever looks next may take it at once."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(RELEASE, (db_time(now()), db_id(execution_id), fence, owner))


def progress_of(execution_id: uuid.UUID) -> Progress:
    """Where a run stands, from its rows, which nobody else changes meanwhile."""
    tries: dict[int, int] = {}
    for order in NodeAttempt.objects.filter(execution_id=execution_id).values_list("order", flat=True):
        tries[order] = tries.get(order, 0) + 1
    touched = NodeExecution.objects.filter(execution_id=execution_id).exclude(status="pending", started_at=None)
    rows = [_Row(*row) for row in touched.values_list(*_Row._fields)]
    # Nulls last: what has not ended.
    rows.sort(key=lambda row: (row.ended_at is None, row.ended_at or row.started_at, row.order))
    return Progress(nodes=[_node_progress(row, tries.get(row.order, 0)) for row in rows])


class _Row(NamedTuple):
    """What counts of a node's row."""

    order: int
    status: str
    edges: str
    retry_count: int
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
    output: Any
    error: dict[str, Any] | None
    traceback: str
    details: dict[str, Any] | None


def _node_progress(row: _Row, attempts: int) -> NodeProgress:
    status = NodeStatus(row.status)
    has_output = row.output is not None or status is NodeStatus.COMPLETED
    return NodeProgress(
        node=row.order,
        status=status if status in TERMINAL_NODE else NodeStatus.PENDING,
        edges=row.edges,
        attempts=attempts,
        retry_count=row.retry_count,
        started_at=row.started_at,
        output=jsontext.dumps(row.output) if has_output else "",
        error=None if row.error is None else ErrorInfo(**row.error, traceback=row.traceback),
        cause=(row.details or {}).get("cause", ""),
        due_at=row.due_at,
        is_crashed=status is NodeStatus.RUNNING,
    )


def _claim_of(execution_id: uuid.UUID, cursor: CursorWrapper) -> Claim | None:
    row = cursor.fetchone()
    if row is None:
        return None
    version_id, input_text, trigger_type, scheduling, fence, last_seq, started_at, recoveries, cancelled = row
    return Claim(
        execution_id=execution_id,
        version_id=uuid.UUID(str(version_id)),
        input=input_text,
        trigger_type=trigger_type,
        scheduling=Scheduling(scheduling),
        fence=fence,
        last_seq=last_seq,
        started_at=aware(started_at),
        recoveries=recoveries,
        cancel_requested=cancelled is not None,
    )
