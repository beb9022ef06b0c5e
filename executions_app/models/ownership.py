"""Who owns a run: claims, leases and what a new owner finds. Compare-and-set like `querysets`, whose other half it is.

An owner has a run until its lease runs out. Whoever takes the run gets a higher fence; what an owner with a lower one
writes is refused. The database's clock decides about leases.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.progress import NOTHING_YET, NodeProgress, Progress
from executions_app.engine.states import TERMINAL_NODE, NodeStatus
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
    WHERE id = %s AND status = 'pending' RETURNING {_CLAIMED}"""

# Among so many that have waited longest everybody who started some has a turn before anybody has the next one.
_FAIR = 2000
# Several engines may ask at the same time: on PostgreSQL each passes over what another one is just taking.
CLAIM_WAITING = f"""
    WITH oldest AS (
        SELECT id, started_by_id, created_at FROM {EXECUTIONS}
        WHERE status = 'pending' AND (lease_until IS NULL OR lease_until < {{now}})
        ORDER BY created_at, id LIMIT {_FAIR}),
    turns AS (
        SELECT id, created_at, ROW_NUMBER() OVER (PARTITION BY started_by_id ORDER BY created_at, id) AS turn
        FROM oldest),
    next AS MATERIALIZED (
        SELECT e.id FROM turns JOIN {EXECUTIONS} AS e ON e.id = turns.id WHERE e.status = 'pending'
        ORDER BY turn, turns.created_at, e.id LIMIT %s {{skip_locked}})
    UPDATE {EXECUTIONS}
    SET status = 'running', claimed_by = %s, {_TAKEN}, started_at = COALESCE(started_at, %s)
    WHERE id IN (SELECT id FROM next) RETURNING {_CLAIMED}"""

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


class Asked(NamedTuple):
    """What an engine can take: so many, of these queues or of all, that have been due for so many seconds."""

    limit: int
    queues: Sequence[str] = ()
    patience: float = 0.0


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
    """Take a pending execution; None where it is no longer pending."""
    taken = _claim(CLAIM.format(lease=_in(lease_seconds)), (owner, db_time(now()), db_id(execution_id)))
    return taken[0] if taken else None


def claim_waiting(asked: Asked, owner: str, lease_seconds: float) -> Sequence[Claim]:
    """Take pending executions: those of one user in the order in which they were accepted, those of many by turns."""
    if not WorkflowExecution.objects.filter(status="pending").exists():
        # On SQLite a change of nothing would still take the lock.
        return ()
    skip_locked = "FOR UPDATE OF e SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    statement = CLAIM_WAITING.format(lease=_in(lease_seconds), now=_in(0), skip_locked=skip_locked)
    return _claim(statement, (asked.limit, owner, db_time(now())))


def _claim(statement: str, parameters: Sequence[Any]) -> Sequence[Claim]:
    with committed("claim"), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        claims = [_claim_of(row) for row in cursor.fetchall()]
        for one in claims:
            data = {"fence": one.fence, "owner": one.owner}
            write_log(cursor, one.execution_id, one.last_seq, "execution.running", "Execution started.", data=data)
        claims = [one._replace(progress=progress_of(one.execution_id)) if one.is_rerun else one for one in claims]
    # Ids are in the order of acceptance.
    return sorted(claims, key=lambda claim: claim.execution_id)


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
        cursor.execute(RECLAIM.format(lease=_in(lease_seconds)), (owner, owner, row_id, seen.fence))
        row = cursor.fetchone()
        if row is None:
            return None
        taken = _claim_of(row)
        cursor.execute(ABANDON_ATTEMPTS, (db_time(now()), row_id))
        cursor.execute(ABANDON_CALLS, (db_time(now()), row_id))
        calls: int = cursor.rowcount
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
        lease=_in(lease_seconds),
        ids=", ".join(["%s"] * len(execution_ids)),
        lock="FOR UPDATE" if connection.features.has_select_for_update else "",
    )
    with committed("renew"), connection.cursor() as cursor:
        cursor.execute(statement, (*map(db_id, execution_ids), owner))
        return [Renewed(uuid.UUID(str(id_)), fence, wanted is not None) for id_, fence, wanted in cursor.fetchall()]


def release(execution_id: uuid.UUID, fence: int, owner: str) -> None:
    """Give a run back: whoever looks next may take it at once."""
    with committed("release"), connection.cursor() as cursor:
        cursor.execute(RELEASE.format(lease=_in(0)), (db_id(execution_id), fence, owner))
        notify_work(cursor)


def _in(seconds: float) -> str:
    """The moment so many seconds from now, by the database's clock, as SQL. SQLite has no clock but this host's."""
    if connection.vendor == "sqlite":
        return f"'{db_time(now() + timedelta(seconds=seconds))}'"
    # Not `now()`, which stands still in a transaction.
    return f"clock_timestamp() + interval '{seconds} seconds'"


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
