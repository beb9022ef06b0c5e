"""A node of a workflow."""

from __future__ import annotations

import uuid
from typing import override

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.dag.types import JsonObject, NodeType
from workflows_app.models.fields import JsonTextField, new_id
from workflows_app.models.workflow import Workflow


class Node(models.Model):
    """One step, as its document states it; `order` is its place in the document."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workflow: models.ForeignKey[Workflow, Workflow] = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="nodes", db_index=False
    )
    order: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    key: models.CharField[str, str] = models.CharField(
        max_length=200,
        validators=[
            RegexValidator(
                r"^[A-Za-z_][A-Za-z0-9_]*\Z",
                "Use letters, digits and underscores, not starting with a digit.",
            )
        ],
    )
    type: models.CharField[str, str] = models.CharField(
        max_length=20, choices=[(kind.value, kind.value) for kind in NodeType]
    )
    definition: models.Field[JsonObject, JsonObject] = JsonTextField()

    class Meta:
        verbose_name = gettext_lazy("node")
        verbose_name_plural = gettext_lazy("nodes")
        ordering = ["workflow", "order"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "key"], name="node_unique_key"),
            models.CheckConstraint(
                condition=models.Q(type__in=[kind.value for kind in NodeType]), name="node_valid_type"
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.key
