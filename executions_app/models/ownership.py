"""Who owns a run: claims, leases and what a new owner finds. Compare-and-set like `querysets`, whose other half it is.

An owner has a run until its lease runs out. Whoever takes the run gets a higher fence; what an owner with a lower one
writes is refused. The database's clock decides about leases.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from django.db.models.functions import Now

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.progress import NOTHING_YET, NodeProgress, Progress
from executions_app.engine.states import TERMINAL_NODE, NodeStatus
from executions_app.models import turns
from executions_app.models.attempt import NodeAttempt
from executions_app.models.commits import committed
from executions_app.models.execution import WorkflowExecution
from executions_app.models.node_execution import NodeExecution
from executions_app.models.notices import notify_work
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
from executions_app.models.spending import ABANDON_CALLS, spent_by_node
from executions_app.models.turns import Asked, moment
from executions_app.models.withdrawal import withdraw_jobs_of
from workflows_app.agents.calls import Spent
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Scheduling

# Not `cancel_requested_at IS NOT NULL`: SQLite before 3.41 takes that for true in every RETURNING.
_CLAIMED = """id, version_id, input, trigger_type, scheduling, fence, last_seq, started_at, recoveries,
    cancel_requested_at, claimed_by, rerun_of_id"""
_TAKEN = "fence = fence + 1, lease_until = {lease}, last_seq = last_seq + 1, recorded_seq = last_seq + 1"

CLAIM = f"""
    UPDATE {EXECUTIONS}
    SET status = 'running', claimed_by = %s, {_TAKEN}, started_at = COALESCE(started_at, %s)
    WHERE id IN ({{ids}}) AND status = 'pending' RETURNING {_CLAIMED}"""

# A lease that was given back is no crash; nor is one that this engine itself could not prolong.
RECLAIM = f"""
    UPDATE {EXECUTIONS}
    SET recoveries = recoveries + CASE WHEN claimed_by IN ('', %s) THEN 0 ELSE 1 END, claimed_by = %s, {_TAKEN}
    WHERE id = %s AND fence = %s AND status = 'running' RETURNING {_CLAIMED}"""

RENEW = f"""
    WITH own AS MATERIALIZED (
        SELECT id FROM {EXECUTIONS}
        WHERE id IN ({{ids}}) AND claimed_by = %s AND status = 'running' ORDER BY id {{lock}})
    UPDATE {EXECUTIONS} SET lease_until = {{lease}} WHERE id IN (SELECT id FROM own)
    RETURNING id, fence, cancel_requested_at"""

RELEASE = f"""
    UPDATE {EXECUTIONS} SET claimed_by = '', lease_until = {{lease}}
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
    owner: str
    # Of a re-run some nodes may have ended before it starts.
    is_rerun: bool = False
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
    version_id: uuid.UUID
    recoveries: int = 0

    @property
    def is_suspect(self) -> bool:
        """An engine took it over from a dead one, and died before any of its nodes was settled."""
        return bool(self.owner) and self.recoveries > 0


def claim(execution_id: uuid.UUID, owner: str, lease_seconds: float) -> Claim | None:
    """Take a pending execution; None where it is no longer pending, is due later, or has to wait for others."""
    with committed("claim"), connection.cursor() as cursor:
        taken = _claim(cursor, [execution_id], owner, lease_seconds) if turns.has_place(cursor, execution_id) else ()
    return taken[0] if taken else None


def claim_waiting(asked: Asked, owner: str, lease_seconds: float) -> Sequence[Claim]:
    """Take pending executions in their order."""
    with connection.cursor() as cursor:
        if not turns.may_find(cursor, asked):
            return ()
    with committed("claim"), connection.cursor() as cursor:
        # Several engines may ask at the same time.
        found = turns.within_limits(cursor, turns.waiting(cursor, asked, lock=True))
        return _claim(cursor, [one.execution_id for one in found], owner, lease_seconds) if found else ()


def _claim(cursor: CursorWrapper, ids: Sequence[uuid.UUID], owner: str, lease_seconds: float) -> Sequence[Claim]:
    statement = CLAIM.format(lease=moment(lease_seconds), ids=", ".join(["%s"] * len(ids)))
    cursor.execute(statement, (owner, db_time(now()), *map(db_id, ids)))
    claims = [_claim_of(row) for row in cursor.fetchall()]
    for one in claims:
        data = {"fence": one.fence, "owner": one.owner}
        write_log(cursor, one.execution_id, one.last_seq, "execution.running", "Execution started.", data=data)
    claims = [one._replace(progress=progress_of(one.execution_id)) if one.is_rerun else one for one in claims]
    return sorted(claims, key=lambda claim: ids.index(claim.execution_id))


