"""The dispatcher that the settings choose, and how word is given through it."""

import logging
from functools import lru_cache
from typing import cast

from django.db import transaction
from django.utils.module_loading import import_string

from executions_app.conf import execution_settings
from executions_app.dispatch.base import Dispatcher, Job

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


def _send_late(chosen: Dispatcher, job: Job) -> None:
    """After the commit nothing may undo the acceptance: workers find the run by themselves, a little later."""
    try:
        chosen.send(job)
    except Exception as error:  # noqa: BLE001 - whatever a broker's client raises
        logger.warning("No word of execution %s was given, workers will find it: %s", job.execution_id, error)
