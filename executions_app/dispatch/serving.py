"""The queues that this process serves: what is for another one, other processes do."""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from executions_app.conf import execution_settings

_lock = threading.Lock()
_served: list[Sequence[str]] = []


@contextmanager
def serving(queues: Sequence[str]) -> Generator[None]:
    """While this lasts the process serves these queues, or all; beside those that others said so of."""
    with _lock:
        _served.append(queues)
    try:
        yield
    finally:
        with _lock:
            _served.remove(queues)


def serves(queue: str) -> bool:
    """Whether this process does what is for a queue. Where nobody said what it serves, the settings say it."""
    with _lock:
        said = tuple(_served) or (execution_settings().queues,)
    return any(not queues or queue in queues for queues in said)
