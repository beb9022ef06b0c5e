"""The form of an agent of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django import forms
from django.utils.translation import gettext_lazy

from workflows_app.admin.site_form import AREA, SiteForm, ValueField
from workflows_app.admin.words import EFFECT_WORDS
from workflows_app.agents import providers
from workflows_app.models import Agent
from workflows_app.services.agents import AgentRecipe, mistakes_of
from workflows_app.services.errors import AgentConflict
from workflows_app.services.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class AgentForm(SiteForm[Agent]):
    provider = forms.ChoiceField(
        label=gettext_lazy("Provider"), help_text=gettext_lazy("Who is asked: a name that the settings know.")
    )
    tools = forms.MultipleChoiceField(
        label=gettext_lazy("Tools"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("What the model may call, by itself and with what it makes up."),
    )
    output_schema = ValueField(
        rows=8,
        is_yaml=False,
        label=gettext_lazy("Output schema"),
        help_text=gettext_lazy("JSON Schema (2020-12) of the answer; empty: the answer is text."),
    )
    limits = ValueField(
        rows=4,
        is_yaml=True,
        label=gettext_lazy("Limits"),
        help_text=gettext_lazy("How much a node may use, as YAML or JSON, such as max_requests: 5."),
    )

    conflict = AgentConflict

    class Meta:
        model = Agent
        fields = (
            "name",
            "description",
            "provider",
            "model",
            "system",
            "tools",
            "allow_effects",
            "output_schema",
            "limits",
            "is_active",
        )
        widgets = {
            "description": forms.Textarea(attrs={"rows": 3}),
            "system": forms.Textarea(attrs={**AREA, "rows": 10, "wrap": "soft"}),
        }
        help_texts = {
            "name": gettext_lazy("In lower case, such as analyst: nodes name it."),
            "model": gettext_lazy("As the provider calls it; default is the one of the settings."),
            "system": gettext_lazy(
                "What the model is told about its task. ${{ input.name }} is the execution's input."
            ),
            "allow_effects": gettext_lazy("Whether it may call tools that must not be repeated."),
            "is_active": gettext_lazy("Workflows that name an agent which is switched off do not start."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        if self.instance._state.adding:
            self.initial = {"provider": providers.DEFAULT, "model": providers.DEFAULT, **self.initial}
        fields["provider"].choices = [(name, name) for name in _providers(self.instance.provider)]
        fields["tools"].choices = _tools(self.instance.tools)

    def recipe(self) -> AgentRecipe:
        """What was filled in; of a form whose fields could be read."""
        chosen = self.cleaned_data
        before: Sequence[str] = [] if self.instance._state.adding else self.initial["tools"]
        # In the order that they have.
        kept = [name for name in before if name in chosen["tools"]]
        return AgentRecipe(
            name=chosen["name"],
            description=chosen["description"].replace("\r\n", "\n"),
            provider=chosen["provider"],
            model=chosen["model"],
            system=chosen["system"].replace("\r\n", "\n"),
            tools=[*kept, *(name for name in chosen["tools"] if name not in kept)],
            allow_effects=chosen["allow_effects"],
            output_schema=chosen["output_schema"],
            limits=chosen["limits"],
            is_active=chosen["is_active"],
        )

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors:
            self.tell(mistakes_of(self.recipe()))
        return cleaned


def _providers(present: str) -> list[str]:
    """Those of the settings, and the one that an agent has."""
    try:
        known = [*providers.current()]
    except providers.ProviderSettingError:
        # The check of the settings says it.
        known = []
    return known if present in ("", *known) else [*known, present]


def _tools(present: Iterable[str]) -> list[tuple[str, str]]:
    """Those that are there and switched on, and those that an agent has."""
    tools = Toolbox()
    shown = {name: f"{name}: {EFFECT_WORDS[tool.effect]}" for name, tool in tools.items() if tool.active}
    return sorted({**{name: name for name in present}, **shown}.items())
