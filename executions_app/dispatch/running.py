"""The runs of this process, and how they hear of a cancel: at once from here, within a second from anywhere else.

A cancel is a mark in the database. While anything runs, a thread with a connection of its own asks, in one
statement for all runs of the process, which of them are marked.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connection

from executions_app.conf import execution_settings
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.states import Reason
from executions_app.models import querysets

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_runs: dict[uuid.UUID, tuple[asyncio.AbstractEventLoop, CancelToken]] = {}
_watcher: threading.Thread | None = None


@contextmanager
def listed(execution_id: uuid.UUID, token: CancelToken) -> Generator[None]:
    """List a run of the running event loop for as long as it runs."""
    global _watcher
    with _lock:
        _runs[execution_id] = (asyncio.get_running_loop(), token)
        if _watcher is None:
            _watcher = threading.Thread(target=_watch, name="cancel requests", daemon=True)
            _watcher.start()
    try:
        yield
    finally:
        with _lock:
            del _runs[execution_id]


def signal_cancel(execution_id: uuid.UUID, reason: Reason = Reason.USER) -> bool:
    """Tell the run, if it is one of this process. From any thread; safe to repeat."""
    with _lock:
        found = _runs.get(execution_id)
    if found is None:
        return False
    loop, token = found
    # A loop that was closed meanwhile has nothing left to cancel.
    with suppress(RuntimeError):
        _ = loop.call_soon_threadsafe(token.request, reason)
    return True


def _watch() -> None:
    """Look for marks until nothing runs any more."""
    pause = threading.Event()
    try:
        while not pause.wait(execution_settings().cancel_poll_seconds):
            if not (running := _listed_or_end()):
                return
            for execution_id in _marked(running):
                _ = signal_cancel(execution_id)
    finally:
        connection.close()


def _listed_or_end() -> Sequence[uuid.UUID]:
    """The runs of this process; where there are none, this thread is no longer the watcher and must end."""
    global _watcher
    with _lock:
        if not _runs:
            _watcher = None
        return list(_runs)


def _marked(running: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    try:
        return querysets.cancel_requested(running)
    except DatabaseError as error:
        # The next look may succeed, and a run's own commits tell of a database that is gone.
        logger.warning("Cancel requests could not be looked up: %s", error)
        connection.close()
        return ()
