"""One try of a node."""

from __future__ import annotations

from datetime import datetime
from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from executions_app.engine.states import AttemptOutcome
from executions_app.models.execution import WorkflowExecution
from workflows_app.dag.types import JsonObject
from workflows_app.models.fields import JsonTextField


class NodeAttempt(models.Model):
    """A row for every try. With an effect it is there before the processor is called, else at the latest at its end."""

    # Made by the engine before the insert; in the order of time.
    attempt_id: models.CharField[str, str] = models.CharField(max_length=40, primary_key=True)
    # As in NodeExecution: written by the thousand.
    execution: models.ForeignKey[WorkflowExecution, WorkflowExecution] = models.ForeignKey(
        WorkflowExecution,
        on_delete=models.CASCADE,
        related_name="attempts",
        db_constraint=False,
        db_index=False,
    )
    # Of the NodeExecution that it is a try of.
    order: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    item: models.IntegerField[int, int] = models.IntegerField(default=-1)
    # Counts from 1.
    number: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    # The fence of the engine that made it.
    fence: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    outcome: models.CharField[str, str] = models.CharField(
        max_length=10, choices=[(outcome, outcome) for outcome in AttemptOutcome]
    )
    error: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(null=True)
    traceback: models.TextField[str, str] = models.TextField(blank=True, default="")
    # Microseconds of its steps, and bytes of its input and output; null for what it did not come to.
    pre_process_us: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    process_us: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    post_process_us: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    bytes_in: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    bytes_out: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    started_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    ended_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    class Meta:
        verbose_name = gettext_lazy("attempt")
        verbose_name_plural = gettext_lazy("attempts")
        ordering = ["execution", "order", "item", "number"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "order", "item", "number"], name="node_attempt_once"),
            models.CheckConstraint(
                condition=models.Q(outcome__in=[str(outcome) for outcome in AttemptOutcome]),
                name="node_attempt_valid_outcome",
            ),
            models.CheckConstraint(
                condition=models.Q(outcome=str(AttemptOutcome.STARTED), ended_at__isnull=True)
                | (~models.Q(outcome=str(AttemptOutcome.STARTED)) & models.Q(ended_at__isnull=False)),
                name="node_attempt_ended_iff_over",
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.attempt_id
