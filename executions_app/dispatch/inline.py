"""No queue but the record: workers look there, and the engine inside an ASGI server is one of them.

A server gives no notice to what runs beside its requests, so the end of the process is the notice: where it ends in
order, runs are handed back; where it is killed, another engine, or the next start, finds them.
"""

import threading
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from django.db import connection, transaction

from executions_app.conf import execution_settings
from executions_app.dispatch.base import Capabilities, Job
from executions_app.dispatch.engine import Engine
from executions_app.dispatch.running import wake
from executions_app.dispatch.worker import Worker
from executions_app.models.notices import notify_work


class Inline:
    """The record itself, with a notice where the database has some: nothing else is needed."""

    capabilities: ClassVar[Capabilities] = Capabilities(transactional=True, run_at=False, priority=True)

    def send(self, job: Job) -> None:
        del job
        with connection.cursor() as cursor:
            notify_work(cursor)
        transaction.on_commit(wake)

    async def serve(self, concurrency: int, queues: Sequence[str]) -> None:
        worker = Worker(concurrency, queues)
        worker.stop_at_signals()
        await worker.serve()


_lock = threading.Lock()
_engine: Engine | None = None


def start_engine() -> None:
    """Begin to take up runs in this process; once, however often it is called."""
    global _engine
    with _lock:
        if _engine is None:
            _engine = Engine(Worker(execution_settings().concurrency, execution_settings().queues))


class Vitality(StrEnum):
    # Nobody asked for one in this process.
    ABSENT = "absent"
    ALIVE = "alive"
    # Its thread has ended, though nobody stopped it: only a new process helps.
    DEAD = "dead"


def vitality() -> Vitality:
    """Whether the engine of this process lives."""
    engine = _engine
    if engine is None:
        return Vitality.ABSENT
    return Vitality.ALIVE if engine.is_alive else Vitality.DEAD


def stop_engine() -> None:
    """Hand back what is under way, and wait until that is done."""
    global _engine
    with _lock:
        engine, _engine = _engine, None
    if engine is not None:
        engine.stop()
