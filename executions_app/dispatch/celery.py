"""Word by Celery, for teams that run it already: its worker gives permits to an engine beside it.

Celery calls synchronous functions in processes or threads, and knows nothing of a transaction: a task here only waits
for an engine, which has an event loop of its own, and what is sent is sent after the commit. That a broker lost or
repeated a task, or gave it to a worker that died, does no harm, so nothing depends on its acknowledgements either.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any, ClassVar, cast

import celery
from celery import signals
from celery.concurrency.prefork import TaskPool as Prefork
from celery.worker import WorkController, state
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from kombu import pools

from executions_app.conf import execution_settings
from executions_app.dispatch.base import TASK, Capabilities, Job
from executions_app.dispatch.engine import LAST_SECONDS, Engine
from executions_app.dispatch.worker import Stopping, Worker, patience
from workflows_app.dag.types import DEFAULT_QUEUE

logger = logging.getLogger(__name__)

# A broker that is away holds up a start for so long, and is then left alone for a while.
SEND_SECONDS = 0.5
LEFT_ALONE_SECONDS = 5.0
RETRY_SECONDS = 1.0
# The packages say nothing of their types.
_celery, _signals, _producers = cast("Any", celery), cast("Any", signals), cast("Any", pools).producers
_QUICK = {
    "socket_connect_timeout": SEND_SECONDS,
    "socket_timeout": SEND_SECONDS,
    "max_retries": 0,
    "interval_start": 0,
    "connect_retries_timeout": SEND_SECONDS,
}


def _own_app() -> Any:
    made: Any = _celery.Celery("pastetrader", fixups=[], set_as_current=False)
    made.conf.update(
        broker_url=execution_settings().celery_broker or None,
        task_default_queue=DEFAULT_QUEUE,
        # A task that lies with a worker that is busy is one that no other worker hears of.
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_hijack_root_logger=False,
    )
    return made


def celery_app() -> Any:
    """The team's application, which PASTETRADER["CELERY_APP"] names, or one of ours."""
    name = execution_settings().celery_app
    return import_string(name) if name else app


class _AwayError(ConnectionError):
    def __init__(self) -> None:
        super().__init__("The broker did not answer a moment ago.")


class Celery:
    """One task for an execution, in the Celery queue of the same name."""

    # A broker's priorities differ from one to the next: of the runs of a queue the record's order decides.
    capabilities: ClassVar[Capabilities] = Capabilities(transactional=False, run_at=False, priority=False)

    def __init__(self) -> None:
        if not celery_app().conf.broker_url:
            raise ImproperlyConfigured(
                "PASTETRADER['DISPATCH'] is celery, and there is no broker. Set CELERY_BROKER_URL, such as "
                + "redis://127.0.0.1:6379/0, or name your application in PASTETRADER['CELERY_APP']."
            )
        self._away_until = 0.0
        self._connections: dict[int, Any] = {}

    def send(self, job: Job) -> None:
        if time.monotonic() < self._away_until:
            raise _AwayError
        chosen = celery_app()
        try:
            with _producers[self._connection(chosen)].acquire(block=True, timeout=SEND_SECONDS) as producer:
                _ = chosen.send_task(
                    TASK,
                    kwargs={"execution_id": str(job.execution_id)},
                    queue=job.queue,
                    producer=producer,
                    retry=False,
                    ignore_result=True,
                )
        except Exception:
            self._away_until = time.monotonic() + LEFT_ALONE_SECONDS
            raise

    def _connection(self, chosen: Any) -> Any:
        """For this process: a fork must not speak on the connection of its parent."""
        process = os.getpid()
        if process not in self._connections:
            quick = chosen.connection_for_write(connect_timeout=SEND_SECONDS, transport_options=_QUICK)
            self._connections = {process: quick}
        return self._connections[process]

    async def serve(self, concurrency: int, queues: Sequence[str]) -> None:
        worker = Worker(concurrency, queues, patience=patience())
        _host.take(worker, asyncio.get_running_loop())
        consumed = list(queues) or [DEFAULT_QUEUE]
        consuming = threading.Thread(target=_consume, args=(worker, concurrency, consumed), name="celery", daemon=True)
        consuming.start()

        def stop() -> None:
            # First no task comes any more.
            state.should_stop = 0
            worker.stop()

        worker.stop_at_signals(stop)
        await worker.serve()
        state.should_stop = 0
        _ = await asyncio.to_thread(consuming.join, execution_settings().limits.grace + LAST_SECONDS)


