"""The runs of this process: their heartbeat, and how they hear of a cancel or of their loss.

A cancel from this process is heard at once. A cancel from anywhere else is a mark in the database, and ownership is a
lease there. While anything runs, or somebody waits for work, a thread with a connection of its own prolongs the leases
in one statement, looks for marks in another, and hears what other processes say: no node that blocks its event loop
can keep it from doing so.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError

from executions_app import measures
from executions_app.conf import ExecutionSettings, execution_settings
from executions_app.dispatch.identity import engine_name
from executions_app.dispatch.pulse import Pulse
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.events import Logged
from executions_app.engine.states import Reason
from executions_app.models import notices, ownership, querysets
from executions_app.models.ownership import Claim
from executions_app.recorder.sink import RecordingSink

logger = logging.getLogger(__name__)

# An engine that could not prolong its lease stops before that ends: by this part of it.
MARGIN = 0.1
# An event loop that is silent for so many leases counts as dead.
LEASES_OF_SILENCE = 10


@dataclass(slots=True, kw_only=True, eq=False)
class Listed:
    """A run of this process."""

    claim: Claim
    token: CancelToken
    sink: RecordingSink
    loop: asyncio.AbstractEventLoop
    # Until when its lease certainly lasts; by this process's clock, which nobody can set.
    safe_until: float

    def cancel(self, reason: Reason) -> None:
        """From any thread, as all of these; safe to repeat."""
        self._soon(lambda: self.token.request(reason))

    def hand_back(self) -> None:
        """Stop it here, for another engine to go on with."""
        self._soon(self.token.hand_back)

    def lose(self) -> None:
        """End it here without writing anything more: it is, or may be, another engine's."""
        self.sink.run.lost = True
        self._soon(self._lose)

    def log_blocked_loop(self, seconds: float) -> None:
        """Tell its journal, as soon as the loop turns again."""
        sentence = (
            f"The event loop was blocked for {seconds:.0f} s or more: no node of this process got on meanwhile. "
            "A tool that computes or waits without await must be synchronous, or isolated in a process."
        )
        line = Logged(node=None, at=querysets.now(), level="warning", message=sentence)
        self._soon(lambda: self.sink.post(line))

    def _lose(self) -> None:
        self.sink.lose()
        self.token.request(Reason.SHUTDOWN)

    def _soon(self, act: Callable[[], None]) -> None:
        # A loop that was closed meanwhile has no runs left.
        with suppress(RuntimeError):
            _ = self.loop.call_soon_threadsafe(act)


_lock = threading.Lock()
_runs: dict[uuid.UUID, Listed] = {}
# Called, in any thread, when there is a run to take.
_wakers: set[Callable[[], None]] = set()
# Called at every beat, in the heart's thread, for so many attempts each.
_looks: dict[Callable[[], None], list[str]] = {}
_heart: "_Heart | None" = None


@contextmanager
def listed(run: Listed) -> Generator[None]:
    """List a run for as long as it runs."""
    with _lock:
        _runs[run.claim.execution_id] = run
        _ensure_heart()
    try:
        yield
    finally:
        with _lock:
            del _runs[run.claim.execution_id]


@contextmanager
def woken(wake: Callable[[], None]) -> Generator[None]:
    """Have this called whenever a run was accepted, here or elsewhere; from any thread."""
    with _lock:
        _wakers.add(wake)
        _ensure_heart()
    try:
        yield
    finally:
        with _lock:
            _wakers.discard(wake)


@contextmanager
def at_every_beat(look: Callable[[], None], attempt_id: str) -> Generator[None]:
    """Have this called at every beat of the heart, in its thread, and at a notice of the attempt's job.

    Once, however many want it.
    """
    with _lock:
        _looks.setdefault(look, []).append(attempt_id)
        _ensure_heart()
    try:
        yield
    finally:
        with _lock:
            _looks[look].remove(attempt_id)
            if not _looks[look]:
                del _looks[look]


def under_way() -> int:
    """How many runs this process has."""
    with _lock:
        return len(_runs)


def wake() -> None:
    """Tell who waits for work in this process."""
    with _lock:
        wakers = tuple(_wakers)
    for one in wakers:
        one()


def signal_cancel(execution_id: uuid.UUID, reason: Reason = Reason.USER) -> bool:
    """Tell the run, if it is one of this process. From any thread; safe to repeat."""
    found = _find(execution_id)
    if found is not None:
        found.cancel(reason)
    return found is not None


def hand_back(execution_id: uuid.UUID) -> None:
    """Hand a run back, if it is one of this process. From any thread; safe to repeat."""
    found = _find(execution_id)
    if found is not None:
        found.hand_back()


def hand_back_all(loop: asyncio.AbstractEventLoop) -> None:
    """Hand back all runs of an event loop."""
    with _lock:
        runs = [run for run in _runs.values() if run.loop is loop]
    for run in runs:
        run.hand_back()


def _find(execution_id: uuid.UUID) -> Listed | None:
    with _lock:
        return _runs.get(execution_id)


def _ensure_heart() -> None:
    global _heart
    if _heart is None:
        _heart = _Heart()
        threading.Thread(target=_heart.beat, name="heartbeat", daemon=True).start()


