"""A workflow: the head of its document; nodes and edges have rows of their own."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, override

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.models.access import EVERYTHING, NOTHING, RIGHTS, Role, Verb, sees_everything
from workflows_app.models.fields import JsonTextField, new_id

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models.fields.related_descriptors import RelatedManager

    from workflows_app.models.access import Account
    from workflows_app.models.edge import Edge
    from workflows_app.models.node import Node
    from workflows_app.models.share import WorkflowShare
    from workflows_app.models.version import WorkflowVersion

    _WorkflowManagerBase = models.Manager["Workflow"]
else:
    _WorkflowManagerBase = models.Manager


class WorkflowManager(_WorkflowManagerBase):
    """Workflows, and those of them that exist for a user."""

    def visible_to(self, user: Account) -> models.QuerySet[Workflow]:
        if sees_everything(user):
            return self.all()
        if not user.is_active:
            return self.none()
        shared = self.filter(shares__group__user=user.pk)
        return self.filter(models.Q(owner=user.pk) | models.Q(pk__in=shared.order_by().values("pk")))


class Workflow(models.Model):
    """A named definition that belongs to a user and is versioned as a whole.

    `head` is the document without its nodes and edges, which stand in it as empty lists so that the order of
    its keys is kept. The columns beside it repeat what the database must know to find and check.
    """

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner: models.ForeignKey[User, User] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="workflows"
    )
    name: models.CharField[str, str] = models.CharField(
        gettext_lazy("name"),
        max_length=200,
        validators=[RegexValidator(r"^[a-z0-9-]+\Z", "Use lower-case letters, digits and hyphens only.")],
    )
    description: models.TextField[str, str] = models.TextField(blank=True, default="")
    labels: models.Field[list[str], list[str]] = JsonTextField(default=list, editable=False)
    version: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=1, editable=False)
    is_active: models.BooleanField[bool, bool] = models.BooleanField(default=True)
    head: models.Field[JsonObject, JsonObject] = JsonTextField(editable=False)
    # Findings of the validator that did not refuse an edit, but block an execution.
    problems: models.Field[JsonValue, JsonValue] = JsonTextField(default=list, editable=False)
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now_add=True)
    updated_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now=True)

    objects = WorkflowManager()

    if TYPE_CHECKING:
        owner_id: int
        nodes: RelatedManager[Node]
        edges: RelatedManager[Edge]
        shares: RelatedManager[WorkflowShare]
        versions: RelatedManager[WorkflowVersion]

    class Meta:
        verbose_name = gettext_lazy("workflow")
        verbose_name_plural = gettext_lazy("workflows")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="workflow_unique_name"),
            models.CheckConstraint(condition=models.Q(version__gte=1), name="workflow_version_from_1"),
        ]

    @override
    def __str__(self) -> str:
        return self.name

    def rights_of(self, user: Account) -> frozenset[Verb]:
        """What a user may do with it: see `access`."""
        if not user.is_active:
            return NOTHING
        if user.is_superuser or user.pk == self.owner_id:
            return EVERYTHING
        roles = self.shares.filter(group__user=user.pk).order_by().values_list("role", flat=True)
        return NOTHING.union(*(RIGHTS[Role(role)] for role in roles))
