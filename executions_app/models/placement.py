"""Node jobs on record: who waits for one, who has it, what comes of it. Compare-and-set, as all that decides.

Its engine posts a job, withdraws it, and finds out that its worker is gone. A worker has a job until its lease runs out
or the engine, whose fence must be the execution's, does not want it any more; what it says after that is refused.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models.functions import Now

from executions_app.models.commits import committed
from executions_app.models.job import JobState, NodeJob
from executions_app.models.notices import notify_job, notify_work
from executions_app.models.querysets import EXECUTIONS, aware, db_id, db_time
from executions_app.models.turns import moment
from executions_app.models.withdrawal import JOBS

_OWNED = f"{EXECUTIONS}.fence = {JOBS}.fence AND {EXECUTIONS}.status = 'running'"
_ITS_ENGINE_WAITS = f"EXISTS (SELECT 1 FROM {EXECUTIONS} WHERE {EXECUTIONS}.id = {JOBS}.execution_id AND {_OWNED})"

POST = f"""
    INSERT INTO {JOBS} (attempt_id, execution_id, fence, "order", item, number, retry_count, first_at, queue, priority,
        posted_at, deadline, state, claimed_by, outcome, lines, told, heard)
    SELECT %s, id, fence, %s, -1, %s, %s, %s, %s, priority, {{now}}, {{deadline}}, 'waiting', '', '', '', 0, 0
    FROM {EXECUTIONS} WHERE id = %s AND fence = %s AND status = 'running' {{lock}}"""

TAKE = f"""
    WITH next AS MATERIALIZED (
        SELECT {JOBS}.attempt_id FROM {JOBS} JOIN {EXECUTIONS} ON {EXECUTIONS}.id = {JOBS}.execution_id
        WHERE state = 'waiting' AND {_OWNED} {{of_queues}}
        ORDER BY {JOBS}.priority DESC, {JOBS}.attempt_id LIMIT %s {{skip_locked}})
    UPDATE {JOBS} SET state = 'taken', claimed_by = %s, lease_until = {{lease}}
    WHERE attempt_id IN (SELECT attempt_id FROM next)
    RETURNING attempt_id, execution_id, fence, "order", number, retry_count, first_at, deadline, {{now}}"""

RENEW = f"""
    WITH own AS MATERIALIZED (
        SELECT attempt_id FROM {JOBS}
        WHERE attempt_id IN ({{ids}}) AND claimed_by = %s AND state = 'taken' ORDER BY attempt_id {{lock}})
    UPDATE {JOBS} SET lease_until = {{lease}} WHERE attempt_id IN (SELECT attempt_id FROM own)"""

TELL = f"UPDATE {JOBS} SET lines = %s, told = %s WHERE attempt_id = %s AND claimed_by = %s AND state = 'taken'"

FINISH = f"""
    UPDATE {JOBS} SET state = 'done', outcome = %s, lines = %s, told = %s
    WHERE attempt_id = %s AND claimed_by = %s AND state = 'taken' AND {_ITS_ENGINE_WAITS}"""

SAY_STOPPED = f"UPDATE {JOBS} SET state = 'stopped' WHERE attempt_id = %s AND claimed_by = %s AND state = 'withdrawn'"

WITHDRAW = f"""
    UPDATE {JOBS} SET state = CASE state WHEN 'taken' THEN 'withdrawn' ELSE 'stopped' END
    WHERE attempt_id = %s AND state IN ('waiting', 'taken') RETURNING state"""

LOSE = f"""
    UPDATE {JOBS} SET state = 'stopped'
    WHERE attempt_id = %s AND claimed_by = %s AND state IN ('taken', 'withdrawn')
        AND (lease_until < {{now}} OR {{dead}})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A job for a queue, which is over after so many seconds."""

    attempt_id: str
    execution_id: uuid.UUID
    fence: int
    order: int
    number: int
    retry_count: int
    first_at: datetime
    queue: str
    seconds: float


class Taken(NamedTuple):
    """A job that a worker has, and how many seconds are left for it."""

    attempt_id: str
    execution_id: uuid.UUID
    fence: int
    order: int
    number: int
    retry_count: int
    first_at: datetime
    seconds: float


class Seen(NamedTuple):
    """A job as its engine finds it. `lines` begins with number `told` of all lines."""

    attempt_id: str
    state: JobState
    worker: str
    is_over: bool
    told: int
    heard: int
    lines: str
    outcome: str


def post(one: Posting) -> bool:
    """Offer a job to the workers of its queue. False where the execution is another engine's, or over."""
    statement = POST.format(now=moment(0), deadline=moment(one.seconds), lock=_lock("FOR SHARE"))
    what = (one.attempt_id, one.order, one.number, one.retry_count, db_time(one.first_at), one.queue)
    with committed("post_job"), connection.cursor() as cursor:
        cursor.execute(statement, (*what, db_id(one.execution_id), one.fence))
        is_posted = cursor.rowcount > 0
        if is_posted:
            notify_work(cursor)
    return is_posted


