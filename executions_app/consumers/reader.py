"""The thread in which sockets read the database: one connection for all of them, closed when nobody watches."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, InterfaceError, connection


class Reader:
    """For one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sockets")

    async def read[T](self, function: Callable[[], T]) -> T:
        """What a synchronous function returns. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _read, function)

    def close(self) -> None:
        """After what was asked for already. Nothing can be asked for any more."""
        _ = self._thread.submit(_close)
        self._thread.shutdown(wait=False)


def _read[T](function: Callable[[], T]) -> T:
    try:
        return function()
    except (DatabaseError, InterfaceError):
        # It may be of no use any more.
        connection.close()
        raise


def _close() -> None:
    # Looked up in the thread that it belongs to.
    connection.close()
