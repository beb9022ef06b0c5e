"""The form of a tool of the site."""

from __future__ import annotations

from typing import Any, override

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.site_form import SiteForm, ValueField
from workflows_app.admin.words import EFFECT_WORDS
from workflows_app.dag.types import Effect
from workflows_app.models import ConfiguredTool
from workflows_app.services.errors import ToolConflict
from workflows_app.services.tools import Recipe, mistakes_of
from workflows_app.tools.registry import registry


class ToolForm(SiteForm[ConfiguredTool]):
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), help_text=gettext_lazy("The registered tool that it calls."))
    configuration = ValueField(
        rows=12,
        is_yaml=True,
        label=gettext_lazy("Configuration"),
        help_text=gettext_lazy(
            "Arguments of the kind, as YAML or JSON. In texts ${{ input.name }} is what a node gives, "
            "${{ secrets.NAME }} a secret of the workflow's owner."
        ),
    )
    input_schema = ValueField(
        rows=8,
        is_yaml=False,
        label=gettext_lazy("Input schema"),
        help_text=gettext_lazy(
            "JSON Schema (2020-12) of what a node gives; empty: what the configuration leaves of the kind's parameters."
        ),
    )
    output_schema = ValueField(
        rows=8,
        is_yaml=False,
        label=gettext_lazy("Output schema"),
        help_text=gettext_lazy("JSON Schema (2020-12) by which outputs are checked; empty: they are not."),
    )
    effect = forms.TypedChoiceField(
        label=gettext_lazy("Effect"),
        required=False,
        empty_value=None,
        help_text=gettext_lazy("What a repetition would do outside; the kind allows only some."),
    )

    conflict = ToolConflict

    class Meta:
        model = ConfiguredTool
        fields = (
            "name",
            "kind",
            "description",
            "configuration",
            "input_schema",
            "output_schema",
            "effect",
            "is_active",
        )
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}
        help_texts = {
            "name": gettext_lazy("A family and a name in lower case, such as crm.find_customer."),
            "is_active": gettext_lazy("Workflows that use a tool which is switched off do not start."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        kinds = sorted({tool.name for tool in registry} | ({self.instance.kind} if self.instance.kind else set()))
        fields["kind"].choices = [(name, name) for name in kinds]
        fields["effect"].choices = [
            ("", _("that of its kind")),
            *((str(effect), f"{effect}: {EFFECT_WORDS[effect]}") for effect in Effect),
        ]

    def recipe(self) -> Recipe:
        """What was filled in; of a form whose fields could be read."""
        chosen = self.cleaned_data
        return Recipe(
            name=chosen["name"],
            kind=chosen["kind"],
            description=chosen["description"].replace("\r\n", "\n"),
            configuration={} if chosen["configuration"] is None else chosen["configuration"],
            input_schema=chosen["input_schema"],
            output_schema=chosen["output_schema"],
            effect=chosen["effect"],
            is_active=chosen["is_active"],
        )

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors:
            self.tell(mistakes_of(self.recipe()))
        if cleaned.get("configuration") is None:
            # No column is without one.
            cleaned["configuration"] = {}
        return cleaned
