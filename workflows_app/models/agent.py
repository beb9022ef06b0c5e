"""An agent that was made here: a model, what it is told, and what it may do and use."""

from __future__ import annotations

from typing import override

from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.dag.types import JsonObject
from workflows_app.models.fields import JsonTextField
from workflows_app.models.site import SiteManager, SiteModel


class Agent(SiteModel):
    """Its fields are keys of a node of type agent, which has them where it names the agent."""

    provider: models.CharField[str, str] = models.CharField(gettext_lazy("provider"), max_length=100)
    model: models.CharField[str, str] = models.CharField(gettext_lazy("model"), max_length=200)
    system: models.TextField[str, str] = models.TextField(gettext_lazy("system text"), blank=True, default="")
    tools: models.Field[list[str], list[str]] = JsonTextField(gettext_lazy("tools"), default=list, blank=True)
    allow_effects: models.BooleanField[bool, bool] = models.BooleanField(
        gettext_lazy("may have effects"), default=False
    )
    output_schema: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(
        gettext_lazy("output schema"), null=True, blank=True
    )
    limits: models.Field[JsonObject | None, JsonObject | None] = JsonTextField(
        gettext_lazy("limits"), null=True, blank=True
    )

    objects: SiteManager[Agent] = SiteManager()

    class Meta(SiteModel.Meta):
        verbose_name = gettext_lazy("agent")
        verbose_name_plural = gettext_lazy("agents")
        constraints = [models.CheckConstraint(condition=models.Q(version__gte=1), name="agent_version_from_1")]

    @override
    def __str__(self) -> str:
        return self.name
