"""One call that an agent made: a request to its model, or a call of a tool."""

from __future__ import annotations

from datetime import datetime
from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from executions_app.models.execution import WorkflowExecution
from workflows_app.agents.calls import CallKind, CallOutcome
from workflows_app.dag.types import Effect, JsonObject, JsonValue
from workflows_app.models.fields import JsonTextField


class AgentCall(models.Model):
    """A row for every call, with what may be taken before it is made. Costs are whole billionths.

    `requests`, tokens and `cost` are what it took; while it is under way they are zero and what is reserved counts.
    """

    # As in NodeExecution: no constraint in the database.
    execution: models.ForeignKey[WorkflowExecution, WorkflowExecution] = models.ForeignKey(
        WorkflowExecution,
        on_delete=models.CASCADE,
        related_name="calls",
        db_constraint=False,
        db_index=False,
    )
    # Of the NodeExecution whose agent it is.
    order: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    item: models.IntegerField[int, int] = models.IntegerField(default=-1)
    attempt_id: models.CharField[str, str] = models.CharField(max_length=40)
    # Counts from 1 in its attempt.
    number: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    # The fence of the engine that made it.
    fence: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    kind: models.CharField[str, str] = models.CharField(max_length=10, choices=[(kind, kind) for kind in CallKind])
    provider: models.CharField[str, str] = models.CharField(max_length=200, blank=True, default="")
    # The model or the tool.
    name: models.CharField[str, str] = models.CharField(max_length=200)
    effect: models.CharField[str, str] = models.CharField(
        max_length=20, choices=[(effect, effect) for effect in Effect]
    )
    outcome: models.CharField[str, str] = models.CharField(
        max_length=10, choices=[(outcome, outcome) for outcome in CallOutcome]
    )
    arguments: models.Field[JsonValue, JsonValue] = JsonTextField(null=True)
    result: models.Field[JsonValue, JsonValue] = JsonTextField(null=True)
    error: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(null=True)
    # Null for a call for which nothing was reserved.
    reserved_requests: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    reserved_input_tokens: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    reserved_output_tokens: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    # Null also where no price is known.
    reserved_cost: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    requests: models.BigIntegerField[int, int] = models.BigIntegerField(default=0)
    input_tokens: models.BigIntegerField[int, int] = models.BigIntegerField(default=0)
    output_tokens: models.BigIntegerField[int, int] = models.BigIntegerField(default=0)
    cost: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    started_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    ended_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    class Meta:
        verbose_name = gettext_lazy("call of an agent")
        verbose_name_plural = gettext_lazy("calls of agents")
        # Ids of attempts are in the order of time.
        ordering = ["execution_id", "attempt_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["execution", "attempt_id", "number"], name="agent_call_once"),
            models.CheckConstraint(
                condition=models.Q(outcome__in=[str(outcome) for outcome in CallOutcome]),
                name="agent_call_valid_outcome",
            ),
            models.CheckConstraint(
                condition=models.Q(outcome=str(CallOutcome.STARTED), ended_at__isnull=True)
                | (~models.Q(outcome=str(CallOutcome.STARTED)) & models.Q(ended_at__isnull=False)),
                name="agent_call_ended_iff_over",
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.name
