"""The forms of the workflow pages. They read text; what may be done with it the services say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.words import ROLE_WORDS
from workflows_app.models.access import Role


def labels_in(text: str) -> list[str]:
    """Labels as people type them, with commas between."""
    return list(dict.fromkeys(label for part in text.split(",") if (label := part.strip())))


class ImportForm(forms.Form):
    """A document as a file or as text."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".yaml,.yml,.json"}),
        help_text=_("A document in YAML or JSON (.yaml, .yml, .json)."),
    )
    text = forms.CharField(
        label=_("Or its text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "wrap": "off", "class": "pt-code"}),
    )


class DetailsForm(forms.Form):
    """What is changed without a look at the graph."""

    name = forms.CharField(
        label=_("Name"), max_length=200, help_text=_("Lower-case letters, digits and hyphens, unique for its owner.")
    )
    description = forms.CharField(
        label=_("Description"), required=False, strip=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    labels = forms.CharField(label=_("Labels"), required=False, help_text=_("Separated by commas."))
    is_active = forms.BooleanField(
        label=_("Active"), required=False, help_text=_("An inactive workflow is kept, but cannot be run.")
    )


NO_ROLE = ""


class SharesForm(forms.Form):
    """A role, or none, for each group that has one, and for one more."""

    def __init__(self, groups: Sequence[str], roles: Mapping[str, str], data: Any = None) -> None:
        super().__init__(data)
        self._shared = list(roles)
        choices = [(NO_ROLE, _("not shared")), *((str(role), ROLE_WORDS[role]) for role in Role)]
        for number, group in enumerate(self._shared):
            self.fields[f"role-{number}"] = forms.ChoiceField(
                label=group, choices=choices, required=False, initial=roles[group]
            )
        others = [(group, group) for group in groups if group not in roles]
        if others:
            self.fields["group"] = forms.ChoiceField(
                label=_("Another group"), choices=[("", _("no other group")), *others], required=False
            )
            self.fields["role"] = forms.ChoiceField(
                label=_("Its role"), choices=choices[1:], required=False, initial=str(Role.VIEWER)
            )

    def roles(self) -> dict[str, Role]:
        """What was chosen, by the name of the group; of a valid form."""
        chosen = {group: self.cleaned_data[f"role-{number}"] for number, group in enumerate(self._shared)}
        if self.cleaned_data.get("group"):
            chosen[self.cleaned_data["group"]] = self.cleaned_data.get("role") or str(Role.VIEWER)
        return {group: Role(role) for group, role in chosen.items() if role}
