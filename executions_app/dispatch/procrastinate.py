"""Word by Procrastinate: a queue in the same PostgreSQL, so that a start and its job are committed together.

A job says which execution it was sent for, to people who look at the queue; its worker takes whatever run is next.
"""

import asyncio
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, override

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.app import WorkerOptions
from procrastinate.contrib.django import app, connector_params
from procrastinate.contrib.django.settings import settings as django_settings
from procrastinate.exceptions import ConnectorException
from procrastinate.job_context import AbortReason
from procrastinate.jobs import DeleteJobCondition, Status
from procrastinate.jobs import Job as ProcrastinateJob
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from executions_app.conf import execution_settings
from executions_app.dispatch.base import TASK, Capabilities, Job
from executions_app.dispatch.engine import LAST_SECONDS, Engine
from executions_app.dispatch.worker import Stopping, Worker, patience

logger = logging.getLogger(__name__)

# How often a worker looks for jobs of which no notice comes: those that were sent for later.
POLL_SECONDS = 1.0
# After the connection was lost, so long until the next attempt.
RETRY_SECONDS = 1.0
# How often it is looked for jobs that died with their worker: their runs are found otherwise, but they would stay.
SWEEP_SECONDS = 60.0
_UNANSWERED = (ConnectorException, OperationalError, PoolTimeout, OSError)


class Procrastinate:
    """One job for an execution, under its queue, priority and time."""

    capabilities: ClassVar[Capabilities] = Capabilities(transactional=True, run_at=True, priority=True)

    def __init__(self) -> None:
        if not apps.is_installed("procrastinate.contrib.django"):
            raise ImproperlyConfigured(
                "PASTETRADER['DISPATCH'] is procrastinate, and its app is not installed. Add "
                + "'procrastinate.contrib.django' to INSTALLED_APPS and call `manage.py migrate`."
            )

    def send(self, job: Job) -> None:
        # On Django's connection, in the transaction that is open there.
        deferrer = app.configure_task(TASK, queue=job.queue, priority=job.priority, schedule_at=job.due_at)
        _ = deferrer.defer(execution_id=str(job.execution_id))

    async def serve(self, concurrency: int, queues: Sequence[str]) -> None:
        worker = Worker(concurrency, queues, patience=patience())
        with _serving(worker):
            taking = asyncio.create_task(_take_jobs(worker, concurrency, queues), name="jobs")

            def stop() -> None:
                # First no job comes any more: what is handed back shall find another worker.
                _ = taking.cancel()
                worker.stop()

            worker.stop_at_signals(stop)
            await worker.serve()
            _ = taking.cancel()
            _ = await asyncio.wait({taking}, timeout=execution_settings().limits.grace + LAST_SECONDS)


class _Again(BaseRetryStrategy):
    """A job that came to a process which was just stopping goes back to the queue."""

    @override
    def get_retry_decision(self, *, exception: BaseException, job: ProcrastinateJob) -> RetryDecision | None:
        del job
        return RetryDecision(retry_in={"seconds": 0}) if isinstance(exception, Stopping) else None


# The worker of this process, which `serve` has in the event loop of Procrastinate's worker; or an engine in a process
# in which only Procrastinate's own worker was started.
_worker: Worker | None = None
_engine: Engine | None = None


@app.task(name=TASK, pass_context=True, retry=_Again())
async def permit(context: JobContext, execution_id: str) -> None:
    """Take up the run that is next, and run it to its end. An abort of the job is no cancel of the run."""
    del execution_id
    if _worker is not None:
        _ = await _worker.permit()
        return
    engine = _own_engine(context)
    try:
        _ = await asyncio.wrap_future(engine.permit())
    except asyncio.CancelledError:
        if context.abort_reason() is AbortReason.SHUTDOWN:
            engine.stop_soon()
        raise


@contextmanager
def _serving(worker: Worker) -> Generator[None]:
    global _worker
    _worker = worker
    try:
        yield
    finally:
        _worker = None


def _own_engine(context: JobContext) -> Engine:
    """The engine that `manage.py procrastinate worker` gets with its first job of ours."""
    global _engine
    if _engine is None:
        # Its jobs come as many at a time as its worker may have.
        _engine = Engine(
            Worker(execution_settings().concurrency, tuple(context.worker_queues or ()), patience=patience())
        )
    return _engine


async def _take_jobs(worker: Worker, concurrency: int, queues: Sequence[str]) -> None:
    """Have jobs taken until this is cancelled, whatever becomes of the connection."""
    options: WorkerOptions = {
        "concurrency": concurrency,
        "fetch_job_polling_interval": POLL_SECONDS,
        "shutdown_graceful_timeout": execution_settings().limits.grace + LAST_SECONDS / 2,
        "delete_jobs": DeleteJobCondition.ALWAYS,
        "install_signal_handlers": False,
    }
    if queues:
        options["queues"] = list(queues)
    while not worker.is_stopping:
        # A connection of its own: Django has none that can wait in an event loop. With all tasks of the site, as
        # Procrastinate's own command has them, for jobs of others may lie in the same queues.
        connector = PsycopgConnector(kwargs=connector_params(django_settings.DATABASE_ALIAS), min_size=1, max_size=4)
        jobs = app.with_connector(connector)
        try:
            async with jobs.open_async(), asyncio.TaskGroup() as group:
                sweeping = group.create_task(_sweep(jobs))
                await jobs.run_worker_async(**options)
                _ = sweeping.cancel()
        except* _UNANSWERED as errors:
            error = errors.exceptions[0]
            logger.warning("No jobs come until the database answers: %s", error.__cause__ or error)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(RETRY_SECONDS)


async def _sweep(jobs: App) -> None:
    """Delete jobs whose worker died."""
    while True:
        for job in await jobs.job_manager.get_stalled_jobs(task_name=TASK):
            await jobs.job_manager.finish_job(job=job, status=Status.FAILED, delete_job=True)
        await asyncio.sleep(SWEEP_SECONDS)
