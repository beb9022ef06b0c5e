"""The newest executions of many workflows together, found without a look at anybody else's.

Sorting what an index finds costs all of it, and walking all executions from the newest one on costs what belongs to
others. The newest few of each workflow come from its own part of an index; the newest of all are among them.
"""

from typing import Any

from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL

from executions_app.models.execution import WorkflowExecution
from workflows_app.models import Workflow, WorkflowVersion

# For each row of `of` the subquery is asked again. SQLite has no LATERAL; its CROSS JOIN keeps the order of tables.
_OF_EACH = {
    "postgresql": "SELECT n.id FROM ({of}) AS o CROSS JOIN LATERAL ({newest}) AS n",
    "sqlite": "SELECT n.id FROM ({of}) AS o CROSS JOIN {table} AS n ON n.id IN ({newest})",
}


def newest_for(user_id: int, workflows: QuerySet[Workflow], rows: QuerySet[WorkflowExecution], limit: int) -> RawSQL:
    """The ids of those of `rows`, in their order, that may be among the first `limit` of these workflows and of what
    a user started and has no workflow (any more).
    """
    left = WorkflowVersion.objects.exclude(workflow=None).exclude(workflow_id__in=Workflow.objects.values("pk"))
    own = rows.filter(started_by=user_id)
    return _those(
        _of_each(rows, "workflow_id", workflows.values(source=F("pk")), limit),
        _of_each(own, "workflow_id", left.values(source=F("workflow_id")).distinct(), limit),
        _first(own.filter(workflow=None), limit),
    )


def newest_of_versions(versions: QuerySet[WorkflowVersion], rows: QuerySet[WorkflowExecution], limit: int) -> RawSQL:
    """The ids of those of `rows`, in their order, that may be among the first `limit` of these versions."""
    return _those(_of_each(rows, "version_id", versions.values(source=F("pk")), limit))


def newest_of_each(workflows: QuerySet[Workflow], rows: QuerySet[WorkflowExecution], limit: int) -> RawSQL:
    """The ids of those of `rows`, in their order, that are among the first `limit` of one of these workflows."""
    return _those(_of_each(rows, "workflow_id", workflows.values(source=F("pk")), limit))


type _Ids = tuple[str, tuple[Any, ...]]


def _of_each(rows: QuerySet[WorkflowExecution], column: str, of: QuerySet[Any, Any], limit: int) -> _Ids:
    outer, outer_parameters = of.order_by().query.sql_with_params()
    newest, parameters = _first(rows.filter(**{column: RawSQL("o.source", ())}), limit)
    form = _OF_EACH[connection.vendor]
    return form.format(of=outer, newest=newest, table=rows.model._meta.db_table), outer_parameters + parameters


def _first(rows: QuerySet[WorkflowExecution], limit: int) -> _Ids:
    return rows.values("id")[:limit].query.sql_with_params()


def _those(*ids: _Ids) -> RawSQL:
    # In brackets SQLite takes no part of a UNION.
    union = " UNION ALL ".join(f"SELECT * FROM ({sql}) AS part" for sql, _ in ids)
    return RawSQL(union, [value for _, parameters in ids for value in parameters])
