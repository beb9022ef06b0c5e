"""A tool that was made here: a registered one, the kind, with a part of its arguments filled in."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, override

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.dag.types import JsonObject
from workflows_app.models.fields import JsonTextField, new_id

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from workflows_app.models.access import Account

    _ToolManagerBase = models.Manager["ConfiguredTool"]
else:
    _ToolManagerBase = models.Manager

MAX_NAME_LENGTH = 100
ADD, CHANGE, DELETE = (f"workflows_app.{verb}_configuredtool" for verb in ("add", "change", "delete"))


class ToolManager(_ToolManagerBase):
    """Tools, and those of them that exist for a user."""

    def visible_to(self, user: Account) -> models.QuerySet[ConfiguredTool]:
        """Those that are switched on are everybody's; the others are seen by whoever may change tools."""
        if not user.is_active:
            return self.none()
        return self.all() if user.has_perm(CHANGE) else self.filter(is_active=True)


class ConfiguredTool(models.Model):
    """One for the whole site; `configuration` is a template of arguments, without an effect it has that of its kind."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name: models.CharField[str, str] = models.CharField(gettext_lazy("name"), max_length=MAX_NAME_LENGTH, unique=True)
    kind: models.CharField[str, str] = models.CharField(gettext_lazy("kind"), max_length=200)
    description: models.TextField[str, str] = models.TextField(gettext_lazy("description"), blank=True, default="")
    configuration: models.Field[JsonObject, JsonObject] = JsonTextField(gettext_lazy("configuration"), default=dict)
    input_schema: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(
        gettext_lazy("input schema"), null=True, blank=True
    )
    output_schema: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(
        gettext_lazy("output schema"), null=True, blank=True
    )
    effect: models.CharField[str | None, str | None] = models.CharField(
        gettext_lazy("effect"), max_length=20, null=True, blank=True
    )
    is_active: models.BooleanField[bool, bool] = models.BooleanField(gettext_lazy("active"), default=True)
    version: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=1, editable=False)
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now_add=True)
    updated_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now=True)
    created_by: models.ForeignKey[User | None, User | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )

    objects = ToolManager()

    class Meta:
        verbose_name = gettext_lazy("tool")
        verbose_name_plural = gettext_lazy("tools")
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=models.Q(version__gte=1), name="tool_version_from_1")]

    @override
    def __str__(self) -> str:
        return self.name
