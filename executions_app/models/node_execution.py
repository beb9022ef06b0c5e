"""What happened to one node in one execution."""

from __future__ import annotations

from datetime import datetime
from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from executions_app.engine.states import NodeStatus
from executions_app.models.execution import WorkflowExecution
from workflows_app.dag.types import JsonObject, JsonValue, NodeType
from workflows_app.models.fields import JsonTextField


class NodeExecution(models.Model):
    """Exactly one row for every node of a run, from its acceptance on; a skipped one says why."""

    # Nodes and logs are written by the thousand: a foreign key that the database checks row by row, and an
    # index that the unique constraint covers already, would cost a third of that.
    execution: models.ForeignKey[WorkflowExecution, WorkflowExecution] = models.ForeignKey(
        WorkflowExecution,
        on_delete=models.CASCADE,
        related_name="nodes",
        db_constraint=False,
        db_index=False,
    )
    # The node's place in the plan.
    order: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    # Which item of a mapped node this is; -1 for the node itself.
    item: models.IntegerField[int, int] = models.IntegerField(default=-1)
    key: models.CharField[str, str] = models.CharField(max_length=200)
    type: models.CharField[str, str] = models.CharField(max_length=20, choices=[(kind, kind) for kind in NodeType])
    name: models.CharField[str, str] = models.CharField(max_length=200)
    level: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    status: models.CharField[str, str] = models.CharField(
        max_length=10, choices=[(status, status) for status in NodeStatus], default="pending"
    )
    reason: models.CharField[str, str] = models.CharField(max_length=20, blank=True, default="")
    retry_count: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    # The attempt that is under way, or was last.
    attempt_id: models.CharField[str, str] = models.CharField(max_length=40, blank=True, default="")
    input: models.Field[JsonValue, JsonValue] = JsonTextField(null=True)
    output: models.Field[JsonValue, JsonValue] = JsonTextField(null=True)
    error: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(null=True)
    error_message: models.TextField[str, str] = models.TextField(blank=True, default="")
    traceback: models.TextField[str, str] = models.TextField(blank=True, default="")
    details: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(null=True)
    # The states of its outgoing edges, in document order, a digit each; and when its next attempt is due.
    edges: models.TextField[str, str] = models.TextField(blank=True, default="")
    due_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    started_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    ended_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    class Meta:
        verbose_name = gettext_lazy("node of an execution")
        verbose_name_plural = gettext_lazy("nodes of executions")
        ordering = ["execution", "order"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "order", "item"], name="node_execution_once"),
            models.CheckConstraint(
                condition=models.Q(status__in=[str(status) for status in NodeStatus]),
                name="node_execution_valid_status",
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.key
