"""Executions as people look through them: rows of a list, and what is usual for their workflows."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django.db.models import (
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Prefetch,
    QuerySet,
    Window,
    prefetch_related_objects,
)
from django.db.models.functions import RowNumber

from executions_app.engine.states import ExecutionStatus
from executions_app.models import WorkflowExecution, querysets
from executions_app.models.newest import newest_of_each
from executions_app.queries import ExecutionFilter, executions_page
from executions_app.spans import duration_ms
from workflows_app.models import Workflow, WorkflowVersion
from workflows_app.models.pages import Page

if TYPE_CHECKING:
    from workflows_app.models.access import Account

# What is usual is told from so many of the latest executions of a workflow.
RECENT = 50
# A menu of more names is none.
MOST_NAMES = 200
# So many are changed by one click.
MOST_CHOSEN = 200


def visible_executions(user: Account) -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.visible_to(user)


def rows_page(user: Account, wanted: ExecutionFilter, limit: int, cursor: str | None) -> Page[WorkflowExecution]:
    """Executions for a list, the newest first, each with `usual_ms`, None where nothing is usual.

    Raises `InvalidCursor`.
    """
    page = executions_page(user, wanted, limit, cursor, with_data=False)
    prefetch_related_objects(page.items, "started_by")
    usual = usual_ms({execution.workflow_id for execution in page.items if execution.workflow_id})
    for execution in page.items:
        cast(Any, execution).usual_ms = usual.get(execution.workflow_id) if execution.workflow_id else None
    return page


def chosen_executions(selected: QuerySet[WorkflowExecution]) -> Sequence[WorkflowExecution]:
    """Those that were ticked in a list, the newest first, with what tells them apart and what decides about them."""
    rows = selected.order_by("-created_at", "-id").defer("input", "output")
    versions = WorkflowVersion.objects.defer("plan")
    return list(rows.prefetch_related(Prefetch("version", queryset=versions), "workflow")[:MOST_CHOSEN])


def usual_ms(workflow_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Decimal]:
    """By workflow, what half of its latest completed executions did not exceed; those of which none completed lack."""
    if not workflow_ids:
        return {}
    newest = WorkflowExecution.objects.order_by("-created_at", "-id")
    recent = newest_of_each(Workflow.objects.filter(pk__in=workflow_ids), newest, RECENT)
    lasted = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    ranked = (
        WorkflowExecution.objects.filter(pk__in=recent, status=ExecutionStatus.COMPLETED, started_at__isnull=False)
        .order_by()
        .annotate(
            rank=Window(RowNumber(), partition_by="workflow_id", order_by=lasted),
            among=Window(Count("pk"), partition_by="workflow_id"),
        )
        .filter(rank=(F("among") + 1) / 2)
    )
    found: dict[uuid.UUID, Decimal] = {}
    for workflow_id, began, ended in ranked.values_list("workflow_id", "started_at", "ended_at"):
        took = duration_ms(began, ended)
        if workflow_id is not None and took is not None:
            found[workflow_id] = took
    return found


def elapsed_ms(execution: WorkflowExecution, now: datetime | None = None) -> Decimal | None:
    """How long it took, or has been running until now; None for what never started."""
    return duration_ms(execution.started_at, execution.ended_at or now or querysets.now())


def workflow_names(user: Account) -> Sequence[str]:
    """The names by which a list may be filtered, the first `MOST_NAMES` of them."""
    names = Workflow.objects.visible_to(user).order_by("name").values_list("name", flat=True)
    return list(names.distinct()[:MOST_NAMES])


def workflow_name(user: Account, workflow_id: str) -> str | None:
    """What a workflow is called; None for what is not there, or no id."""
    try:
        wanted = uuid.UUID(workflow_id)
    except ValueError:
        return None
    return Workflow.objects.visible_to(user).filter(pk=wanted).values_list("name", flat=True).first()
