"""Forms of what is made on the site. They read text into JSON values; whether these are right, the service says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, cast, override

from django import forms

from workflows_app.dag import jsontext, yamltext
from workflows_app.models.site import SiteModel
from workflows_app.services.documents import submitted
from workflows_app.services.errors import InvalidDefinition, SiteConflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workflows_app.dag.configured import Mistake

    class _Form[M: SiteModel](forms.ModelForm[M]):
        pass
else:

    class _Form[M](forms.ModelForm):
        pass


AREA: dict[str, Any] = {"class": "pt-code", "spellcheck": "false", "wrap": "off"}
# The field of a mistake, and the place in it: `configuration.url`, `tools[0]`.
_PLACE = re.compile(r"(\w+)\.?(.*)", re.DOTALL)


class ValueField(forms.CharField):
    """A JSON value as YAML or JSON, with all digits; None where it is empty."""

    def __init__(self, *, rows: int, is_yaml: bool, **options: Any) -> None:
        super().__init__(strip=False, required=False, widget=forms.Textarea(attrs={**AREA, "rows": rows}), **options)
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


class SiteForm[M: SiteModel](_Form[M]):
    """Refuses what was filled in for another version."""

    # The one that the form was filled in for.
    read_version = forms.IntegerField(label="", required=False, widget=forms.HiddenInput)

    conflict: ClassVar[Callable[[int], SiteConflict]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance._state.adding:
            self.initial["read_version"] = self.instance.version

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        row = self.instance
        if not row._state.adding and cleaned.get("read_version") != row.version:
            self.add_error(None, str(type(self).conflict(row.version)))
        return cleaned

    def tell(self, mistakes: Iterable[Mistake]) -> None:
        """Each at its field."""
        for mistake in mistakes:
            found = _PLACE.fullmatch(mistake.field)
            assert found is not None
            self.add_error(found[1], f"{found[2]}: {mistake.message}" if found[2] else mistake.message)
