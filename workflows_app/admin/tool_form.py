"""The form of a tool of the site. It reads text into JSON values; whether they are a tool, the service says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.words import EFFECT_WORDS
from workflows_app.dag import jsontext, yamltext
from workflows_app.dag.types import Effect
from workflows_app.models import ConfiguredTool
from workflows_app.services.documents import submitted
from workflows_app.services.errors import InvalidDefinition, ToolConflict
from workflows_app.services.tools import Recipe, mistakes_of
from workflows_app.tools.registry import registry

if TYPE_CHECKING:
    _Form = forms.ModelForm[ConfiguredTool]
else:
    _Form = forms.ModelForm

_AREA: dict[str, Any] = {"class": "pt-code", "spellcheck": "false", "wrap": "off"}


class ValueField(forms.CharField):
    """A JSON value as YAML or JSON, with all digits; None where it is empty."""

    def __init__(self, *, rows: int, is_yaml: bool, **options: Any) -> None:
        super().__init__(strip=False, required=False, widget=forms.Textarea(attrs={**_AREA, "rows": rows}), **options)
        self._is_yaml = is_yaml

    @override
    def prepare_value(self, value: Any) -> Any:
        """What is typed stays as it is while it is wrong."""
        if value is None or isinstance(value, str):
            return value
        return yamltext.dump(value) if self._is_yaml and value else jsontext.pretty(value)

    @override
    def to_python(self, value: Any) -> Any:
        text = cast("str", value or "")
        if not text.strip():
            return None
        try:
            return submitted(text).document
        except InvalidDefinition as error:
            raise forms.ValidationError([problem.message for problem in error.problems]) from error

    @override
    def has_changed(self, initial: Any, data: Any) -> bool:
        return True


class ToolForm(_Form):
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
    # The one that the form was filled in for.
    read_version = forms.IntegerField(label="", required=False, widget=forms.HiddenInput)

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
        if not self.instance._state.adding:
            self.initial["read_version"] = self.instance.version

    def recipe(self) -> Recipe:
        """What was filled in; of a form whose fields could be read."""
        chosen = self.cleaned_data
        return Recipe(
            name=chosen["name"],
            kind=chosen["kind"],
            description=chosen["description"].replace("\r\n", "\n"),
            configuration=chosen["configuration"] or {},
            input_schema=chosen["input_schema"],
            output_schema=chosen["output_schema"],
            effect=chosen["effect"],
            is_active=chosen["is_active"],
        )

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        row = self.instance
        if not row._state.adding and cleaned.get("read_version") != row.version:
            self.add_error(None, str(ToolConflict(row.version)))
        if self.errors:
            return cleaned
        if cleaned["configuration"] is None:
            cleaned["configuration"] = {}
        for mistake in mistakes_of(self.recipe()):
            field, _dot, place = mistake.field.partition(".")
            self.add_error(field, f"{place}: {mistake.message}" if place else mistake.message)
        return cleaned
