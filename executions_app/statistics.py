"""How the executions of a workflow went, counted by the database."""

from decimal import Decimal
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F

from executions_app.engine.states import ExecutionStatus, NodeStatus
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.queries import duration_ms
from workflows_app.models import Workflow

PERCENTILES = (50, 95, 99)


def statistics_json(workflow: Workflow) -> dict[str, Any]:
    """Counts by status, percentiles of how long ended executions ran, and how often which node failed."""
    rows = WorkflowExecution.objects.filter(workflow_id=workflow.pk).order_by()
    counted = dict(rows.values_list("status").annotate(Count("pk")))
    failed = NodeExecution.objects.filter(execution_id__in=rows.values("pk"), status=str(NodeStatus.FAILED))
    failures = failed.order_by().values_list("key").annotate(times=Count("pk")).order_by("-times", "key")
    return {
        "counts": {str(status): counted.get(str(status), 0) for status in ExecutionStatus},
        "duration_ms": {f"p{percent}": _percentile(workflow, percent) for percent in PERCENTILES},
        "failures_by_node": dict(failures),
    }


def _percentile(workflow: Workflow, percent: int) -> Decimal | None:
    """The shortest duration that so many percent do not exceed (nearest rank); None where nothing has run."""
    rows = WorkflowExecution.objects.filter(workflow_id=workflow.pk, started_at__isnull=False, ended_at__isnull=False)
    count = rows.count()
    if not count:
        return None
    lasted = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    rank = -(-count * percent // 100)
    started_at, ended_at = rows.order_by(lasted).values_list("started_at", "ended_at")[rank - 1]
    return duration_ms(started_at, ended_at)
