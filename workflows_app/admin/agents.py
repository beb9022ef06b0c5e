"""The agents of the site: what there is, what each says and may do, which workflows name it; made and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from workflows_app.admin.agent_form import AgentForm
from workflows_app.admin.frame import user_of
from workflows_app.admin.site import SiteAdmin
from workflows_app.admin.tools import ENTRY as TOOL
from workflows_app.admin.tools import rows_of
from workflows_app.admin.words import EFFECT_WORDS
from workflows_app.catalogue import agent_for, agents_for, uses_of
from workflows_app.dag import jsontext, yamltext
from workflows_app.dag.agents import example_of
from workflows_app.dag.parameters import parameters_of, type_of
from workflows_app.models import Agent
from workflows_app.services import agents
from workflows_app.services.agents import mistakes_of, recipe_of
from workflows_app.services.errors import AgentNotFound
from workflows_app.services.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest, HttpResponse

# So many workflows that name an agent are shown.
_USES_SHOWN = 100


@admin.register(Agent)
class AgentAdmin(SiteAdmin[Agent]):
    form = AgentForm
    change_form_template = "workflows_app/agent/form.html"
    shelf = agents.SHELF
    entry = "admin:workflows_app_agent_entry"

    @override
    def get_urls(self) -> list[URLPattern]:
        entry = path("agent/<str:name>/", self.page(self.entry_view), name="workflows_app_agent_entry")
        return [entry, *super().get_urls()]

    @override
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = request.GET.get("q", "").strip()
        every = list(agents_for(user_of(request)))
        shown = [one for one in every if wanted.casefold() in f"{one.name} {one.model} {one.description}".casefold()]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Agents"),
            "entries": [(one, self.url_of(one.name)) for one in shown],
            "count": len(every),
            "wanted": wanted,
            "may_add": self.has_add_permission(request),
        }
        return TemplateResponse(request, "workflows_app/agent/list.html", context)

    def entry_view(self, request: HttpRequest, name: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            agent = agent_for(user_of(request), name)
        except AgentNotFound as error:
            raise Http404(str(error)) from error
        schema, uses = agent.output_schema, uses_of(agent, user_of(request))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": agent.name,
            "agent": agent,
            "mistakes": mistakes_of(recipe_of(agent)),
            "tools": _tools_of(agent),
            "outputs": [] if schema is None else rows_of(parameters_of(schema)),
            "output_type": "" if schema is None else type_of(schema, schema),
            "schema": "" if schema is None else jsontext.pretty(schema),
            "limits": yamltext.dump(agent.limits) if agent.limits else "",
            "example": yamltext.dump([example_of(agent.name)]),
            "uses": [
                (one, reverse("admin:workflows_app_workflow_change", args=[one.pk]))
                for one in uses.workflows[:_USES_SHOWN]
            ],
            "others": uses.others + len(uses.workflows[_USES_SHOWN:]),
            "may_change": self.has_change_permission(request, agent),
        }
        return TemplateResponse(request, "workflows_app/agent/entry.html", context)


def _tools_of(agent: Agent) -> Sequence[tuple[str, str, str]]:
    """Name, effect and address of each tool; a tool that is not there has but a name."""
    tools = Toolbox()
    return [
        (name, str(EFFECT_WORDS[tools[name].effect]), reverse(TOOL, args=[name])) if name in tools else (name, "", "")
        for name in agent.tools
    ]
