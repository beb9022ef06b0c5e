"""How a database would read a table: asked of the database itself, for the statements that code really sends."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connection


class Statement(NamedTuple):
    sql: str
    parameters: Any


class Read(NamedTuple):
    """`index` is empty where the rows of the table itself are read; a search reads a part of what an index has."""

    table: str
    index: str
    is_search: bool


@contextmanager
def statements() -> Iterator[list[Statement]]:
    """What is sent to the database inside, without savepoints."""
    sent: list[Statement] = []

    def note(execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if "SAVEPOINT" not in sql:
            sent.append(Statement(sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        yield sent


def reads(sent: list[Statement]) -> list[Read]:
    """How each of these would read each table, by the database's own word; what only inserts reads nothing."""
    return [read for statement in sent if not statement.sql.startswith("INSERT") for read in _reads(statement)]


def _reads(statement: Statement) -> list[Read]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)
            tables = _aliases(statement.sql)
            return [read for row in cursor.fetchall() if (read := _of_sqlite(row[3], tables)) is not None]
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement.sql}", statement.parameters)
        (plan,) = cursor.fetchone()
        return list(_of_postgresql((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))


def _aliases(sql: str) -> dict[str, str]:
    return {alias: table for table, alias in re.findall(r'"?(\w+_app_\w+)"? (?:AS )?"?(\w+)"?', sql)}


def _of_sqlite(line: str, tables: dict[str, str]) -> Read | None:
    found = re.match(r"(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?INDEX (\w+)| USING INTEGER PRIMARY KEY)?", line)
    if found is None:
        return None
    way, name, index = found.groups()
    return Read(tables.get(name, name), index or "", way == "SEARCH")


def _of_postgresql(plan: dict[str, Any]) -> Iterator[Read]:
    for below in plan.get("Plans", ()):
        yield from _of_postgresql(below)
    match plan["Node Type"]:
        case "Seq Scan":
            yield Read(plan["Relation Name"], "", is_search=False)
        case "Index Scan" | "Index Only Scan":
            yield Read(plan["Relation Name"], plan["Index Name"], "Index Cond" in plan)
        case "Bitmap Index Scan":
            yield Read(_table_of(plan["Index Name"]), plan["Index Name"], "Index Cond" in plan)
        case _:
            pass


def _table_of(index: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_indexes WHERE indexname = %s", [index])
        return cursor.fetchone()[0]