def abandoned(dead: Sequence[str], limit: int | None = None, ids: Sequence[uuid.UUID] = ()) -> Sequence[Abandoned]:
    """Running executions whose lease has run out, or whose owner is known to be dead; of these ids, or all.

    Those that may have killed their engine come last, then the oldest leases come first.
    """
    found = WorkflowExecution.objects.filter(status="running")
    if ids:
        found = found.filter(pk__in=ids)
    # Not two querysets with `|`, which would ask for the status in each half, and SQLite would read every execution.
    gone = found.filter(Q(lease_until__lt=Now()) | Q(claimed_by__in=dead))
    columns = ("id", "fence", "claimed_by", "version_id", "recoveries")
    return [Abandoned(*row) for row in gone.order_by("recoveries", "lease_until").values_list(*columns)[:limit]]


def owners() -> Sequence[str]:
    """The engines that have runs."""
    found = WorkflowExecution.objects.filter(status="running").exclude(claimed_by="").order_by()
    return list(found.values_list("claimed_by", flat=True).distinct())


def reclaim(seen: Abandoned, owner: str, lease_seconds: float, plan: Plan) -> Claim | None:
    """Take a run whose owner is gone, with where it stands; None where somebody else was first.

    In the same transaction what was at work is put right: its attempt is abandoned, and it is pending again unless
    its work cannot be repeated. Calls of agents that were under way count as all that was reserved for them.
    """
    row_id = db_id(seen.execution_id)
    with committed("reclaim"), connection.cursor() as cursor:
        cursor.execute(RECLAIM.format(lease=moment(lease_seconds)), (owner, owner, row_id, seen.fence))
        row = cursor.fetchone()
        if row is None:
            return None
        taken = _claim_of(row)
        cursor.execute(ABANDON_ATTEMPTS, (db_time(now()), row_id))
        cursor.execute(ABANDON_CALLS, (db_time(now()), row_id))
        calls: int = cursor.rowcount
        withdraw_jobs_of(cursor, row_id)
        at_work = NodeExecution.objects.filter(execution_id=seen.execution_id, status=NodeStatus.RUNNING)
        orders: list[int] = list(at_work.values_list("order", flat=True))
        for order in orders:
            if plan.nodes[order].effect.is_repeatable:
                cursor.execute(REPEAT_NODE, (row_id, order))
        message = f"Engine {owner} goes on with the execution{_why(seen, owner)}."
        data = {"fence": taken.fence, "owner": owner, "before": seen.owner, "recoveries": taken.recoveries}
        if calls:
            data["abandoned_calls"] = calls
        write_log(cursor, seen.execution_id, taken.last_seq, "execution.recovered", message, level="warning", data=data)
        progress = progress_of(seen.execution_id)
    return taken._replace(progress=progress)


def _why(seen: Abandoned, owner: str) -> str:
    if not seen.owner:
        return ", which was handed back"
    return ", whose lease it had lost" if seen.owner == owner else f"; {seen.owner} died"


def renew(execution_ids: Sequence[uuid.UUID], owner: str, lease_seconds: float) -> Sequence[Renewed]:
    """Prolong the leases of these runs: those that are still the owner's."""
    statement = RENEW.format(
        lease=moment(lease_seconds),
        ids=", ".join(["%s"] * len(execution_ids)),
        lock="FOR UPDATE" if connection.features.has_select_for_update else "",
    )
    with committed("renew"), connection.cursor() as cursor:
        cursor.execute(statement, (*map(db_id, execution_ids), owner))
        return [Renewed(uuid.UUID(str(id_)), fence, wanted is not None) for id_, fence, wanted in cursor.fetchall()]


def release(execution_id: uuid.UUID, fence: int, owner: str) -> None:
    """Give a run back: whoever looks next may take it at once."""
    with committed("release"), connection.cursor() as cursor:
        cursor.execute(RELEASE.format(lease=moment(0)), (db_id(execution_id), fence, owner))
        notify_work(cursor)


def progress_of(execution_id: uuid.UUID) -> Progress:
    """Where a run stands, from its rows, which nobody else changes meanwhile."""
    tries = Counter(NodeAttempt.objects.filter(execution_id=execution_id).values_list("order", flat=True))
    touched = NodeExecution.objects.filter(execution_id=execution_id).exclude(status="pending", started_at=None)
    rows = [_Row(*row) for row in touched.values_list(*_Row._fields)]
    # Nulls last: what has not ended.
    rows.sort(key=lambda row: (row.ended_at is None, row.ended_at or row.started_at, row.order))
    spent = spent_by_node(execution_id)
    return Progress(nodes=[_node_progress(row, tries[row.order], spent.get(row.order)) for row in rows])


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
    attempt_id: str


def _node_progress(row: _Row, attempts: int, spent: Spent | None) -> NodeProgress:
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
        attempt_id=row.attempt_id,
        spent=spent,
    )


def _claim_of(row: tuple[Any, ...]) -> Claim:
    id_, version_id, text, trigger, scheduling, fence, last_seq, started_at, recoveries, cancel, owner, before = row
    return Claim(
        execution_id=uuid.UUID(str(id_)),
        version_id=uuid.UUID(str(version_id)),
        input=text,
        trigger_type=trigger,
        scheduling=Scheduling(scheduling),
        fence=fence,
        last_seq=last_seq,
        started_at=aware(started_at),
        recoveries=recoveries,
        cancel_requested=cancel is not None,
        owner=owner,
        is_rerun=before is not None,
    )
