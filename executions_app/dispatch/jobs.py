"""Nodes of other processes' runs that this process runs.

A job is this process's while its lease lasts and its engine wants it. The heart prolongs the leases, takes journal
lines along, and learns what is to stop.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from executions_app.conf import execution_settings
from executions_app.dispatch.identity import engine_name
from executions_app.dispatch.runner import configure_tools, ports_of
from executions_app.dispatch.running import MARGIN, at_every_beat
from executions_app.engine.attempt import AttemptStart
from executions_app.engine.context import ExecutionContext
from executions_app.engine.delegate import Delegate
from executions_app.engine.elsewhere import Line, Report
from executions_app.engine.events import Event, Logged
from executions_app.engine.progress import Progress
from executions_app.models import WorkflowExecution, ownership, placement, querysets
from executions_app.models.placement import Taken
from executions_app.recorder.thread import in_recorder
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.processors.registry import PROCESSORS
from workflows_app.services.compile import plan_by_id

logger = logging.getLogger(__name__)

# So many lines may wait for an engine that does not listen.
MOST_LINES = 1000


async def take_jobs(limit: int, queues: Sequence[str]) -> Sequence[Coroutine[Any, Any, bool]]:
    """Take jobs of these queues, or of all; each is to be run by awaiting it: False where nobody wanted its result."""
    asked_at = time.monotonic()
    lease_seconds = execution_settings().lease_seconds
    found = await in_recorder(lambda: placement.take(limit, queues, engine_name(), lease_seconds))
    return [_run(taken, asked_at + lease_seconds) for taken in found]


def hand_back_jobs(loop: asyncio.AbstractEventLoop) -> None:
    """Let the jobs of an event loop end within the grace, and then stop them for others to do."""
    with _lock:
        jobs = [job for job in _jobs.values() if job.loop is loop]
    for job in jobs:
        job.hand_back()


class _Found(NamedTuple):
    """What is on record of a job's execution."""

    plan: Plan
    input: Any
    trigger_type: str
    started_at: Any
    progress: Progress


