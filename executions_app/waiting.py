"""Waiting for the end of an execution, whichever process runs it."""

import asyncio
import uuid
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from executions_app.queries import is_finished

# So long an interface may wait.
MAX_WAIT = 60
# How often a request that waits looks at the record: soon at first, then less and less often.
POLL_SECONDS = 0.02
MAX_POLL_SECONDS = 0.5


async def until_the_end(execution_id: uuid.UUID, seconds: float) -> None:
    """Return when the execution has ended, or after so many seconds."""
    async for _ in looks(seconds):
        if await sync_to_async(_look)(execution_id):
            return


async def looks(seconds: float) -> AsyncIterator[None]:
    """When to look, for so many seconds: at once, and a last time when they are over."""
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + seconds, POLL_SECONDS
    yield
    while (left := end - loop.time()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, MAX_POLL_SECONDS)
        yield


def _look(execution_id: uuid.UUID) -> bool:
    try:
        return is_finished(execution_id)
    finally:
        # Who waits holds no connection meanwhile.
        close_old_connections()
