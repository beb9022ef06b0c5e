"""The page on which tools of an MCP server become tools of the site: first looked at, then imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django import forms
from django.core.exceptions import PermissionDenied
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.frame import user_of
from workflows_app.admin.site import SiteAdmin
from workflows_app.admin.words import EFFECT_WORDS, IMPORT_WORDS
from workflows_app.dag.types import Effect
from workflows_app.models import ConfiguredTool
from workflows_app.services.errors import DefinitionError
from workflows_app.services.mcp_tools import Found, State, Wish, import_tools, look, server_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest, HttpResponse

_EFFECTS = (Effect.AT_MOST_ONCE, Effect.IDEMPOTENT, Effect.NONE)


class McpImportForm(forms.Form):
    server = forms.ChoiceField(
        label=gettext_lazy("Server"), help_text=gettext_lazy("The settings say which there are.")
    )
    names = forms.CharField(
        label=gettext_lazy("Names begin with"),
        required=False,
        max_length=60,
        help_text=gettext_lazy("Such as crm; empty: the name of the server."),
    )
    effect = forms.ChoiceField(
        label=gettext_lazy("Effect"),
        required=False,
        help_text=gettext_lazy(
            "What a repetition of any of them would do outside. What the server says about that is shown and not "
            "believed."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["server"].choices = [(name, name) for name in server_names()]
        fields["effect"].choices = [
            ("", _("as it is; new ones: at_most_once")),
            *((str(effect), f"{effect}: {EFFECT_WORDS[effect]}") for effect in _EFFECTS),
        ]

    def wish(self, seen: Mapping[str, str] | None = None) -> Wish:
        """With the marks of what was looked at and chosen, only that."""
        chosen = self.cleaned_data
        return Wish(
            server=chosen["server"],
            tools=None if seen is None else [*seen],
            prefix=chosen["names"],
            effect=chosen["effect"] or None,
            seen=seen,
        )


class McpImportPage(SiteAdmin[ConfiguredTool]):
    """For those who may make and change tools."""

    @override
    def get_urls(self) -> list[URLPattern]:
        here = path("mcp/", self.page(self.mcp_view), name="workflows_app_configuredtool_mcp")
        return [here, *super().get_urls()]

    def may_import(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def mcp_view(self, request: HttpRequest) -> HttpResponse:
        if not self.may_import(request):
            raise PermissionDenied
        is_asked = request.method == "POST"
        form = McpImportForm(request.POST if is_asked else None)
        found: list[Found] | None = None
        is_done = False
        if is_asked and form.is_valid():
            try:
                found, is_done = _answered(request, form)
            except DefinitionError as error:
                form.add_error(None, str(error))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Import from an MCP server"),
            "form": form,
            "has_servers": bool(server_names()),
            "found": None if found is None else [(one, IMPORT_WORDS[one.state], _is_of_use(one)) for one in found],
            "is_done": is_done,
            "is_of_use": any(map(_is_of_use, found or ())),
        }
        return TemplateResponse(request, "workflows_app/tool/mcp.html", context)


def _answered(request: HttpRequest, form: McpImportForm) -> tuple[list[Found], bool]:
    """What there is, or what was done."""
    user = user_of(request)
    if "import" not in request.POST:
        return look(form.wish(), user, secrets_of=user), False
    seen: dict[str, str] = {}
    for value in request.POST.getlist("tool"):
        mark, _space, tool = value.partition(" ")
        seen[tool] = mark
    return (import_tools(form.wish(seen), user, secrets_of=user) if seen else []), True


def _is_of_use(one: Found) -> bool:
    return one.state in (State.NEW, State.CHANGED, State.GONE)
