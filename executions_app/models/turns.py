"""Whose turn it is: which of the executions that wait an engine may take, and in which order.

Of a higher priority first; then everybody who started some has a turn before anybody has the next one, and whose last
turn is longest ago comes first; then the longest due. Those of a lane differ in nothing but since when they are due, so
that only its first ones can be next: however many wait, what is looked at are the lanes and their heads. Whatever has
ended frees its place by having ended; a run whose engine died keeps it, for it goes on.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db import connection
from django.db.backends.utils import CursorWrapper

from executions_app.models.execution import WorkflowExecution
from executions_app.models.querysets import EXECUTIONS, db_id, db_time, now


class Asked(NamedTuple):
    """What an engine can take: so many, of these queues or of all, once one has been due for so many seconds."""

    limit: int
    queues: Sequence[str] = ()
    patience: float = 0.0


class Waiting(NamedTuple):
    """An execution that waits for its turn."""

    execution_id: uuid.UUID
    concurrency_key: str
    concurrency_limit: int


# The smallest lane, then again and again the next one: as many steps through the index as there are lanes.
_LANES = f"""lanes(lane) AS (
        SELECT MIN(lane) FROM {EXECUTIONS} WHERE status = 'pending'
        UNION ALL
        SELECT (SELECT MIN(e.lane) FROM {EXECUTIONS} AS e WHERE e.status = 'pending' AND e.lane > lanes.lane)
        FROM lanes WHERE lanes.lane IS NOT NULL)"""
_HEADS = f"""
    FROM {EXECUTIONS} AS w
    WHERE w.status = 'pending' AND w.lane = lanes.lane AND w.due_at <= {{due}}
        AND (w.lease_until IS NULL OR w.lease_until < {{now}})
    ORDER BY w.due_at, w.id LIMIT {{depth}}"""
# As many of a lane as are wanted; of very many lanes fewer, for together there are more than enough.
_DEPTH = "(SELECT CASE WHEN COUNT(*) > 64 THEN 1 + {wanted} * 64 / COUNT(*) ELSE {wanted} END FROM lanes)"
# Where engines look at the same time each passes over what another one is just taking: then there must be more to find.
_SPARE = 64
# SQLite has no lateral joins, and PostgreSQL makes no index scan of what SQLite takes.
_OF_LANES = {
    "postgresql": f"FROM lanes CROSS JOIN LATERAL (SELECT w.* {_HEADS}) AS e",
    "sqlite": f"FROM lanes CROSS JOIN {EXECUTIONS} AS e ON e.id IN (SELECT w.id {_HEADS})",
}
# With a key, as its index has it.
_UNDER_WAY = "{0}status = 'running' AND {0}ended_at IS NULL AND {0}concurrency_key > ''"
_NEXT = f"""
    WITH RECURSIVE {_LANES},
    heads AS (
        SELECT e.id, e.priority, e.due_at, e.concurrency_key, e.concurrency_limit, e.started_by_id,
            COALESCE(CAST(e.started_by_id AS text), '') AS owner,
            ROW_NUMBER() OVER (PARTITION BY e.concurrency_key ORDER BY e.priority DESC, e.due_at, e.id) AS place
        OF LANES {{queues}}),
    served AS MATERIALIZED (
        SELECT owner, CASE WHEN started_by_id IS NULL
            THEN (SELECT MAX(s.started_at) FROM {EXECUTIONS} AS s WHERE s.started_by_id IS NULL)
            ELSE (SELECT MAX(s.started_at) FROM {EXECUTIONS} AS s WHERE s.started_by_id = owners.started_by_id)
            END AS latest
        FROM (SELECT DISTINCT owner, started_by_id FROM heads) AS owners),
    turns AS (
        SELECT id, priority, due_at, latest, ROW_NUMBER() OVER (
            PARTITION BY owner ORDER BY priority DESC, due_at, id) AS turn
        FROM heads JOIN served USING (owner)
        WHERE concurrency_key = '' OR place + (
            SELECT COUNT(*) FROM {EXECUTIONS} AS r
            WHERE {_UNDER_WAY.format("r.")} AND r.concurrency_key = heads.concurrency_key
        ) <= concurrency_limit
        ORDER BY priority DESC, turn, latest NULLS FIRST, due_at, id LIMIT {{wanted}})
    SELECT e.id, e.concurrency_key, e.concurrency_limit
    FROM turns JOIN {EXECUTIONS} AS e ON e.id = turns.id WHERE e.status = 'pending'
    ORDER BY turns.priority DESC, turn, latest NULLS FIRST, turns.due_at, e.id LIMIT {{limit}} {{skip_locked}}"""

_LOCK_KEYS = """
    SELECT key FROM unnest(%s::text[]) AS key WHERE pg_try_advisory_xact_lock(hashtextextended(key, 0))"""
_LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def lane(execution: WorkflowExecution) -> str:
    """The lane in which an execution waits."""
    return "/".join(
        (
            execution.queue,
            str(execution.priority),
            str(execution.started_by_id or ""),
            execution.concurrency_key,
        )
    )


def waiting(cursor: CursorWrapper, asked: Asked, *, lock: bool) -> Sequence[Waiting]:
    """Those whose turn it is, in order. `lock`: others that look meanwhile pass them over, where the database can.

    Without it, those among which the patience has an end: it is no part of the order.
    """
    locks = lock and connection.features.has_select_for_update_skip_locked
    wanted = asked.limit + (_SPARE if locks else 0)
    statement = _NEXT.replace("OF LANES", _OF_LANES[connection.vendor]).format(
        queues=f"WHERE e.queue IN ({', '.join(['%s'] * len(asked.queues))})" if asked.queues else "",
        skip_locked="FOR UPDATE OF e SKIP LOCKED" if locks else "",
        due=moment(0.0 if lock else -asked.patience),
        now=moment(0.0),
        depth=_DEPTH.format(wanted=wanted),
        wanted=wanted,
        limit=asked.limit,
    )
    cursor.execute(statement, tuple(asked.queues))
    return [Waiting(uuid.UUID(str(id_)), key, limit) for id_, key, limit in cursor.fetchall()]


def may_find(cursor: CursorWrapper, asked: Asked) -> bool:
    """Whether it is worth a transaction. On SQLite it would keep others from writing; PostgreSQL only has to know that
    something is due, which is less work than to say what is next.
    """
    if connection.vendor == "sqlite":
        return bool(waiting(cursor, asked, lock=False))
    cursor.execute(
        f"SELECT 1 FROM {EXECUTIONS} WHERE status = 'pending' AND due_at <= {moment(-asked.patience)} LIMIT 1"
    )
    return cursor.fetchone() is not None


def within_limits(cursor: CursorWrapper, found: Sequence[Waiting]) -> Sequence[Waiting]:
    """Those of them for which there is a place, which nobody else can take before the end of the transaction.

    On SQLite a transaction is alone. On PostgreSQL a key with which another engine is busy is left to that one.
    """
    keys = sorted({one.concurrency_key for one in found if one.concurrency_key})
    if not keys:
        return found
    if connection.vendor == "postgresql":
        cursor.execute(_LOCK_KEYS, (keys,))
        keys = [key for (key,) in cursor.fetchall()]
    taken = _taken(cursor, keys)
    free: list[Waiting] = []
    for one in found:
        key = one.concurrency_key
        if not key:
            free.append(one)
        elif key in keys and taken[key] < one.concurrency_limit:
            taken[key] += 1
            free.append(one)
    return free


def has_place(cursor: CursorWrapper, execution_id: uuid.UUID) -> bool:
    """Whether a pending execution may begin, as far as its key goes; as in `within_limits`, but it waits for others."""
    cursor.execute(
        f"""
        SELECT concurrency_key, concurrency_limit FROM {EXECUTIONS}
        WHERE id = %s AND status = 'pending' AND due_at <= {moment(0.0)}""",
        (db_id(execution_id),),
    )
    row = cursor.fetchone()
    if row is None or not row[0]:
        return row is not None
    lock_key(cursor, row[0])
    return _taken(cursor, row[:1])[row[0]] < row[1]


def lock_key(cursor: CursorWrapper, key: str) -> None:
    """Nobody else begins, or accepts, a run with this key before the end of the transaction."""
    if connection.vendor == "postgresql":
        cursor.execute(_LOCK_KEY, (key,))


def open_with_key(cursor: CursorWrapper, key: str) -> Sequence[uuid.UUID]:
    """Those with a key that have not ended and are not about to, the oldest first."""
    cursor.execute(
        f"""
        SELECT id FROM {EXECUTIONS}
        WHERE ended_at IS NULL AND concurrency_key > '' AND concurrency_key = %s AND cancel_requested_at IS NULL
        ORDER BY created_at, id""",
        (key,),
    )
    return [uuid.UUID(str(id_)) for (id_,) in cursor.fetchall()]


def _taken(cursor: CursorWrapper, keys: Iterable[str]) -> Counter[str]:
    """How many executions with these keys are under way."""
    keys = list(keys)
    if not keys:
        return Counter()
    cursor.execute(
        f"""
        SELECT concurrency_key, COUNT(*) FROM {EXECUTIONS}
        WHERE {_UNDER_WAY.format("")} AND concurrency_key IN ({", ".join(["%s"] * len(keys))})
        GROUP BY concurrency_key""",
        keys,
    )
    return Counter(dict(cursor.fetchall()))


def moment(seconds: float) -> str:
    """The moment so many seconds from now, by the database's clock, as SQL. SQLite has no clock but this host's."""
    if connection.vendor == "sqlite":
        return f"'{db_time(now() + timedelta(seconds=seconds))}'"
    # Not `now()`, which stands still in a transaction.
    return f"clock_timestamp() + interval '{seconds} seconds'"
