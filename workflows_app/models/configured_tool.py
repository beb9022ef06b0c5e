"""A tool that was made here: a registered one, the kind, with a part of its arguments filled in."""

from __future__ import annotations

from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.dag.types import JsonObject
from workflows_app.models.fields import JsonTextField
from workflows_app.models.site import SiteManager, SiteModel


class ConfiguredTool(SiteModel):
    """`configuration` is a template of arguments; without an effect it has that of its kind."""

    kind: models.CharField[str, str] = models.CharField(gettext_lazy("kind"), max_length=200)
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

    objects: SiteManager[ConfiguredTool] = SiteManager()

    class Meta(SiteModel.Meta):
        verbose_name = gettext_lazy("tool")
        verbose_name_plural = gettext_lazy("tools")
        constraints = [models.CheckConstraint(condition=models.Q(version__gte=1), name="tool_version_from_1")]

    @override
    def __str__(self) -> str:
        return self.name
