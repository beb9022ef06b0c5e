"""Nodes of this process's runs that other processes run, as jobs on record.

All jobs that are waited for are looked at together, at every beat of this process's heart.
"""

import asyncio
import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Literal

from executions_app.conf import execution_settings
from executions_app.dispatch.identity import is_known_dead
from executions_app.dispatch.running import at_every_beat
from executions_app.dispatch.serving import serves
from executions_app.engine.elsewhere import Errand, Line, Report
from executions_app.engine.errors import OwnershipLost
from executions_app.engine.events import Logged
from executions_app.models import placement, querysets
from executions_app.models.job import JobState
from executions_app.models.ownership import Claim
from executions_app.models.placement import Posting, Seen
from executions_app.recorder.thread import in_recorder
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan


class Elsewhere:
    """The engine's `Remote`, for one run."""

    def __init__(self, claim: Claim, plan: Plan) -> None:
        self._execution_id: uuid.UUID = claim.execution_id
        self._fence: int = claim.fence
        self._plan = plan

    def serves(self, queue: str) -> bool:
        return serves(queue)

    async def run(self, errand: Errand) -> Report:
        """Raises `OwnershipLost` where the run has another engine."""
        posting = Posting(
            attempt_id=errand.attempt_id,
            execution_id=self._execution_id,
            fence=self._fence,
            order=errand.node,
            number=errand.number,
            retry_count=errand.retry_count,
            first_at=errand.first_at,
            queue=errand.queue,
            seconds=errand.seconds,
        )
        waiter = _Waiter(errand, self._plan.nodes[errand.node].key)
        with _listed(waiter), at_every_beat(_look, errand.attempt_id):
            try:
                if not await in_recorder(lambda: placement.post(posting)):
                    raise OwnershipLost(self._execution_id)
                waiter.begin()
                return await waiter.report
            except asyncio.CancelledError:
                await _withdraw(waiter)
                raise

    async def stopped(self, attempt_id: str) -> None:
        """In the worst case until the worker's lease has run out."""
        while worker := await in_recorder(lambda: placement.stopping(attempt_id)):
            if is_known_dead(worker):
                return
            await asyncio.sleep(execution_settings().cancel_poll_seconds)


async def _withdraw(waiter: "_Waiter") -> None:
    """Accept nothing more, and wait until nothing of it goes on."""
    errand = waiter.errand
    state = await in_recorder(lambda: placement.withdraw(errand.attempt_id))
    if state is JobState.STOPPED:
        errand.interrupted(f"It still waited for a worker of queue '{errand.queue}'.", "never began")
    elif state is JobState.WITHDRAWN:
        _ = await waiter.stopped.wait()


class _Waiter:
    """Who waits for a job. All but `soon` is for its event loop."""

    def __init__(self, errand: Errand, key: str) -> None:
        self.errand = errand
        self._key = key
        self._loop = asyncio.get_running_loop()
        self.report: asyncio.Future[Report] = self._loop.create_future()
        self.stopped = asyncio.Event()
        # The job is on record: where it is not any more, somebody deleted it.
        self.is_posted = False
        # Nobody waits any more: what was still on its way is not told.
        self.is_over = False
        self._worker = ""
        self._heard = 0

    def soon(self, act: Callable[[], None]) -> None:
        # A loop that was closed has nobody who waits.
        with suppress(RuntimeError):
            _ = self._loop.call_soon_threadsafe(act)

    def begin(self) -> None:
        if not self.is_posted:
            self.is_posted = True
            self._log(f"Node '{self._key}' waits for a worker of queue '{self.errand.queue}'.")

    def hear(self, seen: Seen, lines: Sequence[Line]) -> None:
        if self.is_over:
            return
        if seen.worker and not self._worker:
            self.begin()
            self._worker = seen.worker
            self._log(f"Node '{self._key}' runs on {seen.worker}.", seen.worker)
        for line in lines[max(0, self._heard - seen.told) :]:
            self.errand.tell(line.of_node(self.errand.node))
        self._heard = max(self._heard, seen.told + len(lines))
        if seen.state is JobState.DONE:
            self._end(jsontext.loads_as(Report, seen.outcome))
        elif seen.state is JobState.STOPPED:
            # Where nobody withdrew it, it was found to be lost, and the reply to that was lost too.
            self.lose(f"Engine {seen.worker} is gone.", "died")

    def lose(self, why: str, ending: Literal["died", "gone"]) -> None:
        self.stopped.set()
        self._end(Report(ending="lost", why=why, died=ending == "died"))

    def _end(self, report: Report) -> None:
        if not self.report.done():
            self.report.set_result(report)

    def _log(self, message: str, worker: str = "") -> None:
        job = {"queue": self.errand.queue, "attempt_id": self.errand.attempt_id}
        self.errand.tell(
            Logged(
                node=self.errand.node,
                at=querysets.now(),
                level="info",
                message=message,
                data={"job": {**job, "worker": worker} if worker else {**job}},
            )
        )


_lock = threading.Lock()
_waiting: dict[str, _Waiter] = {}


@contextmanager
def _listed(waiter: _Waiter) -> Generator[None]:
    with _lock:
        _waiting[waiter.errand.attempt_id] = waiter
    try:
        yield
    finally:
        waiter.is_over = True
        with _lock:
            del _waiting[waiter.errand.attempt_id]


def _look() -> None:
    """In the heart's thread: one question for all jobs."""
    with _lock:
        waiting = dict(_waiting)
    posted = {attempt_id for attempt_id, waiter in waiting.items() if waiter.is_posted}
    found = {seen.attempt_id: seen for seen in placement.look(list(waiting))}
    at_work = {seen.worker for seen in found.values() if seen.state in _UNDER_WAY}
    dead = {worker for worker in at_work if is_known_dead(worker)}
    for attempt_id, waiter in waiting.items():
        seen = found.get(attempt_id)
        if seen is not None:
            _hear(waiter, seen, is_dead=seen.worker in dead)
        elif attempt_id in posted:
            waiter.soon(partial(waiter.lose, "Its job was deleted.", "gone"))


_UNDER_WAY = (JobState.TAKEN, JobState.WITHDRAWN)


def _hear(waiter: _Waiter, seen: Seen, *, is_dead: bool) -> None:
    lines = jsontext.loads_as(list[Line], seen.lines) if seen.lines else []
    waiter.soon(partial(waiter.hear, seen, lines))
    if seen.told + len(lines) > seen.heard:
        placement.hear(seen.attempt_id, seen.told + len(lines))
    is_gone = seen.state in _UNDER_WAY and (is_dead or seen.is_over)
    if is_gone and placement.lose(seen.attempt_id, seen.worker, is_dead=is_dead):
        why = "died" if is_dead else "has not been heard of until the end of its lease"
        waiter.soon(partial(waiter.lose, f"Engine {seen.worker} {why}.", "died"))
