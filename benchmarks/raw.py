"""The least that keeps a row for each node: a driver, a table, a transaction for all that waits."""

import sqlite3
from pathlib import Path
from typing import Any, Protocol

import psycopg


class RawRows(Protocol):
    """Written from one thread at a time."""

    def open(self) -> None: ...
    def write(self, rows: list[Any]) -> None: ...
    def close(self) -> None: ...


class RawSqlite:
    def __init__(self, place: Path) -> None:
        self._path = place / "raw.sqlite3"

    def open(self) -> None:
        self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        _ = self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            "CREATE TABLE node (run TEXT, key TEXT, status TEXT, output TEXT, PRIMARY KEY (run, key));"
        )

    def write(self, rows: list[Any]) -> None:
        _ = self._database.execute("BEGIN IMMEDIATE")
        _ = self._database.executemany("INSERT INTO node VALUES (?, ?, 'completed', ?)", rows)
        _ = self._database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()
        self._path.unlink()


class RawPostgres:
    def __init__(self, place: str) -> None:
        self._url = place

    def open(self) -> None:
        self._connection = psycopg.connect(self._url, autocommit=True)
        _ = self._connection.execute(
            "CREATE TABLE node (run text, key text, status text, output text, PRIMARY KEY (run, key))"
        )

    def write(self, rows: list[Any]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        _ = self._connection.execute(
            "INSERT INTO node SELECT run, key, 'completed', output "
            "FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(run, key, output)",
            columns,
        )

    def close(self) -> None:
        _ = self._connection.execute("DROP TABLE node")
        self._connection.close()
