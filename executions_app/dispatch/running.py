"""The runs of this process, so that a cancel here is heard at once."""

import asyncio
import threading
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress

from executions_app.engine.cancellation import CancelToken
from executions_app.engine.states import Reason

_lock = threading.Lock()
_runs: dict[uuid.UUID, tuple[asyncio.AbstractEventLoop, CancelToken]] = {}


@contextmanager
def listed(execution_id: uuid.UUID, token: CancelToken) -> Generator[None]:
    """List a run of the running event loop for as long as it runs."""
    with _lock:
        _runs[execution_id] = (asyncio.get_running_loop(), token)
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
