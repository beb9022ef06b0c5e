"""Word for other processes, where the database can carry it: PostgreSQL's NOTIFY, sent with the commit.

A notice saves the wait for the next look; whoever misses one finds out then.
"""

import uuid
from collections.abc import Iterator

from django.db import connection
from django.db.backends.utils import CursorWrapper

CHANNEL = "pastetrader"
WORK = "work"
# Of node jobs, apart: workers of a release that knows none do not listen there.
JOBS = "pastetrader_jobs"


def notify_work(cursor: CursorWrapper) -> None:
    """There is a run to take."""
    _notify(cursor, WORK)


def notify_job(cursor: CursorWrapper, attempt_id: str) -> None:
    """Something happened to a node job: whoever has it, or waits for it, looks."""
    _notify(cursor, attempt_id, JOBS)


def notify_cancel(cursor: CursorWrapper, execution_id: uuid.UUID) -> None:
    """A run is to be cancelled by whoever has it."""
    _notify(cursor, str(execution_id))


def _notify(cursor: CursorWrapper, text: str, channel: str = CHANNEL) -> None:
    if connection.vendor == "postgresql":
        cursor.execute("SELECT pg_notify(%s, %s)", (channel, text))


class Listener:
    """Hears notices on this thread's connection."""

    def __init__(self) -> None:
        self._listening_on: object = None

    @property
    def can_hear(self) -> bool:
        return connection.vendor == "postgresql"

    def hear(self, seconds: float) -> Iterator[tuple[str, str]]:
        """What is said within so many seconds, at once when something is: channel and text.

        Raises what the database raises.
        """
        connection.ensure_connection()
        with connection.wrap_database_errors:
            # psycopg's connection, which a break replaces.
            driver = connection.connection
            if self._listening_on is not driver:
                for channel in (CHANNEL, JOBS):
                    driver.execute(f"LISTEN {channel}")
                self._listening_on = driver
            for notice in driver.notifies(timeout=seconds, stop_after=1):
                yield notice.channel, notice.payload

    def close(self) -> None:
        """A connection that goes back to a pool must not go on listening."""
        if self._listening_on is not None and connection.connection is self._listening_on:
            try:
                with connection.wrap_database_errors:
                    connection.connection.execute("UNLISTEN *")
            except Exception:  # noqa: BLE001, S110 - a broken connection does not go back
                pass
        connection.close()