def _consume(worker: Worker, concurrency: int, queues: Sequence[str]) -> None:
    """Be a Celery worker, as often as it takes; in a thread, so that it touches no signal handlers."""
    while not worker.is_stopping:
        controller: Any = WorkController(
            app=celery_app(),
            pool="threads",
            concurrency=concurrency,
            queues=list(queues),
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        controller.start()
        if not worker.is_stopping:
            logger.warning("The Celery worker ended, and begins anew.")
            time.sleep(RETRY_SECONDS)


class _Host:
    """What permits are given to in this process: the worker of `serve`, or an engine beside a worker of Celery's."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        # What Celery's worker was told to consume.
        self._queues: tuple[str, ...] = ()
        # Open for as long as the main process of a prefork pool goes on taking tasks: its end is heard in all children.
        self._lifeline: tuple[int, int] | None = None

    def take(self, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
        self._worker, self._loop = worker, loop

    @property
    def is_taken(self) -> bool:
        return self._worker is not None

    def permit(self) -> None:
        """Wait until a run that this permit allowed has ended."""
        if self._worker is not None and self._loop is not None:
            if self._worker.is_stopping:
                # Its loop may be gone before it answers.
                return
            waiting = self._worker.permit()
            try:
                _ = asyncio.run_coroutine_threadsafe(waiting, self._loop).result()
            except (Stopping, CancelledError):
                # Another worker finds the run.
                return
        elif self._engine is not None:
            _ = self._engine.permit().result()

    def prepare(self, queues: Sequence[str]) -> None:
        """In the main process of a worker, before it has children."""
        self._queues = execution_settings().queues or tuple(queues)
        self._lifeline = os.pipe()

    def start(self, concurrency: int) -> None:
        self._engine = Engine(Worker(concurrency, self._queues, patience=patience()))

    def start_in_child(self) -> None:
        self.start(1)
        if self._lifeline is not None:
            read_end, write_end = self._lifeline
            self._lifeline = None
            os.close(write_end)
            threading.Thread(target=self._await_end, args=(read_end,), name="lifeline", daemon=True).start()

    def stop_soon(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline[1])
            self._lifeline = None
        if self._engine is not None:
            self._engine.stop_soon()

    def stop(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _await_end(self, read_end: int) -> None:
        _ = os.read(read_end, 1)
        if self._engine is not None:
            self._engine.stop_soon()


_host = _Host()
app = _own_app()


def permit(execution_id: str = "") -> None:
    """Have the run that is next taken up here, and wait for its end."""
    del execution_id
    _host.permit()


# Of every application, ours or the team's.
_celery.shared_task(name=TASK, ignore_result=True)(permit)


# Of a worker that Celery started. `serve` has its own.
def _on_worker_init(sender: Any, **_: Any) -> None:
    if not _host.is_taken:
        _host.prepare(tuple(sender.app.amqp.queues.consume_from))


def _on_worker_ready(sender: Any, **_: Any) -> None:
    # The children of a prefork pool have engines of their own.
    if not _host.is_taken and not isinstance(sender.pool, Prefork):
        _host.start(int(sender.controller.concurrency))


def _on_child_init(**_: Any) -> None:
    _host.start_in_child()


def _on_shutting_down(**_: Any) -> None:
    if not _host.is_taken:
        _host.stop_soon()


def _on_child_shutdown(**_: Any) -> None:
    _host.stop()


_signals.worker_init.connect(_on_worker_init, weak=False)
_signals.worker_ready.connect(_on_worker_ready, weak=False)
_signals.worker_process_init.connect(_on_child_init, weak=False)
_signals.worker_shutting_down.connect(_on_shutting_down, weak=False)
_signals.worker_process_shutdown.connect(_on_child_shutdown, weak=False)
