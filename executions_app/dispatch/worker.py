"""A worker: takes up runs whose engine is gone, then those that wait, as many at a time as it may."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from django.db import DatabaseError

from executions_app.conf import execution_settings
from executions_app.dispatch import runner
from executions_app.dispatch.identity import is_known_dead
from executions_app.dispatch.running import hand_back_all
from executions_app.models import ownership
from executions_app.models.ownership import Abandoned

logger = logging.getLogger(__name__)

# How often it looks for runs that wait.
POLL_SECONDS = 0.5


class Worker:
    """`concurrency` bounds the runs at a time. `serve` returns when `stop` was called and its runs are handed back."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._runs: set[asyncio.Task[bool]] = set()
        self._stopping = asyncio.Event()
        self._scan_at = 0.0

    def stop(self) -> None:
        """Take no more runs, and hand back those that are under way; their running nodes may end within the grace."""
        self._stopping.set()

    async def serve(self) -> None:
        while not self._stopping.is_set():
            free = self._concurrency - len(self._runs)
            if free:
                await self._take(free)
            await self._pause()
        while self._runs:
            # One that was just taken is not listed at once.
            hand_back_all()
            _ = await asyncio.wait(self._runs, timeout=POLL_SECONDS)

    async def _pause(self) -> None:
        """Until a run has ended, it is time to look again, or it is time to stop."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        _ = await asyncio.wait({stopping, *self._runs}, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        _ = stopping.cancel()

    async def _take(self, free: int) -> None:
        try:
            for seen in await self._abandoned(free):
                self._start(runner.resume(seen), str(seen.execution_id))
            waiting = await runner.in_recorder(lambda: ownership.waiting(free))
        except DatabaseError as error:
            # It may be back at the next look.
            logger.warning("The database does not answer this worker: %s", error)
            return
        for execution_id in waiting[: max(0, self._concurrency - len(self._runs))]:
            self._start(runner.run(execution_id), str(execution_id))

    async def _abandoned(self, free: int) -> Sequence[Abandoned]:
        now = asyncio.get_running_loop().time()
        if now < self._scan_at:
            return ()
        # With jitter: workers that started together shall not look together.
        self._scan_at = now + execution_settings().scan_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        return await runner.in_recorder(lambda: _without_engine(free))

    def _start(self, run: Awaitable[bool], name: str) -> None:
        task = asyncio.ensure_future(_logged(lambda: run, name))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)


async def _logged(run: Callable[[], Awaitable[bool]], name: str) -> bool:
    """A run that not even its failure could be recorded of is left to its lease."""
    try:
        return await run()
    except Exception:
        logger.exception("Execution %s could not go on here.", name)
        return False


def _without_engine(limit: int) -> Sequence[Abandoned]:
    dead = [owner for owner in ownership.owners() if is_known_dead(owner)]
    return ownership.abandoned(dead, limit)
