"""How the executions of a workflow went, counted by the database."""

from decimal import Decimal
from typing import Any

from django.db.models import Count, DurationField, ExpressionWrapper, F, Window
from django.db.models.functions import RowNumber

from executions_app.engine.states import ExecutionStatus, NodeStatus
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.spans import duration_ms
from executions_app.usage import usage_of_workflow
from workflows_app.models import Workflow

PERCENTILES = (50, 95, 99)


def statistics_json(workflow: Workflow) -> dict[str, Any]:
    """Counts by status, percentiles of how long ended executions ran, how often which node failed, what agents took."""
    rows = WorkflowExecution.objects.filter(workflow_id=workflow.pk).order_by()
    counted = dict(rows.values_list("status").annotate(Count("pk")))
    failed = NodeExecution.objects.filter(execution_id__in=rows.values("pk"), status=str(NodeStatus.FAILED))
    failures = failed.order_by().values_list("key").annotate(times=Count("pk")).order_by("-times", "key")
    return {
        "counts": {str(status): counted.get(str(status), 0) for status in ExecutionStatus},
        "duration_ms": _percentiles(workflow),
        "failures_by_node": dict(failures),
        "usage": usage_of_workflow(workflow),
    }


def _percentiles(workflow: Workflow) -> dict[str, Decimal | None]:
    """The shortest duration that so many percent do not exceed (nearest rank); None where nothing has run."""
    rows = WorkflowExecution.objects.filter(workflow_id=workflow.pk, started_at__isnull=False, ended_at__isnull=False)
    count = rows.count()
    ranks = {f"p{percent}": -(-count * percent // 100) for percent in PERCENTILES}
    lasted = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    ranked = rows.order_by().annotate(rank=Window(RowNumber(), order_by=lasted)).filter(rank__in=set(ranks.values()))
    found = {rank: duration_ms(*span) for rank, *span in ranked.values_list("rank", "started_at", "ended_at")}
    return {name: found.get(rank) for name, rank in ranks.items()}
