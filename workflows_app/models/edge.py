"""An edge of a workflow."""

from __future__ import annotations

import uuid
from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.dag.types import Handle, JsonObject
from workflows_app.models.fields import JsonTextField, new_id
from workflows_app.models.node import Node
from workflows_app.models.workflow import Workflow


class Edge(models.Model):
    """A way from one node to another, as its document states it; `order` is its place in the document."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workflow: models.ForeignKey[Workflow, Workflow] = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="edges", db_index=False
    )
    order: models.PositiveIntegerField[int, int] = models.PositiveIntegerField()
    source: models.ForeignKey[Node, Node] = models.ForeignKey(
        Node, on_delete=models.CASCADE, related_name="outgoing", db_index=False
    )
    target: models.ForeignKey[Node, Node] = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="incoming")
    handle: models.CharField[str, str] = models.CharField(
        max_length=10,
        choices=[(handle.value, handle.value) for handle in Handle],
        default=Handle.OUT.value,
    )
    definition: models.Field[JsonObject, JsonObject] = JsonTextField()

    class Meta:
        verbose_name = gettext_lazy("edge")
        verbose_name_plural = gettext_lazy("edges")
        ordering = ["workflow", "order"]
        indexes = [models.Index(fields=["workflow", "order"], name="edge_by_order")]
        constraints = [
            models.UniqueConstraint(fields=["source", "target", "handle"], name="edge_unique"),
            models.CheckConstraint(condition=~models.Q(source=models.F("target")), name="edge_no_self_loop"),
            models.CheckConstraint(
                condition=models.Q(handle__in=[handle.value for handle in Handle]),
                name="edge_valid_handle",
            ),
        ]

    @override
    def __str__(self) -> str:
        definition = self.definition
        return f"{definition['from']} -> {definition['to']}"
