"""The runs of a workflow as its pages show them: the newest, how long they take, and what the last one was given."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median_low
from typing import TYPE_CHECKING

from executions_app.engine.states import ExecutionStatus
from executions_app.models import WorkflowExecution
from executions_app.models.newest import newest_of_each
from executions_app.spans import duration_ms
from workflows_app.models import Workflow

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from workflows_app.dag.types import JsonObject
    from workflows_app.models.access import Account

# What is usual is told from so many of the latest.
MEDIAN_OF = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An execution by what a small picture of it says."""

    id: uuid.UUID
    status: str
    reason: str
    created_at: datetime
    duration_ms: Decimal | None


def newest_runs(workflows: Iterable[uuid.UUID], limit: int) -> dict[uuid.UUID, list[Run]]:
    """The newest runs of each of these workflows, the oldest of them first. One query for all, from an index."""
    ids = list(workflows)
    if not ids:
        return {}
    newest = newest_of_each(Workflow.objects.filter(pk__in=ids), _newest_first(), limit)
    rows = WorkflowExecution.objects.filter(pk__in=newest).order_by("created_at", "id")
    found: dict[uuid.UUID, list[Run]] = {}
    columns = ("workflow_id", "id", "status", "reason", "created_at", "started_at", "ended_at")
    for workflow_id, id_, status, reason, created_at, started_at, ended_at in rows.values_list(*columns):
        lasted = duration_ms(started_at, ended_at)
        run = Run(id=id_, status=status, reason=reason, created_at=created_at, duration_ms=lasted)
        found.setdefault(workflow_id, []).append(run)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """An execution in a table. `share` is its duration in percent of the median; None where there is none."""

    execution: WorkflowExecution
    duration_ms: Decimal | None
    share: int | None


def run_rows(workflow: Workflow, limit: int, median: Decimal | None) -> Sequence[RunRow]:
    """The newest first, with their version and who started them."""
    rows = _newest_first().filter(workflow_id=workflow.pk).select_related("version", "started_by")
    found: list[RunRow] = []
    for execution in rows.defer("version__plan", "input", "output")[:limit]:
        lasted = duration_ms(execution.started_at, execution.ended_at)
        share = round(lasted / median * 100) if lasted is not None and median else None
        found.append(RunRow(execution=execution, duration_ms=lasted, share=share))
    return found


def median_ms(workflow: Workflow) -> Decimal | None:
    """How long those of the last ones that completed ran, in the middle; None where none has."""
    rows = _newest_first().filter(workflow_id=workflow.pk).values_list("status", "started_at", "ended_at")
    completed = [span for status, *span in rows[:MEDIAN_OF] if status == ExecutionStatus.COMPLETED]
    lasted = [lasted for span in completed if (lasted := duration_ms(*span)) is not None]
    return median_low(lasted) if lasted else None


def last_given(user: Account, workflow: Workflow) -> tuple[uuid.UUID, JsonObject] | None:
    """The execution whose input is the likeliest to be wanted again, and that input: the user's last, or anybody's."""
    rows = _newest_first().filter(workflow_id=workflow.pk).values_list("id", "input")
    return rows.filter(started_by=user.pk).first() or rows.first()


def _newest_first() -> QuerySet[WorkflowExecution]:
    return WorkflowExecution.objects.order_by("-created_at", "-id")
