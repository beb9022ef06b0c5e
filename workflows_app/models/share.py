"""A workflow that a group may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, override

from django.contrib.auth.models import Group
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.models.access import Role
from workflows_app.models.workflow import Workflow


class WorkflowShare(models.Model):
    """A group's role in a workflow; a user in several groups has the rights of all of them."""

    workflow: models.ForeignKey[Workflow, Workflow] = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="shares", db_index=False
    )
    group: models.ForeignKey[Group, Group] = models.ForeignKey(
        Group, on_delete=models.CASCADE, related_name="workflow_shares"
    )
    role: models.CharField[str, str] = models.CharField(max_length=10, choices=[(role, role) for role in Role])

    if TYPE_CHECKING:
        group_id: int

    class Meta:
        verbose_name = gettext_lazy("share")
        verbose_name_plural = gettext_lazy("shares")
        ordering = ["workflow", "group__name"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "group"], name="workflow_share_once"),
            models.CheckConstraint(
                condition=models.Q(role__in=[str(role) for role in Role]), name="workflow_share_valid_role"
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.workflow} for {self.group} as {self.role}"
