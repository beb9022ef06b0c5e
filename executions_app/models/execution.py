"""One run of an immutable snapshot."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, override

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from executions_app.engine.states import TERMINAL_EXECUTION, ExecutionStatus
from workflows_app.dag.types import DEFAULT_QUEUE, JsonObject, JsonValue, Scheduling
from workflows_app.models import Workflow, WorkflowVersion
from workflows_app.models.access import EVERYTHING, NOTHING, Verb, sees_everything
from workflows_app.models.fields import JsonTextField, new_id

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models.fields.related_descriptors import RelatedManager

    from executions_app.models.log import ExecutionLog
    from executions_app.models.node_execution import NodeExecution
    from workflows_app.models.access import Account

    _ExecutionManagerBase = models.Manager["WorkflowExecution"]
else:
    _ExecutionManagerBase = models.Manager


class ExecutionManager(_ExecutionManagerBase):
    """Executions, and those of them that exist for a user."""

    def visible_to(self, user: Account, *, one_by_one: bool = False) -> models.QuerySet[WorkflowExecution]:
        """Those of visible workflows; where there is no workflow (any more), those that the user started.

        `one_by_one` is for what another condition finds: each row is asked about. Without statistics SQLite would
        rather look up all that the user may see.
        """
        if sees_everything(user):
            return self.all()
        if not user.is_active:
            return self.none()
        workflows = Workflow.objects.visible_to(user).order_by()
        shared = (
            models.Q(models.Exists(workflows.filter(pk=models.OuterRef("workflow_id"))))
            if one_by_one
            else models.Q(workflow_id__in=workflows.values("pk"))
        )
        left = ~models.Exists(Workflow.objects.filter(pk=models.OuterRef("workflow_id")))
        return self.filter(shared | (models.Q(started_by=user.pk) & left))


class WorkflowExecution(models.Model):
    """A run, from its acceptance to its end.

    `status`, `fence` and `last_seq` are written by compare-and-set, in `querysets` and `ownership` alone.
    """

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # No constraint in the database: an execution outlives its workflow and keeps its id.
    workflow: models.ForeignKey[Workflow | None, Workflow | None] = models.ForeignKey(
        Workflow,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="executions",
    )
    version: models.ForeignKey[WorkflowVersion, WorkflowVersion] = models.ForeignKey(
        WorkflowVersion, on_delete=models.PROTECT, related_name="executions", db_index=False
    )
    # What this one runs again. No constraint, as above: an execution may be deleted before its re-runs.
    rerun_of: models.ForeignKey[WorkflowExecution | None, WorkflowExecution | None] = models.ForeignKey(
        "self", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True, related_name="reruns"
    )
    started_by: models.ForeignKey[User | None, User | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="executions", db_index=False
    )
    trigger_type: models.CharField[str, str] = models.CharField(max_length=20, default="manual")
    scheduling: models.CharField[str, str] = models.CharField(max_length=10, choices=[(way, way) for way in Scheduling])
    labels: models.Field[list[str], list[str]] = JsonTextField(default=list)
    status: models.CharField[str, str] = models.CharField(
        max_length=10, choices=[(status, status) for status in ExecutionStatus], default="pending"
    )
    reason: models.CharField[str, str] = models.CharField(max_length=20, blank=True, default="")
    input: models.Field[JsonObject, JsonObject] = JsonTextField(default=dict)
    output: models.Field[JsonValue, JsonValue] = JsonTextField(null=True)
    error: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(null=True)
    # At most one such execution of a workflow is pending or running.
    exclusive: models.BooleanField[bool, bool] = models.BooleanField(default=False)
    # Workers take those of their queues: of a higher priority first, then the longest due, by turns of those who
    # started them. Nothing starts before it is due.
    queue: models.CharField[str, str] = models.CharField(max_length=60, default=DEFAULT_QUEUE, db_default=DEFAULT_QUEUE)
    priority: models.SmallIntegerField[int, int] = models.SmallIntegerField(default=0, db_default=0)
    due_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(db_default=Now())
    # So many with the same key may be under way; empty: there is no limit.
    concurrency_key: models.CharField[str, str] = models.CharField(max_length=300, default="", db_default="")
    concurrency_limit: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0, db_default=0)
    # Those among which only the longest due can be next: queue, priority, who started it, key.
    lane: models.CharField[str, str] = models.CharField(max_length=400, default="", db_default="")
    # Hash of workflow, caller and the caller's key; and of the request that first used it.
    idempotency_hash: models.CharField[str | None, str | None] = models.CharField(max_length=64, null=True, unique=True)
    request_hash: models.CharField[str, str] = models.CharField(max_length=64, blank=True, default="")
    # +1 whenever an engine takes the execution; what an earlier owner writes is refused.
    fence: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    # The number of the last journal entry, and of the last one that its engine wrote.
    last_seq: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    recorded_seq: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    # The engine that has it, or that is about to take it while it is pending; until when; and how many engines in a
    # row died of it before a node was settled.
    claimed_by: models.CharField[str, str] = models.CharField(max_length=200, blank=True, default="")
    lease_until: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    recoveries: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    cancel_requested_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    cancel_requested_by: models.ForeignKey[User | None, User | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )
    cancel_reason: models.TextField[str, str] = models.TextField(blank=True, default="")
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    started_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    ended_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    objects = ExecutionManager()

    if TYPE_CHECKING:
        workflow_id: uuid.UUID | None
        version_id: uuid.UUID
        rerun_of_id: uuid.UUID | None
        started_by_id: int | None
        nodes: RelatedManager[NodeExecution]
        logs: RelatedManager[ExecutionLog]

    class Meta:
        verbose_name = gettext_lazy("execution")
        verbose_name_plural = gettext_lazy("executions")
        permissions = [("view_system", "Can look after the engine on the system page")]
        ordering = ["-created_at", "-id"]
        # Those of foreign keys are of more use with what follows them; those of a status that is rare, or soon over,
        # cost little. Each has one status: SQLite does not see that a status is among several.
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="execution_newest"),
            models.Index(fields=["workflow", "-created_at", "-id"], name="execution_of_workflow"),
            models.Index(fields=["version", "-created_at", "-id"], name="execution_of_version"),
            models.Index(fields=["started_by", "workflow", "-created_at", "-id"], name="execution_of_user"),
            models.Index(
                fields=["rerun_of"],
                condition=models.Q(rerun_of__isnull=False),
                name="execution_reruns",
            ),
            models.Index(fields=["lane", "due_at", "id"], condition=models.Q(status="pending"), name="execution_lanes"),
            models.Index(fields=["started_by", "started_at"], name="execution_last_turn"),
            models.Index(
                fields=["concurrency_key", "status"],
                condition=models.Q(ended_at__isnull=True) & models.Q(concurrency_key__gt=""),
                name="execution_at_a_time",
            ),
            *(
                models.Index(
                    fields=["-created_at", "-id"], condition=models.Q(status=status), name=f"execution_{status}"
                )
                for status in ("pending", "running", "failed", "cancelled")
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=[str(status) for status in ExecutionStatus]),
                name="execution_valid_status",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=sorted(TERMINAL_EXECUTION), ended_at__isnull=False)
                | (~models.Q(status__in=sorted(TERMINAL_EXECUTION)) & models.Q(ended_at__isnull=True)),
                name="execution_terminal_iff_ended",
            ),
            models.UniqueConstraint(
                fields=["workflow"],
                condition=models.Q(exclusive=True, status__in=["pending", "running"]),
                name="execution_one_at_a_time",
            ),
        ]

    @override
    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_finished(self) -> bool:
        return self.status in TERMINAL_EXECUTION

    def rights_of(self, user: Account) -> frozenset[Verb]:
        """What a user may do with it: what its workflow's rights say, else everything for who started it."""
        if sees_everything(user):
            return EVERYTHING
        workflow = Workflow.objects.only("owner").filter(pk=self.workflow_id).first()
        if workflow is not None:
            return workflow.rights_of(user)
        return EVERYTHING if user.is_active and user.pk == self.started_by_id else NOTHING
