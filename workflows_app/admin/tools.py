"""The catalogue of tools: what there is, what each takes and gives, and those of the site made and changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, override

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from workflows_app.admin.frame import user_of
from workflows_app.admin.mcp_import import McpImportPage
from workflows_app.admin.tool_form import ToolForm
from workflows_app.admin.words import EFFECT_WORDS
from workflows_app.catalogue import entries_for, entry_for
from workflows_app.dag import jsontext, yamltext
from workflows_app.dag.configured import example_of
from workflows_app.dag.parameters import Parameter, parameters_of, type_of
from workflows_app.models import ConfiguredTool
from workflows_app.services import tools
from workflows_app.services.mcp_tools import server_names
from workflows_app.tools.errors import UnknownTool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

    from workflows_app.catalogue import Entry

LIST = "admin:workflows_app_configuredtool_changelist"
ENTRY = "admin:workflows_app_configuredtool_entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A parameter as the page shows it."""

    name: str
    type: str
    is_required: bool
    default: str
    description: str
    bounds: str


def rows_of(parameters: Sequence[Parameter]) -> list[Row]:
    return [
        Row(
            name=one.field.name,
            type=one.type,
            is_required=one.field.is_required,
            default=jsontext.dumps(one.field.default) if one.field.has_default else "",
            description=one.field.description or one.field.title,
            bounds=", ".join(
                [
                    *(f"{keyword} {jsontext.dumps(value)}" for keyword, value in one.field.bounds),
                    *([f"enum {jsontext.dumps(one.field.choices)}"] if one.field.choices else []),
                ]
            ),
        )
        for one in parameters
    ]


@admin.register(ConfiguredTool)
class ToolAdmin(McpImportPage):
    """The catalogue has registered tools, too."""

    shelf = tools.SHELF
    entry = ENTRY

    form = ToolForm
    change_form_template = "workflows_app/tool/form.html"

    @override
    def get_urls(self) -> list[URLPattern]:
        entry = path("tool/<str:name>/", self.page(self.entry_view), name="workflows_app_configuredtool_entry")
        return [entry, *super().get_urls()]

    @override
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = request.GET.get("q", "").strip()
        every = entries_for(user_of(request))
        shown = [one for one in every if wanted.casefold() in f"{one.name} {one.kind} {one.description}".casefold()]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Tools"),
            "entries": [(one, self.url_of(one.name), str(EFFECT_WORDS[one.info.effect])) for one in shown],
            "count": len(every),
            "wanted": wanted,
            "may_add": self.has_add_permission(request),
            "may_import": self.may_import(request) and bool(server_names()),
        }
        return TemplateResponse(request, "workflows_app/tool/list.html", context)

    def entry_view(self, request: HttpRequest, name: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.entry_page(request, self.found(request, name))

    def found(self, request: HttpRequest, name: str) -> Entry:
        try:
            return entry_for(user_of(request), name)
        except UnknownTool as error:
            raise Http404(str(error)) from error

    def entry_page(self, request: HttpRequest, entry: Entry, **more: Any) -> TemplateResponse:
        info, row = entry.info, entry.row
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": entry.name,
            "entry": entry,
            "kind_url": None if entry.kind is None or info.missing_kind else self.url_of(entry.kind),
            "effect": EFFECT_WORDS[info.effect],
            "effects": ", ".join(sorted(info.effects - {info.effect})),
            "inputs": rows_of(parameters_of(info.input_schema)),
            "takes_more": info.input_schema.get("additionalProperties") is not False,
            "outputs": rows_of(parameters_of(info.output_schema)),
            "output_type": type_of(info.output_schema, info.output_schema),
            "example": yamltext.dump([example_of(info)]),
            "schemas": jsontext.pretty({"input_schema": info.input_schema, "output_schema": info.output_schema}),
            "may_add": self.has_add_permission(request),
            "may_change": row is not None and self.has_change_permission(request, row),
            **more,
        }
        return TemplateResponse(request, self.entry_template, context)

    entry_template = "workflows_app/tool/entry.html"
