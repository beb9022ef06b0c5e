"""A form made of a workflow's `input_schema`. It reads text into JSON values; whether they fit, the schema says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast, override

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.forms import labels_in
from workflows_app.dag import jsontext
from workflows_app.dag.input_fields import InputField, Kind
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.models.fields import new_id

# Texts that may be longer than a line get more room.
_LINE = 200
_WIDGETS = {"email": forms.EmailInput, "uri": forms.URLInput}
_NUMERAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
# The whole input, where it is written as JSON.
_WHOLE = "input"
_OPTIONAL: dict[str, Any] = {"required": False}
# What a schema's keywords say of a value, before that value.
_BOUND_WORDS: dict[str, Promise] = {
    "minimum": gettext_lazy("minimum"),
    "exclusiveMinimum": gettext_lazy("exclusive minimum"),
    "maximum": gettext_lazy("maximum"),
    "exclusiveMaximum": gettext_lazy("exclusive maximum"),
    "multipleOf": gettext_lazy("multiple of"),
    "minLength": gettext_lazy("min length"),
    "maxLength": gettext_lazy("max length"),
    "pattern": gettext_lazy("pattern"),
    "minItems": gettext_lazy("min items"),
    "maxItems": gettext_lazy("max items"),
}


class _JsonField(forms.CharField):
    """Text that is JSON of some types; None where it is empty. Numbers keep their digits."""

    def __init__(
        self, *, types: tuple[type, ...], expected: str, pattern: re.Pattern[str] | None = None, **options: Any
    ) -> None:
        super().__init__(strip=False, **options)
        self._types = types
        self._expected = expected
        self._pattern = pattern

    @override
    def clean(self, value: Any) -> Any:
        text = cast("str", super().clean(value)).strip()
        if not text:
            return None
        # Where the text goes wrong is of use in a long one; a number is seen at a glance.
        if self._pattern is not None and not self._pattern.fullmatch(text):
            raise forms.ValidationError(self._expected)
        try:
            read = jsontext.loads(text)
        except jsontext.JsonError as error:
            raise forms.ValidationError(f"{self._expected} {error}") from error
        # True is an int to Python alone.
        if not isinstance(read, self._types) or (isinstance(read, bool) and bool not in self._types):
            raise forms.ValidationError(self._expected)
        return _Given(read)


class _Given:
    """A value that was filled in; it may be null."""

    def __init__(self, value: JsonValue) -> None:
        self.value = value


class InputForm(forms.Form):
    """What something is to be given, as a field for each of its inputs; without fields it is one JSON object."""

    def __init__(self, inputs: Sequence[InputField], given: JsonObject, data: Any = None) -> None:
        super().__init__(data)
        self._inputs = {f"input-{number}": field for number, field in enumerate(inputs)}
        for name, field in self._inputs.items():
            self.fields[name] = _form_field(field, given)
        if not inputs:
            self.fields[_WHOLE] = _whole(given)

    def input(self) -> JsonObject:
        """The input as it was filled in, without what was left empty; of a valid form."""
        if not self._inputs:
            given = cast("_Given | None", self.cleaned_data[_WHOLE])
            return {} if given is None else cast("JsonObject", given.value)
        return {field.name: value for field, value in self._filled_in()}

    def add_violations(self, problems: Sequence[tuple[str, str]]) -> None:
        """What the schema says of the input, each at its field; `problems` are pairs of dotted path and sentence."""
        named = {field.name: name for name, field in self._inputs.items()}
        for path, sentence in problems:
            # The longest name that fits: names may have dots in them.
            fits = [name for name in named if path == name or path.startswith((f"{name}.", f"{name}["))]
            top = max(fits, key=len, default=None)
            if top is None:
                self.add_error(None if self._inputs else _WHOLE, f"{path}: {sentence}" if path else sentence)
            else:
                self.add_error(named[top], sentence if path == top else f"{path}: {sentence}")

    def _filled_in(self) -> Iterator[tuple[InputField, JsonValue]]:
        for name, field in self._inputs.items():
            value = self.cleaned_data[name]
            if isinstance(value, _Given):
                yield field, value.value
            elif isinstance(value, bool):
                yield field, value
            elif isinstance(value, str) and value:
                yield field, value.replace("\r\n", "\n")


class RunForm(InputForm):
    """What an execution is to be given, labels for it, and a key by which a form that is sent twice is recognised."""

    def __init__(self, inputs: Sequence[InputField], given: JsonObject, data: Any = None) -> None:
        super().__init__(inputs, given, data)
        self.fields["labels"] = forms.CharField(
            label=_("Labels"), required=False, help_text=_("Separated by commas, beside those of the workflow.")
        )
        self.fields["key"] = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput, initial=new_id)

    def labels(self) -> list[str]:
        return labels_in(self.cleaned_data["labels"])

    def idempotency_key(self) -> str | None:
        """The same for the same page with the same content."""
        key = self.cleaned_data["key"]
        content = jsontext.dumps([self.input(), self.labels()])
        return f"{key}-{hashlib.sha256(content.encode()).hexdigest()[:32]}" if key else None


class TrialForm(InputForm):
    """What a tool is to be tried with; where it may change something outside, that this is known."""

    def __init__(
        self, inputs: Sequence[InputField], given: JsonObject, data: Any = None, *, has_effect: bool = False
    ) -> None:
        super().__init__(inputs, given, data)
        if has_effect:
            self.fields["confirmed"] = forms.BooleanField(
                label=_("I know that this call is real, and may change something outside"),
                error_messages={"required": _("Tick this first: the tool was not called.")},
            )


def _whole(given: JsonObject) -> forms.Field:
    return _JsonField(
        types=(dict,),
        expected=_('The input must be a JSON object, such as {"symbol": "AAPL"}.'),
        label=_("Input (JSON)"),
        required=False,
        initial=jsontext.pretty(given),
        widget=forms.Textarea(attrs={"rows": 14, "class": "pt-code", "spellcheck": "false", "wrap": "off"}),
    )


def _form_field(field: InputField, given: JsonObject) -> forms.Field:
    """A field for one property, with what it may be filled in with."""
    has_value = field.name in given
    value = given.get(field.name)
    options: dict[str, Any] = {
        "label": field.title or field.name,
        "help_text": _help(field),
        "required": field.is_required,
    }
    match field.kind:
        case Kind.BOOLEAN if field.is_required or field.has_default:
            # An empty box is an answer: false.
            return forms.BooleanField(**(options | _OPTIONAL), initial=value is True)
        case Kind.BOOLEAN | Kind.CHOICE:
            choices = (True, False) if field.kind is Kind.BOOLEAN else field.choices
            return _choice(choices, options, jsontext.dumps(value) if has_value else "")
        case Kind.INTEGER | Kind.NUMBER:
            return _number(field.kind, options, jsontext.dumps(value) if has_value and value is not None else "")
        case Kind.TEXT | Kind.DATE:
            text = value.replace("\r\n", "\n") if isinstance(value, str) else ""
            return forms.CharField(**options, strip=False, initial=text, widget=_text_widget(field, text))
        case Kind.JSON:
            return _JsonField(
                types=(object,),
                expected=_("This must be JSON."),
                **options,
                initial=jsontext.pretty(value) if has_value else "",
                widget=forms.Textarea(attrs={"rows": 4, "class": "pt-json", "spellcheck": "false"}),
            )


def _number(kind: Kind, options: Mapping[str, Any], initial: str) -> forms.Field:
    # As text: a browser's field for numbers rounds what has many digits.
    is_whole = kind is Kind.INTEGER
    return _JsonField(
        types=(int, Decimal),
        pattern=_NUMERAL,
        expected=_("This must be a whole number.") if is_whole else _("This must be a number, such as 12.50."),
        **options,
        initial=initial,
        widget=forms.TextInput(attrs={"inputmode": "numeric" if is_whole else "decimal", "autocomplete": "off"}),
    )


class _ChoiceField(forms.ChoiceField):
    @override
    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        return _Given(jsontext.loads(chosen)) if chosen else None


def _choice(values: Sequence[JsonValue], options: Mapping[str, Any], initial: str) -> forms.Field:
    choices = [(jsontext.dumps(value), _shown(value)) for value in values]
    return _ChoiceField(**options, choices=[("", _("nothing chosen")), *choices], initial=initial)


def _shown(value: JsonValue) -> str:
    """A value to choose: text as it is, yes and no in words, all else as JSON."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return value if isinstance(value, str) else jsontext.dumps(value)


def _text_widget(field: InputField, text: str) -> forms.Widget:
    if field.kind is Kind.DATE:
        return forms.DateInput(attrs={"type": "date"})
    longest = dict(field.bounds).get("maxLength", 0)
    if "\n" in text or len(text) > _LINE or (isinstance(longest, int) and longest > _LINE):
        return forms.Textarea(attrs={"rows": 4})
    return _WIDGETS.get(field.format, forms.TextInput)()


def _help(field: InputField) -> str:
    """What the schema says of the property, in a line."""
    parts = [
        field.description,
        f"({field.name})" if field.title and field.title != field.name else "",
        ", ".join(f"{_BOUND_WORDS.get(keyword, keyword)} {jsontext.dumps(value)}" for keyword, value in field.bounds),
        field.format if field.kind is Kind.TEXT else "",
    ]
    return " · ".join(part for part in parts if part)