def _wanted_looks() -> Sequence[Callable[[], None]]:
    with _lock:
        return tuple(_looks)


def _take(channel: str, text: str) -> bool:
    """Pass a notice on; False for one of other processes' jobs."""
    if channel == notices.JOBS:
        with _lock:
            return any(text in attempts for attempts in _looks.values())
    if text == notices.WORK:
        wake()
    else:
        _ = signal_cancel(uuid.UUID(text))
    return True


class _Heart:
    """Beats until nothing runs and nobody waits for work any more."""

    def __init__(self) -> None:
        self._renew_at = time.monotonic() + execution_settings().heartbeat_seconds
        self._listener = notices.Listener()
        self._pulses: dict[asyncio.AbstractEventLoop, Pulse] = {}

    def beat(self) -> None:
        pause = threading.Event()
        try:
            while True:
                chosen = execution_settings()
                # While a database does not answer there is nothing to hear.
                if not (self._listener.can_hear and self._answers(self._hear)):
                    _ = pause.wait(chosen.cancel_poll_seconds)
                runs = self._listed_or_end()
                if runs is None:
                    return
                if runs:
                    self._look(runs, chosen)
                for look in _wanted_looks():
                    _ = self._answers(look)
        finally:
            self._listener.close()

    def _listed_or_end(self) -> Sequence[Listed] | None:
        """The runs of this process; None where this thread is no longer its heart and must end."""
        global _heart
        with _lock:
            if not _runs and not _wakers and not _looks:
                _heart = None
                return None
            return list(_runs.values())

    def _hear(self) -> None:
        """Until there is something to do, or it is time to look."""
        end = time.monotonic() + execution_settings().cancel_poll_seconds
        heard = False
        while not heard and (left := end - time.monotonic()) > 0:
            for channel, text in self._listener.hear(left):
                heard = _take(channel, text)

    def _look(self, runs: Sequence[Listed], chosen: ExecutionSettings) -> None:
        turning = self._turning(runs, chosen)
        if time.monotonic() >= self._renew_at:
            _ = self._answers(lambda: self._renew(turning, chosen))
        else:
            _ = self._answers(lambda: self._hear_marks(turning))
        late = [run for run in runs if time.monotonic() >= run.safe_until - chosen.lease_seconds * MARGIN]
        if late:
            logger.error("Engine %s could not prolong its leases and gives up %d runs.", engine_name(), len(late))
        for run in late:
            run.lose()

    def _answers(self, ask: Callable[[], None]) -> bool:
        try:
            ask()
        except (DatabaseError, InterfaceError) as error:
            # The next look may succeed.
            reason = str(error).strip()
            logger.warning("The database does not answer the heartbeat of engine %s: %s", engine_name(), reason)
            self._listener.close()
            measures.lease_renewals.add("unanswered")
            return False
        return True

    def _turning(self, runs: Sequence[Listed], chosen: ExecutionSettings) -> Sequence[Listed]:
        """The runs whose event loop is not silent for so long that it must be taken for dead."""
        by_loop: dict[asyncio.AbstractEventLoop, list[Listed]] = {}
        for run in runs:
            by_loop.setdefault(run.loop, []).append(run)
        self._pulses = {loop: self._pulses.get(loop) or Pulse(loop) for loop in by_loop}
        turning: list[Listed] = []
        for loop, its_runs in by_loop.items():
            pulse = self._pulses[loop]
            silence = pulse.silence()
            if silence > chosen.lease_seconds / 2:
                pulse.notice(lambda silence=silence, its_runs=its_runs: _say_blocked(silence, its_runs))
            if silence <= chosen.lease_seconds * LEASES_OF_SILENCE:
                turning += its_runs
        return turning

    def _renew(self, runs: Sequence[Listed], chosen: ExecutionSettings) -> None:
        # Taken before the statement is sent: the lease can only last longer than that.
        asked_at = time.monotonic()
        ids = [run.claim.execution_id for run in runs]
        answers = ownership.renew(ids, engine_name(), chosen.lease_seconds) if ids else ()
        renewed = {one.execution_id: one for one in answers}
        measures.lease_renewals.add("prolonged", number=len(renewed))
        self._renew_at = asked_at + chosen.heartbeat_seconds
        for run in runs:
            still = renewed.get(run.claim.execution_id)
            if still is None or still.fence != run.claim.fence:
                # Ended, and about to leave the list; or another engine's.
                if not querysets.is_owned(run.claim.execution_id, run.claim.fence):
                    logger.warning("Execution %s is another engine's now.", run.claim.execution_id)
                    measures.lease_renewals.add("lost")
                    run.lose()
                    continue
            elif still.cancel_requested:
                run.cancel(Reason.USER)
            run.safe_until = asked_at + chosen.lease_seconds

    def _hear_marks(self, runs: Sequence[Listed]) -> None:
        marked = set(querysets.cancel_requested([run.claim.execution_id for run in runs]))
        for run in runs:
            if run.claim.execution_id in marked:
                run.cancel(Reason.USER)


def _say_blocked(silence: float, runs: Sequence[Listed]) -> None:
    measures.loops_blocked.add()
    logger.error("An event loop with %d runs has been blocked for %.0f s.", len(runs), silence)
    for run in runs:
        run.log_blocked_loop(silence)
