"""The dispatcher that the settings choose, and how word is given through it."""

import logging
import uuid
from functools import lru_cache
from typing import cast

from django.db import transaction
from django.utils.module_loading import import_string

from executions_app.conf import execution_settings
from executions_app.dispatch.base import Dispatcher, Job
from workflows_app.dag.plan import PlanSettings

logger = logging.getLogger(__name__)

# By the word of PASTETRADER["DISPATCH"]; another one is named by the path of its class.
DISPATCHERS = {
    "inline": "executions_app.dispatch.inline.Inline",
    "procrastinate": "executions_app.dispatch.procrastinate.Procrastinate",
    "celery": "executions_app.dispatch.celery.Celery",
}


def dispatcher() -> Dispatcher:
    return _load(execution_settings().dispatch)


@lru_cache(maxsize=1)
def _load(name: str) -> Dispatcher:
    return cast("type[Dispatcher]", import_string(DISPATCHERS.get(name, name)))()


def send(job: Job) -> None:
    """Give word of a run that the open transaction accepts."""
    chosen = dispatcher()
    if job.due_at is not None and not chosen.capabilities.run_at:
        return
    if chosen.capabilities.transactional:
        chosen.send(job)
    else:
        transaction.on_commit(lambda: _send_late(chosen, job))


def pass_on(execution_id: uuid.UUID, settings: PlanSettings) -> None:
    """Where only so many with a key may be under way, and one of them has ended: give word to the next.

    The permit of one that had to wait is spent. In a transaction of its own.
    """
    if settings.concurrency is None:
        return
    job = Job(execution_id=execution_id, queue=settings.queue, priority=settings.priority)
    try:
        with transaction.atomic():
            send(job)
    except Exception as error:  # noqa: BLE001 - whatever the database or a queue's package raises
        logger.warning("No word was given after execution %s, workers will find the next: %s", execution_id, error)


def _send_late(chosen: Dispatcher, job: Job) -> None:
    """After the commit nothing may undo the acceptance: workers find the run by themselves, a little later."""
    try:
        chosen.send(job)
    except Exception as error:  # noqa: BLE001 - whatever a broker's client raises
        logger.warning("No word of execution %s was given, workers will find it: %s", job.execution_id, error)
