"""What a user wants to know first: what runs, what failed, what waits, and how each workflow has been doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from executions_app.conf import execution_settings
from executions_app.dispatch.inline import Vitality, vitality
from executions_app.engine.states import TERMINAL_EXECUTION, ExecutionStatus
from executions_app.listing import elapsed_ms, rows_page
from executions_app.models import WorkflowExecution, querysets
from executions_app.models.newest import newest_of_each
from executions_app.queries import ExecutionFilter
from executions_app.services.health import work_under_way
from executions_app.workflow_runs import Run, newest_runs
from workflows_app.models import Workflow

if TYPE_CHECKING:
    from workflows_app.models.access import Account

RUNNING = 8
FAILED = 5
WORKFLOWS = 12
RUNS = 10
# Nobody needs to know how many more there are, and to count them all takes long.
MOST = 100
FAILED_SINCE = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The newest few executions of a kind, and how many there are: `MOST` or more where `is_more`."""

    rows: Sequence[WorkflowExecution]
    count: int

    @property
    def is_more(self) -> bool:
        return self.count > MOST

    @property
    def shown(self) -> str:
        return f"{MOST}+" if self.is_more else str(self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """A workflow with its last runs, the oldest of them first."""

    workflow: Workflow
    runs: Sequence[Run]

    @property
    def ended(self) -> int:
        return sum(run.status in TERMINAL_EXECUTION for run in self.runs)

    @property
    def completed(self) -> int:
        return sum(run.status == ExecutionStatus.COMPLETED for run in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """That of the process which was asked."""

    vitality: Vitality
    executions: int
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    running: Part
    failed: Part
    pending: Part
    # Since when the first of those that wait does so.
    waiting_since: datetime | None
    workflows: Sequence[Recent]
    # False where the user sees no workflow at all, and nothing that ran either.
    has_anything: bool
    engine: Engine
    now: datetime = field(default_factory=querysets.now)

    def elapsed(self, execution: WorkflowExecution) -> Decimal | None:
        return elapsed_ms(execution, self.now)


def dashboard_for(user: Account) -> Dashboard:
    """A fixed number of queries, all from indexes."""
    running = _part(user, ExecutionFilter(status=[ExecutionStatus.RUNNING]), RUNNING)
    since = querysets.now() - FAILED_SINCE
    failed = _part(user, ExecutionFilter(status=[ExecutionStatus.FAILED], since=since), FAILED)
    waiting = WorkflowExecution.objects.visible_to(user, one_by_one=True).filter(status=ExecutionStatus.PENDING)
    workflows = recent_workflows(user)
    first = waiting.order_by("created_at", "id").values_list("created_at", flat=True).first()
    return Dashboard(
        running=running,
        failed=failed,
        pending=Part(rows=(), count=0 if first is None else waiting.order_by()[: MOST + 1].count()),
        waiting_since=first,
        workflows=workflows,
        has_anything=bool(workflows or running.rows) or Workflow.objects.visible_to(user).exists(),
        engine=Engine(
            vitality=vitality(),
            executions=work_under_way().executions,
            concurrency=execution_settings().concurrency,
        ),
    )


def _part(user: Account, wanted: ExecutionFilter, limit: int) -> Part:
    page = rows_page(user, wanted, limit, None)
    if page.next is None:
        return Part(rows=page.items, count=len(page.items))
    found = WorkflowExecution.objects.visible_to(user, one_by_one=True).filter(status=wanted.status[0])
    if wanted.since is not None:
        found = found.filter(created_at__gte=wanted.since)
    return Part(rows=page.items, count=found.order_by()[: MOST + 1].count())


def recent_workflows(user: Account) -> Sequence[Recent]:
    """Those that ran last, each with its last runs."""
    newest = WorkflowExecution.objects.order_by("-created_at", "-id")
    latest = newest_of_each(Workflow.objects.visible_to(user), newest, 1)
    ran = WorkflowExecution.objects.filter(pk__in=latest).order_by("-created_at", "-id")
    ids = [id_ for id_ in ran.values_list("workflow_id", flat=True)[:WORKFLOWS] if id_ is not None]
    if not ids:
        return []
    runs = newest_runs(ids, RUNS)
    workflows = Workflow.objects.filter(pk__in=ids).defer("head", "problems").in_bulk()
    # One may have been deleted since.
    return [Recent(workflow=workflows[id_], runs=runs.get(id_, [])) for id_ in ids if id_ in workflows]
