"""The end of node jobs with that of what they are for: statements that others run in their own transactions."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from executions_app.models.job import NodeJob

JOBS = NodeJob._meta.db_table

# The attempts of an engine that is gone.
_TELL_TO_STOP = f"UPDATE {JOBS} SET state = 'withdrawn' WHERE execution_id = %s AND state = 'taken'"
# Rows are locked in one order by all that lock several.
_DROP = f"""
    WITH own AS MATERIALIZED (SELECT attempt_id FROM {JOBS} WHERE {{which}} ORDER BY attempt_id {{lock}})
    DELETE FROM {JOBS} WHERE attempt_id IN (SELECT attempt_id FROM own)"""


def withdraw_jobs_of(cursor: CursorWrapper, row_id: Any) -> None:
    """Of an execution that has a new owner: whoever is at work for the old one stops, and is heard no more.

    What is left of those says whether they have stopped, until the execution ends.
    """
    cursor.execute(_TELL_TO_STOP, (row_id,))
    _drop(cursor, "execution_id = %s AND state <> 'withdrawn'", [row_id])


def drop_jobs_of(cursor: CursorWrapper, row_id: Any) -> None:
    """Of an execution that has ended."""
    _drop(cursor, "execution_id = %s", [row_id])


def drop_jobs(cursor: CursorWrapper, attempt_ids: Sequence[str]) -> None:
    """Of attempts that have ended."""
    if attempt_ids:
        _drop(cursor, f"attempt_id IN ({', '.join(['%s'] * len(attempt_ids))})", attempt_ids)


def _drop(cursor: CursorWrapper, which: str, parameters: Sequence[Any]) -> None:
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""
    cursor.execute(_DROP.format(which=which, lock=lock), parameters)
