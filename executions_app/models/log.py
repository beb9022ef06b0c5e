"""The journal of an execution: an entry is an event and a log line at once."""

from __future__ import annotations

from datetime import datetime
from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from executions_app.models.execution import WorkflowExecution
from workflows_app.dag.types import JsonObject
from workflows_app.models.fields import JsonTextField


class ExecutionLog(models.Model):
    """One entry; `seq` counts 1, 2, 3, ... without gaps in its execution."""

    execution: models.ForeignKey[WorkflowExecution, WorkflowExecution] = models.ForeignKey(
        WorkflowExecution,
        on_delete=models.CASCADE,
        related_name="logs",
        db_constraint=False,
        db_index=False,
    )
    seq: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    event: models.CharField[str, str] = models.CharField(max_length=40)
    level: models.CharField[str, str] = models.CharField(max_length=10)
    # A node key; empty for the execution itself.
    node: models.CharField[str, str] = models.CharField(max_length=200, blank=True, default="")
    message: models.TextField[str, str] = models.TextField()
    data: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(null=True)
    at: models.DateTimeField[datetime, datetime] = models.DateTimeField()

    class Meta:
        verbose_name = gettext_lazy("log entry")
        verbose_name_plural = gettext_lazy("log entries")
        ordering = ["execution", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "seq"], name="execution_log_seq"),
        ]

    @override
    def __str__(self) -> str:
        return self.message
