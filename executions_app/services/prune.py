"""Delete executions that are over, with all their records."""

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from executions_app.engine.states import TERMINAL_EXECUTION, ExecutionStatus
from executions_app.models import WorkflowExecution

# Executions that one transaction deletes: others want to write in between.
BATCH = 100


def prunable(ended_before: datetime, *, keep_failed: bool = False) -> int:
    """How many executions `prune` would delete."""
    return _ended(ended_before, keep_failed).count()


def prune(ended_before: datetime, *, keep_failed: bool = False) -> Iterator[int]:
    """Delete what ended before a time, oldest first, batch by batch; how many each batch had.

    Never one that is pending or running. Workflows and their versions stay.
    """
    while True:
        with transaction.atomic():
            ids = list(_ended(ended_before, keep_failed).order_by("ended_at").values_list("pk", flat=True)[:BATCH])
            _ = WorkflowExecution.objects.filter(pk__in=ids, status__in=TERMINAL_EXECUTION).delete()
        if not ids:
            return
        yield len(ids)


def _ended(before: datetime, keep_failed: bool) -> QuerySet[WorkflowExecution]:
    ended = WorkflowExecution.objects.filter(status__in=TERMINAL_EXECUTION, ended_at__lt=before)
    return ended.exclude(status=ExecutionStatus.FAILED) if keep_failed else ended