class _Lines:
    """The `Sink` of an attempt whose record another engine writes: only what it says to the journal counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Line] = []
        # Of all lines so many came before those that are kept, so many are on record; for so many there was no room.
        self._before = 0
        self._recorded = 0
        self._left_out = 0

    def post(self, event: Event) -> None:
        if not isinstance(event, Logged):
            return
        with self._lock:
            if len(self._kept) < MOST_LINES:
                self._kept.append(Line.of(event))
            else:
                self._left_out += 1

    async def commit(self, events: Sequence[Event]) -> None:
        for event in events:
            self.post(event)

    def forget(self, heard: int) -> None:
        """The engine has so many."""
        with self._lock:
            if heard > self._before:
                del self._kept[: heard - self._before]
                self._before = heard

    def news(self) -> tuple[str, int] | None:
        """All that is kept, as it goes on record; None where nothing was added."""
        with self._lock:
            if self._before + len(self._kept) == self._recorded:
                return None
            self._recorded = self._before + len(self._kept)
            return self._text(), self._before

    def last(self) -> tuple[str, int]:
        with self._lock:
            if self._left_out:
                message = f"{self._left_out} lines are left out: the engine did not take them in time."
                self._kept.append(Line(at=querysets.now(), level="warning", message=message))
            return self._text(), self._before

    def _text(self) -> str:
        return jsontext.dumps_struct(self._kept) if self._kept else ""


class _Job:
    """A job that this process has. `stop` and `hand_back` are for its event loop, `soon` for any thread."""

    def __init__(self, taken: Taken, safe_until: float) -> None:
        self.taken = taken
        self.loop = asyncio.get_running_loop()
        self.lines = _Lines()
        # Until when its lease certainly lasts; by this process's clock.
        self.safe_until = safe_until
        self.handing_back = False
        self.is_unwanted = False
        self._delegate: Delegate | None = None

    @property
    def is_over(self) -> bool:
        """Nothing of it goes on here."""
        return self._delegate is None or self._delegate.is_over

    def soon(self, act: Callable[[], None]) -> None:
        with suppress(RuntimeError):
            _ = self.loop.call_soon_threadsafe(act)

    def stop(self) -> None:
        self.is_unwanted = True
        if self._delegate is not None:
            self._delegate.stop()

    def hand_back(self) -> None:
        if not self.handing_back:
            self.handing_back = True
            _ = self.loop.call_later(execution_settings().limits.grace, self._end_for_others)

    def _end_for_others(self) -> None:
        if self._delegate is not None:
            self._delegate.stop()

    async def run(self) -> Report | None:
        """None where it was told to end, or its engine is another one by now."""
        taken = self.taken
        found = await in_recorder(lambda: _find(taken))
        if found is None:
            return None
        chosen = execution_settings()
        configure_tools(chosen)
        context = ExecutionContext(
            found.plan,
            found.input,
            execution_id=str(taken.execution_id),
            trigger_type=found.trigger_type,
            started_at=found.started_at,
        )
        self._delegate = Delegate(
            context,
            found.progress,
            processors=PROCESSORS,
            sink=self.lines,
            ports=ports_of(taken.execution_id, chosen.limits),
        )
        if self.is_unwanted:
            return None
        start = AttemptStart(
            attempt_id=taken.attempt_id,
            number=taken.number,
            retry_count=taken.retry_count,
            at=querysets.now(),
            first_at=taken.first_at,
            seconds=taken.seconds,
        )
        report = await self._delegate.run(taken.order, start)
        if report is None and self.handing_back and not self.is_unwanted:
            return Report(ending="lost", why=f"Engine {engine_name()} was told to stop.")
        return report


def _find(taken: Taken) -> _Found | None:
    columns = ("version_id", "input", "trigger_type", "started_at")
    own = WorkflowExecution.objects.filter(pk=taken.execution_id, fence=taken.fence, status="running")
    row = own.values_list(*columns).first()
    if row is None:
        return None
    version_id, given, trigger_type, started_at = row
    progress = ownership.progress_of(taken.execution_id)
    return _Found(plan_by_id(version_id), given, trigger_type, started_at, progress)


async def _run(taken: Taken, safe_until: float) -> bool:
    job, worker = _Job(taken, safe_until), engine_name()
    with _listed(job), at_every_beat(_look, taken.attempt_id):
        try:
            report = await job.run()
        except Exception as error:
            logger.exception("Attempt %s of execution %s cannot be run here.", taken.attempt_id, taken.execution_id)
            report = Report(ending="lost", why=f"Engine {worker} could not run it: {type(error).__name__}.", died=True)
        accepted = False
        if report is not None:
            outcome, (lines, told) = jsontext.dumps_struct(report), job.lines.last()
            accepted = await in_recorder(lambda: placement.finish(taken.attempt_id, worker, outcome, lines, told))
            if not accepted:
                logger.warning("What attempt %s came to is refused: its engine gave it up.", taken.attempt_id)
        if not accepted and job.is_over:
            await in_recorder(lambda: placement.say_stopped(taken.attempt_id, worker))
    return accepted


_lock = threading.Lock()
_jobs: dict[str, _Job] = {}
_renew_at = 0.0


@contextmanager
def _listed(job: _Job) -> Generator[None]:
    with _lock:
        _jobs[job.taken.attempt_id] = job
    try:
        yield
    finally:
        with _lock:
            del _jobs[job.taken.attempt_id]


def has_jobs() -> bool:
    with _lock:
        return bool(_jobs)


def _look() -> None:
    """In the heart's thread."""
    with _lock:
        jobs = dict(_jobs)
    try:
        _ask(jobs)
    finally:
        margin = execution_settings().lease_seconds * MARGIN
        for job in jobs.values():
            if time.monotonic() >= job.safe_until - margin:
                job.soon(job.stop)


def _ask(jobs: dict[str, _Job]) -> None:
    global _renew_at
    chosen, worker = execution_settings(), engine_name()
    # Taken before the statement is sent: the lease can only last longer than that.
    asked_at = time.monotonic()
    is_time = asked_at >= _renew_at
    if is_time:
        placement.renew(list(jobs), worker, chosen.lease_seconds)
        _renew_at = asked_at + chosen.heartbeat_seconds
    wanted = placement.still_wanted(list(jobs), worker)
    for attempt_id, job in jobs.items():
        if attempt_id not in wanted:
            job.soon(job.stop)
            continue
        if is_time:
            job.safe_until = asked_at + chosen.lease_seconds
        job.lines.forget(wanted[attempt_id])
        news = job.lines.news()
        if news is not None:
            placement.tell(attempt_id, worker, *news)
