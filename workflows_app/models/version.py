"""The immutable snapshot that an execution runs."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, override

from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.models.fields import new_id
from workflows_app.models.workflow import Workflow


class ImmutableSnapshot(TypeError):
    """Raised when something tries to change a snapshot."""

    def __init__(self) -> None:
        super().__init__("A workflow version never changes: make a new one.")


class WorkflowVersion(models.Model):
    """A compiled workflow as JSON text (`dag.plan.Plan`), made when a run first needs it.

    Without a workflow it is the anonymous snapshot of a document that was run from a file. It outlives its
    workflow: executions of a deleted workflow keep what they ran, and the id that it had.
    """

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workflow: models.ForeignKey[Workflow | None, Workflow | None] = models.ForeignKey(
        Workflow,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="versions",
    )
    number: models.PositiveIntegerField[int | None, int | None] = models.PositiveIntegerField(null=True)
    name: models.CharField[str, str] = models.CharField(max_length=200)
    content_hash: models.CharField[str, str] = models.CharField(max_length=64, db_index=True)
    # Text, not a JsonTextField: the engine reads it straight into a plan.
    plan: models.TextField[str, str] = models.TextField()
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        workflow_id: uuid.UUID | None

    class Meta:
        verbose_name = gettext_lazy("workflow version")
        verbose_name_plural = gettext_lazy("workflow versions")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "number", "content_hash"], name="version_unique_content"),
            models.UniqueConstraint(
                fields=["content_hash"],
                condition=models.Q(workflow__isnull=True),
                name="version_unique_anonymous",
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.name if self.number is None else f"{self.name} version {self.number}"

    @override
    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise ImmutableSnapshot
        super().save(*args, **kwargs)
