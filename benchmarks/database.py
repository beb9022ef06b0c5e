"""The database of a round: every round begins with the same, and what it holds afterwards can be compared."""

import os
import re
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.rows import dict_row

from benchmarks.raw import RawPostgres, RawRows, RawSqlite

RECORD = (
    "executions_app_workflowexecution",
    "executions_app_nodeexecution",
    "executions_app_nodeattempt",
    "executions_app_executionlog",
)
# What differs between two runs of the same thing: ids, times, and the order in which nodes met in a batch.
OWN_COLUMNS = frozenset(
    {
        "id", "execution_id", "attempt_id", "seq", "at", "created_at", "started_at", "ended_at", "claimed_by",
        "lease_until", "pre_process_us", "process_us", "post_process_us",
    }
)  # fmt: skip
OWN_DATA = re.compile(r'"(attempt_id|owner)":"[^"]*"')


class Database(Protocol):
    """Where a round begins with what was there at the last `keep`. No transaction may be open during both."""

    raw: RawRows

    def choose(self) -> None:
        """Make this the database of the settings, here and in processes that are started from here."""
        ...

    def keep(self) -> None: ...
    def renew(self) -> None: ...

    def beside(self, name: str) -> str:
        """The address of another one of the same kind, which is empty."""
        ...

    def record(self) -> dict[str, list[str]]:
        """Every row of the execution record without what is its own: equal for contenders that keep the same."""
        ...


class SqliteDatabase:
    """A file, and a copy of it to return to."""

    def __init__(self, folder: Path) -> None:
        self.raw: RawRows = RawSqlite(folder)
        self.path = folder / "bench.sqlite3"
        self._kept = folder / "kept.sqlite3"

    def choose(self) -> None:
        os.environ["DATABASE_URL"] = f"sqlite:///{self.path}"

    def keep(self) -> None:
        _ = shutil.copyfile(self.path, self._kept)

    def renew(self) -> None:
        # The heart of the round before still has the file that goes: it would take the next run for lost.
        for thread in threading.enumerate():
            if thread.name == "heartbeat":
                thread.join()
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        _ = shutil.copyfile(self._kept, self.path)

    def beside(self, name: str) -> str:
        return f"sqlite:///{self.path.with_name(name)}.sqlite3"

    def record(self) -> dict[str, list[str]]:
        connection = sqlite3.connect(self.path)
        connection.row_factory = sqlite3.Row
        try:
            tables = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in RECORD}  # noqa: S608
        finally:
            connection.close()
        return {table: sorted(_shared(row) for row in rows) for table, rows in tables.items()}


class PostgresDatabase:
    """A database of a server, of which nothing but the record changes in a round."""

    def __init__(self, url: str) -> None:
        self.raw: RawRows = RawPostgres(url)
        self._url = url

    def choose(self) -> None:
        os.environ["DATABASE_URL"] = self._url

    def keep(self) -> None:
        return None

    def renew(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            _ = connection.execute(f"TRUNCATE {', '.join(RECORD)}")

    def beside(self, name: str) -> str:
        with psycopg.connect(self._url, autocommit=True) as connection:
            _ = connection.execute(f"CREATE DATABASE {name}")
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))

    def record(self) -> dict[str, list[str]]:
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            tables = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in RECORD}  # noqa: S608
        return {table: sorted(_shared(row) for row in rows) for table, rows in tables.items()}


def _shared(row: Any) -> str:
    values = {column: row[column] for column in row.keys() if column not in OWN_COLUMNS}  # noqa: SIM118 - a Row's values
    return OWN_DATA.sub(r'"\1":""', repr(values))


def difference(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> str | None:
    """The first row that one of two records has and the other has not; None where they are equal."""
    for table, rows in ours.items():
        others = theirs[table]
        if len(rows) != len(others):
            return f"{table} has {len(rows)} and {len(others)} rows"
        for row, other in zip(rows, others, strict=True):
            if row != other:
                return f"{table} has\n  {row}\nand\n  {other}"
    return None