def take(limit: int, queues: Sequence[str], worker: str, lease_seconds: float) -> Sequence[Taken]:
    """Take jobs of these queues, or of all: of a higher priority first, then the oldest."""
    waiting = NodeJob.objects.filter(state=JobState.WAITING)
    if not (waiting.filter(queue__in=queues) if queues else waiting).exists():
        # On SQLite a change of nothing would still take the lock.
        return ()
    statement = TAKE.format(
        of_queues=f"AND {JOBS}.queue IN ({', '.join(['%s'] * len(queues))})" if queues else "",
        skip_locked=f"FOR UPDATE OF {JOBS} SKIP LOCKED" if _lock("x") else "",
        lease=moment(lease_seconds),
        now=moment(0),
    )
    with committed("take_job"), connection.cursor() as cursor:
        cursor.execute(statement, (*queues, limit, worker))
        jobs = [_taken(*row) for row in sorted(cursor.fetchall())]
        for job in jobs:
            notify_job(cursor, job.attempt_id)
    return jobs


def renew(attempt_ids: Sequence[str], worker: str, lease_seconds: float) -> None:
    """Prolong the leases of these jobs, as far as they are still the worker's."""
    marks = ", ".join(["%s"] * len(attempt_ids))
    with committed("renew_jobs"), connection.cursor() as cursor:
        statement = RENEW.format(ids=marks, lease=moment(lease_seconds), lock=_lock("FOR UPDATE"))
        cursor.execute(statement, (*attempt_ids, worker))


def still_wanted(attempt_ids: Sequence[str], worker: str) -> dict[str, int]:
    """Which of these jobs the worker is still to run, with how many of its lines the engine has heard."""
    found = NodeJob.objects.filter(
        attempt_id__in=attempt_ids,
        claimed_by=worker,
        state=JobState.TAKEN,
    ).values_list("attempt_id", "heard", "fence", "execution__fence", "execution__status")
    return {
        attempt_id: heard
        for attempt_id, heard, fence, current, status in found
        if fence == current and status == "running"
    }


def tell(attempt_id: str, worker: str, lines: str, told: int) -> None:
    """Leave journal lines for the engine, which comes for them without a notice."""
    with committed("tell_job"), connection.cursor() as cursor:
        cursor.execute(TELL, (lines, told, attempt_id, worker))


def finish(attempt_id: str, worker: str, outcome: str, lines: str, told: int) -> bool:
    """Say what became of the attempt. False where nobody wants to know: nothing was written."""
    return _said(FINISH, attempt_id, (outcome, lines, told, attempt_id, worker))


def say_stopped(attempt_id: str, worker: str) -> None:
    """Nothing goes on any more of a job that was withdrawn."""
    _ = _said(SAY_STOPPED, attempt_id, (attempt_id, worker))


def withdraw(attempt_id: str) -> JobState | None:
    """Accept nothing more of a job: STOPPED where nobody has it, WITHDRAWN where a worker is to stop, else None."""
    with committed("withdraw_job"), connection.cursor() as cursor:
        cursor.execute(WITHDRAW, (attempt_id,))
        row = cursor.fetchone()
        if row is not None:
            notify_job(cursor, attempt_id)
    return None if row is None else JobState(row[0])


def lose(attempt_id: str, worker: str, *, is_dead: bool) -> bool:
    """Give a worker up that has the job: it is known to be dead, or its lease is over. False where it was quicker."""
    with committed("lose_job"), connection.cursor() as cursor:
        cursor.execute(LOSE.format(now=moment(0), dead="1 = 1" if is_dead else "1 = 0"), (attempt_id, worker))
        return cursor.rowcount > 0


def look(attempt_ids: Sequence[str]) -> Sequence[Seen]:
    """How these jobs stand."""
    found = NodeJob.objects.filter(attempt_id__in=attempt_ids).extra(  # noqa: S610
        select={"is_over": f"lease_until < {moment(0)}"}
    )
    columns = ("attempt_id", "state", "claimed_by", "is_over", "told", "heard", "lines", "outcome")
    return [
        Seen(attempt_id, JobState(state), worker, bool(is_over), *rest)
        for attempt_id, state, worker, is_over, *rest in found.values_list(*columns)
    ]


def stopping(attempt_id: str) -> str:
    """The worker that is to stop and has not said that it did, while its lease lasts; else nobody."""
    left = NodeJob.objects.filter(attempt_id=attempt_id, state=JobState.WITHDRAWN, lease_until__gte=Now())
    return left.values_list("claimed_by", flat=True).first() or ""


def hear(attempt_id: str, heard: int) -> None:
    """So many of its lines are in the journal."""
    _ = NodeJob.objects.filter(attempt_id=attempt_id).update(heard=heard)


def _said(statement: str, attempt_id: str, parameters: Sequence[Any]) -> bool:
    with committed("end_job"), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        counts = cursor.rowcount > 0
        if counts:
            notify_job(cursor, attempt_id)
    return counts


def _taken(*row: Any) -> Taken:
    attempt_id, execution_id, fence, order, number, retry_count, first_at, deadline, at = row
    seconds = max(0.0, (aware(deadline) - aware(at)).total_seconds())
    first = aware(first_at)
    return Taken(attempt_id, uuid.UUID(str(execution_id)), fence, order, number, retry_count, first, seconds)


def _lock(clause: str) -> str:
    return clause if connection.features.has_select_for_update else ""
