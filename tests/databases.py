"""Databases for processes that a test starts: of the kind that the suite runs on, empty or as a copy."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.postgresql import SCHEMES

ON_POSTGRESQL = os.environ.get("DATABASE_URL", "").startswith(SCHEMES)


@contextlib.contextmanager
def new(name: str, folder: Path, *, copy_of: str | None = None) -> Iterator[str]:
    """The URL of a new database; a file in `folder`, or a database `name` of the server. It is removed afterwards."""
    if not ON_POSTGRESQL:
        path = folder / "test.sqlite3"
        if copy_of is not None:
            shutil.copy(copy_of.removeprefix("sqlite:///"), path)
        yield f"sqlite:///{path}"
        return
    template = "" if copy_of is None else f" TEMPLATE {urlsplit(copy_of).path[1:]}"
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    _administer(drop, f"CREATE DATABASE {name}{template}")
    try:
        yield urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    finally:
        _administer(drop)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """What a query finds, read beside the product."""
    if not url.startswith(SCHEMES):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as connection:
            return connection.execute(query).fetchall()
    import psycopg  # noqa: PLC0415 - as below

    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def _administer(*statements: str) -> None:
    import psycopg  # noqa: PLC0415 - without PostgreSQL nobody needs its driver

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        for statement in statements:
            _ = server.execute(statement)
