"""One statement for many rows, in the fast way of each database.

SQLite prepares a statement once and runs it row by row, in this process. To PostgreSQL the rows go as one array a
column: one round trip and one plan, whatever their number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyRows:
    """The same change in both dialects; a row's values are in the order of the columns."""

    sqlite: str
    postgresql: str

    def run(self, cursor: CursorWrapper, rows: Sequence[Sequence[Any]]) -> int:
        """How many rows of the table it changed."""
        if connection.vendor == "sqlite":
            cursor.executemany(self.sqlite, rows)
        else:
            cursor.execute(self.postgresql, _columns(rows))
        return cursor.rowcount

    def returned(self, cursor: CursorWrapper, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """What the statement's RETURNING gives, for the rows that it changed, in any order."""
        if connection.vendor != "sqlite":
            cursor.execute(self.postgresql, _columns(rows))
            return cursor.fetchall()
        found: list[tuple[Any, ...]] = []
        for row in rows:
            cursor.execute(self.sqlite, row)
            found += cursor.fetchall()
        return found


# Pairs of a column and its PostgreSQL type.
type Columns = Sequence[tuple[str, str]]


def insert(table: str, columns: Columns, *, fixed: str = "", values: str = "") -> ManyRows:
    """`fixed` names further columns, whose `values` are the same in every row."""
    names = ", ".join(f'"{name}"' for name, _ in columns)
    into = f"INSERT INTO {table} ({names}{', ' if fixed else ''}{fixed})"
    constant = f", {values}" if values else ""
    return ManyRows(
        sqlite=f"{into} VALUES ({', '.join(['%s'] * len(columns))}{constant})",
        postgresql=f"{into} SELECT *{constant} FROM {unnest(columns)}",
    )


def update(table: str, columns: Columns, *, keys: Columns, only: str, fixed: str = "") -> ManyRows:
    """Set `columns`, and what `fixed` says, in the row of each key, if it is still as `only` wants it."""
    assignments = [fixed] if fixed else []
    sqlite = ", ".join(assignments + [f'"{name}" = %s' for name, _ in columns])
    postgresql = ", ".join(assignments + [f'"{name}" = v."{name}"' for name, _ in columns])
    found = " AND ".join(f'"{name}" = %s' for name, _ in keys)
    joined = " AND ".join(f'{table}."{name}" = v."{name}"' for name, _ in keys)
    return ManyRows(
        sqlite=f"UPDATE {table} SET {sqlite} WHERE {found} AND {only}",
        postgresql=f"UPDATE {table} SET {postgresql} FROM {unnest([*columns, *keys])} WHERE {joined} AND {only}",
    )


def unnest(columns: Columns) -> str:
    """The rows as a table `v`."""
    arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
    return f"unnest({arrays}) AS v({', '.join(f'"{name}"' for name, _ in columns)})"


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
