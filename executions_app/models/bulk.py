"""One statement for many rows, in the fast way of each database.

SQLite prepares a statement once and runs it row by row, in this process. To PostgreSQL the rows go as one array a
column: one round trip and one plan, whatever their number; a single row needs no arrays, which take longer to plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyRows:
    """The same change for one row and for many; a row's values are in the order of the columns."""

    one: str
    many: str

    def run(self, cursor: CursorWrapper, rows: Sequence[Sequence[Any]]) -> int:
        """How many rows of the table it changed."""
        if len(rows) == 1:
            cursor.execute(self.one, rows[0])
        elif connection.vendor == "sqlite":
            cursor.executemany(self.one, rows)
        else:
            cursor.execute(self.many, _columns(rows))
        return cursor.rowcount

    def returned(self, cursor: CursorWrapper, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """What the statement's RETURNING gives, for the rows that it changed, in any order."""
        if len(rows) > 1 and connection.vendor != "sqlite":
            cursor.execute(self.many, _columns(rows))
            return cursor.fetchall()
        found: list[tuple[Any, ...]] = []
        for row in rows:
            cursor.execute(self.one, row)
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
        one=f"{into} VALUES ({', '.join(['%s'] * len(columns))}{constant})",
        many=f"{into} SELECT *{constant} FROM {unnest(columns)}",
    )


def update(table: str, columns: Columns, *, keys: Columns, only: str, fixed: str = "") -> ManyRows:
    """Set `columns`, and what `fixed` says, in the row of each key, if it is still as `only` wants it."""
    assignments = [fixed] if fixed else []
    one = ", ".join(assignments + [f'"{name}" = %s' for name, _ in columns])
    many = ", ".join(assignments + [f'"{name}" = v."{name}"' for name, _ in columns])
    found = " AND ".join(f'"{name}" = %s' for name, _ in keys)
    joined = " AND ".join(f'{table}."{name}" = v."{name}"' for name, _ in keys)
    return ManyRows(
        one=f"UPDATE {table} SET {one} WHERE {found} AND {only}",
        many=f"UPDATE {table} SET {many} FROM {unnest([*columns, *keys])} WHERE {joined} AND {only}",
    )


def unnest(columns: Columns) -> str:
    """The rows as a table `v`."""
    arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
    return f"unnest({arrays}) AS v({', '.join(f'"{name}"' for name, _ in columns)})"


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
