"""Several reads as of one moment."""

from collections.abc import Generator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def one_moment() -> Generator[None]:
    """What is read inside is as it was at the first read, and nothing may be written.

    In a transaction that is open already it is what that transaction sees.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor != "sqlite":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
        return
    # Not `atomic()`, which would take the lock of those who write and wait for it.
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
