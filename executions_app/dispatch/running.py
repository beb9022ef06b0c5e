"""The runs of this process: their heartbeat, and how they hear of a cancel or of their loss.

A cancel from this process is heard at once. A cancel from anywhere else is a mark in the database, and ownership is a
lease there. While anything runs, a thread with a connection of its own asks for marks, in one statement for all runs,
and prolongs the leases, in another: no node that blocks its event loop can keep it from doing so.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import DatabaseError, connection

from executions_app.conf import ExecutionSettings, execution_settings
from executions_app.dispatch.identity import engine_name
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.states import Reason
from executions_app.models import ownership, querysets
from executions_app.models.ownership import Claim
from executions_app.recorder.sink import RecordingSink

logger = logging.getLogger(__name__)

# Before its lease ends an engine that could not prolong it stops, so much earlier.
MARGIN_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listed:
    """A run of this process."""

    claim: Claim
    token: CancelToken
    sink: RecordingSink
    loop: asyncio.AbstractEventLoop

    def cancel(self, reason: Reason) -> None:
        """From any thread; safe to repeat."""
        # A loop that was closed meanwhile has nothing left to cancel.
        with suppress(RuntimeError):
            _ = self.loop.call_soon_threadsafe(self.token.request, reason)

    def hand_back(self) -> None:
        """Stop it here, for another engine to go on with. From any thread."""
        with suppress(RuntimeError):
            _ = self.loop.call_soon_threadsafe(self.token.hand_back)

    def lose(self) -> None:
        """End it here without writing anything more: it is, or may be, another engine's. From any thread."""
        with suppress(RuntimeError):
            _ = self.loop.call_soon_threadsafe(self._lose)

    def _lose(self) -> None:
        self.sink.lose()
        self.token.request(Reason.SHUTDOWN)


_lock = threading.Lock()
_runs: dict[uuid.UUID, Listed] = {}
_heart: "_Heart | None" = None


@contextmanager
def listed(run: Listed) -> Generator[None]:
    """List a run for as long as it runs."""
    global _heart
    with _lock:
        _runs[run.claim.execution_id] = run
        if _heart is None:
            _heart = _Heart()
            threading.Thread(target=_heart.beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        with _lock:
            del _runs[run.claim.execution_id]


def signal_cancel(execution_id: uuid.UUID, reason: Reason = Reason.USER) -> bool:
    """Tell the run, if it is one of this process. From any thread; safe to repeat."""
    with _lock:
        found = _runs.get(execution_id)
    if found is not None:
        found.cancel(reason)
    return found is not None


def hand_back(execution_id: uuid.UUID) -> None:
    """Hand a run back, if it is one of this process. From any thread; safe to repeat."""
    with _lock:
        found = _runs.get(execution_id)
    if found is not None:
        found.hand_back()


def hand_back_all() -> None:
    with _lock:
        runs = list(_runs.values())
    for run in runs:
        run.hand_back()


class _Heart:
    """Beats until nothing runs any more."""

    def __init__(self) -> None:
        # Until when the leases certainly last; by this process's clock, which nobody can set.
        self._safe_until = time.monotonic() + execution_settings().lease_seconds
        self._renew_at = time.monotonic() + execution_settings().heartbeat_seconds

    def beat(self) -> None:
        pause = threading.Event()
        try:
            while not pause.wait(execution_settings().cancel_poll_seconds):
                runs = self._listed_or_end()
                if not runs:
                    return
                self._look(runs)
        finally:
            connection.close()

    def _listed_or_end(self) -> Sequence[Listed]:
        """The runs of this process; where there are none, this thread is no longer its heart and must end."""
        global _heart
        with _lock:
            if not _runs:
                _heart = None
            return list(_runs.values())

    def _look(self, runs: Sequence[Listed]) -> None:
        chosen, now = execution_settings(), time.monotonic()
        try:
            if now >= self._renew_at:
                self._renew(runs, chosen)
            else:
                self._hear_marks(runs)
        except DatabaseError as error:
            # The next look may succeed.
            logger.warning("The database does not answer the heartbeat of engine %s: %s", engine_name(), error)
            connection.close()
        if time.monotonic() >= self._safe_until - MARGIN_SECONDS:
            logger.error("Engine %s could not prolong its leases and gives up its %d runs.", engine_name(), len(runs))
            for run in runs:
                run.lose()

    def _renew(self, runs: Sequence[Listed], chosen: ExecutionSettings) -> None:
        # Taken before the statement is sent: the lease can only last longer than that.
        asked_at = time.monotonic()
        renewed = {one.execution_id: one for one in ownership.renew(engine_name(), chosen.lease_seconds)}
        self._safe_until = asked_at + chosen.lease_seconds
        self._renew_at = asked_at + chosen.heartbeat_seconds
        for run in runs:
            still = renewed.get(run.claim.execution_id)
            if still is None or still.fence != run.claim.fence:
                # Ended, and about to leave the list; or another engine's.
                self._check(run)
            elif still.cancel_requested:
                run.cancel(Reason.USER)

    def _check(self, run: Listed) -> None:
        if querysets.is_owned(run.claim.execution_id, run.claim.fence):
            return
        logger.warning("Execution %s is no longer this engine's: it goes on elsewhere.", run.claim.execution_id)
        run.lose()

    def _hear_marks(self, runs: Sequence[Listed]) -> None:
        marked = set(querysets.cancel_requested([run.claim.execution_id for run in runs]))
        for run in runs:
            if run.claim.execution_id in marked:
                run.cancel(Reason.USER)
