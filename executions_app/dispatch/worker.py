"""A worker: takes up runs whose engine is gone, then those that wait, as many at a time as it may."""

import asyncio
import logging
import os
import random
import signal
import sys
import uuid
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from executions_app.conf import execution_settings
from executions_app.dispatch import runner
from executions_app.dispatch.identity import is_known_dead
from executions_app.dispatch.jobs import hand_back_jobs, has_jobs, take_jobs
from executions_app.dispatch.running import hand_back_all, woken
from executions_app.dispatch.serving import serving
from executions_app.models import ownership
from executions_app.models.ownership import Abandoned
from executions_app.recorder.thread import in_recorder

logger = logging.getLogger(__name__)

# How often it looks for runs that wait, where nobody tells it.
POLL_SECONDS = 0.5


def patience() -> float:
    """Seconds for which a run is left to its permit: as long as one whose engine died may wait as well."""
    return execution_settings().scan_seconds


class Stopping(Exception):
    """The worker takes no more runs: the permit is for another one."""


class Worker:
    """`concurrency` bounds the runs at a time; they are of these queues, or of any.

    `serve` returns when `stop` was called and its runs are handed back. Where a dispatcher gives permits, the worker
    leaves a run to them for `patience` seconds before it takes it by itself.
    """

    def __init__(self, concurrency: int, queues: Sequence[str] = (), *, patience: float = 0.0) -> None:
        self._concurrency = concurrency
        self._queues = queues
        self._patience = patience
        self._runs: set[asyncio.Task[bool]] = set()
        # So many more are just being taken.
        self._reserved = 0
        # There is room for a run, or it is to stop.
        self._room = asyncio.Event()
        # The process in which suspects are run.
        self._quarantine: asyncio.subprocess.Process | None = None
        self._is_quarantined = False
        self._stopping = False
        # It is time to look: something was accepted, a run ended, or it is to stop.
        self._news = asyncio.Event()
        self._scan_at = 0.0
        self._refusal = ""

    def stop(self) -> None:
        """Take no more runs, and hand back those that are under way; their running nodes may end within the grace.

        In the worker's event loop.
        """
        self._stopping = True
        self._news.set()
        self._room.set()

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    def stop_at_signals(self, stop: Callable[[], None] | None = None) -> None:
        """Stop at SIGTERM and Ctrl-C, in a way of one's own or by `stop`; in the event loop of the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop or self.stop)

    async def permit(self) -> bool:
        """Take up the run that is next, and run it to its end. False where there is none, or it did not end here.

        Raises `Stopping`, and what the database raises; then the run is found later.
        """
        while self._free <= 0 and not self._stopping:
            self._room.clear()
            _ = await self._room.wait()
        if self._stopping:
            raise Stopping
        self._reserved += 1
        runs = await asyncio.shield(asyncio.create_task(self._take_reserved(), name="permit"))
        return bool(runs) and await asyncio.shield(runs[0])

    async def _take_reserved(self) -> Sequence[asyncio.Task[bool]]:
        """The run that is next, for a place that is reserved. Not to be torn: what was claimed is started."""
        try:
            return [self._start(run) for run in await runner.claim_waiting(1, self._queues)]
        finally:
            self._reserved -= 1
            self._room.set()

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):
                _ = loop.call_soon_threadsafe(self._news.set)

        with woken(wake), serving(self._queues):
            while not self._stopping:
                await self._look()
                await self._pause()
        while self._runs:
            # One that was just taken is not listed at once.
            hand_back_all(loop)
            hand_back_jobs(loop)
            if self._quarantine is not None:
                with suppress(ProcessLookupError):
                    self._quarantine.terminate()
            _ = await asyncio.wait(self._runs, timeout=POLL_SECONDS)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                _ = await self._news.wait()
        self._news.clear()

    async def _look(self) -> None:
        try:
            if self._free > 0 and asyncio.get_running_loop().time() >= self._scan_at:
                await self._take_abandoned()
            # Runs wait for them. One has always room: two workers whose runs wait for each other would wait for ever.
            if room := max(self._free, 0 if has_jobs() else 1):
                with self._reserving(room):
                    for job in await take_jobs(room, self._queues):
                        _ = self._start(job)
            if self._free > 0:
                with self._reserving(self._free) as number:
                    for run in await runner.claim_waiting(number, self._queues, self._patience):
                        _ = self._start(run)
        except (DatabaseError, InterfaceError) as error:
            self._say_once(str(error).strip())
        else:
            self._refusal = ""

    @property
    def _free(self) -> int:
        return self._concurrency - len(self._runs) - self._reserved

    @contextmanager
    def _reserving(self, number: int) -> Generator[int]:
        """Nobody else counts these as free while a claim is under way; what it finds is started before this ends."""
        self._reserved += number
        try:
            yield number
        finally:
            self._reserved -= number
            self._room.set()

    async def _take_abandoned(self) -> None:
        # With jitter: workers that started together shall not look together.
        pause = execution_settings().scan_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        self._scan_at = asyncio.get_running_loop().time() + pause
        with self._reserving(self._free) as number:
            found = await in_recorder(lambda: abandoned(number))
            suspects = [seen for seen in found if seen.is_suspect]
            for seen in found:
                if not seen.is_suspect:
                    _ = self._start(runner.resume(seen))
        if suspects and not self._is_quarantined:
            self._is_quarantined = True
            _ = self._start(self._isolate(suspects))

    async def _isolate(self, suspects: Sequence[Abandoned]) -> bool:
        """Go on with runs in a process of their own: should one kill that too, no other run goes with it."""
        ids = [str(seen.execution_id) for seen in suspects]
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        logger.warning("Executions that may have killed their engine get a process of their own: %s", ", ".join(ids))
        served = [f"--queue={queue}" for queue in self._queues]
        command = (sys.executable, "-m", "django", "recover_executions", *ids, *served)
        try:
            self._quarantine = await asyncio.create_subprocess_exec(*command, env=environment, stdout=DEVNULL)
            code = await self._quarantine.wait()
        finally:
            self._quarantine, self._is_quarantined = None, False
        # Where a process of its own cannot work, or somebody else was first, it says so and ends.
        return code == 0 or (code > 0 and await runner.resume(suspects[0]))

    def _start(self, run: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.create_task(_logged(run))
        self._runs.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[bool]) -> None:
        self._runs.discard(task)
        self._news.set()
        self._room.set()

    def _say_once(self, reason: str) -> None:
        """A database that is away is asked again and again; that it is away is news once."""
        if reason != self._refusal:
            self._refusal = reason
            logger.warning("The database does not answer, runs wait until it does: %s", reason)


async def _logged(run: Coroutine[Any, Any, bool]) -> bool:
    """A run that not even its failure could be recorded of is left to its lease."""
    try:
        return await run
    except (DatabaseError, InterfaceError) as error:
        reason = str(error).strip()
        logger.warning("A run is left to the end of its lease, for the database does not answer: %s", reason)
    except Exception:
        logger.exception("A run is left to the end of its lease.")
    return False


def abandoned(limit: int | None = None, ids: Sequence[uuid.UUID] = ()) -> Sequence[Abandoned]:
    """Runs without an engine: its lease has run out, or it is known to be dead. Of these ids, or all."""
    dead = [owner for owner in ownership.owners() if is_known_dead(owner)]
    return ownership.abandoned(dead, limit, ids)
