"""What a workflow is and how it came to be: overview, graph, nodes, edges, versions, history. All of it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, override

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from workflows_app.admin.findings import findings, stored_problems
from workflows_app.admin.frame import WorkflowFrame
from workflows_app.admin.words import CHANGE_WORDS, PART_WORDS, ROLE_NAMES, deed_word
from workflows_app.dag import jsontext, yamltext
from workflows_app.dag.differences import Difference, differences
from workflows_app.dag.document import Settings
from workflows_app.drawing import drawing_of
from workflows_app.history import Version, content_of, deeds_of, versions_of
from workflows_app.models.pages import InvalidCursor
from workflows_app.queries import edges_page, nodes_page, shares_json
from workflows_app.wording import ON_FAILURE_WORDS, scheduling_word

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.urls import URLPattern

    from workflows_app.dag.types import JsonObject, JsonValue
    from workflows_app.models import Edge, Node, Workflow
    from workflows_app.models.pages import Page

_PARTS_ON_A_PAGE = 100
# What the table of nodes has in columns of its own.
_IN_COLUMNS = frozenset({"key", "name", "type", "tool", "agent", "strategy", "position"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    name: str
    value: str


class DefinitionPages(WorkflowFrame):
    @override
    def get_urls(self) -> list[URLPattern]:
        return [
            self.of_workflow("nodes/", "nodes", self.nodes_view),
            self.of_workflow("versions/", "versions", self.versions_view),
            *super().get_urls(),
        ]

    @override
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.show(request, object_id, self.overview)

    @override
    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.show(request, object_id, self._history)

    def overview(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        return self.render(request, workflow, "change", **self.overview_context(request, workflow))

    def overview_context(self, request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
        return {
            "drawing": drawing_of(workflow),
            "findings": findings(stored_problems(workflow)),
            "settings": _settings(workflow),
            "inputs": _inputs(workflow),
            "variables": _variables(workflow),
            "shares": shares_shown(workflow),
        }

    def nodes_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        try:
            nodes = nodes_page(workflow, _PARTS_ON_A_PAGE, request.GET.get("nodes"))
            edges = edges_page(workflow, _PARTS_ON_A_PAGE, request.GET.get("edges"))
        except InvalidCursor as error:
            raise Http404(str(error)) from error
        problems = stored_problems(workflow)
        wrong: dict[str, list[str]] = {}
        for problem in problems:
            wrong.setdefault(problem.node or problem.edge or "", []).append(problem.message)
        return self.render(
            request,
            workflow,
            "nodes",
            nodes=[_node_row(node, wrong) for node in nodes.items],
            edges=[_edge_row(edge, wrong) for edge in edges.items],
            next_nodes=_following(request, "nodes", nodes),
            next_edges=_following(request, "edges", edges),
        )

    def versions_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        versions = versions_of(workflow)
        after = _chosen(versions, request.GET.get("to"), 0)
        before = _chosen(versions, request.GET.get("from"), min(versions.index(after) + 1, len(versions) - 1))
        contents = [content_of(workflow, version) for version in (before, after)]
        return self.render(
            request,
            workflow,
            "versions",
            versions=versions,
            before=before,
            after=after,
            differences=differences_shown(differences(*contents)),
            text=yamltext.dump(contents[1]),
        )

    def _history(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        rows = [(deed, deed_word(deed.verb), _details(deed.data)) for deed in deeds_of(workflow)]
        return self.render(request, workflow, "history", deeds=rows)


def shares_shown(workflow: Workflow) -> list[dict[str, Any]]:
    """The groups that may use a workflow, with the names of their roles."""
    return [
        {"group": share["group"], "role": ROLE_NAMES[cast("str", share["role"])]} for share in shares_json(workflow)
    ]


def differences_shown(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Differences with the words for them."""
    return [
        {
            "change": str(one.change),
            "change_word": CHANGE_WORDS[one.change],
            "part_word": PART_WORDS[one.part],
            "name": one.name,
            "fields": one.fields,
        }
        for one in found
    ]


def version_among(versions: Sequence[Version], key: str) -> Version:
    """Raises `Http404` for a key of none of them."""
    found = next((version for version in versions if version.key == key), None)
    if found is None:
        raise Http404(_("The workflow has no such version."))
    return found


def _chosen(versions: Sequence[Version], key: str | None, otherwise: int) -> Version:
    return version_among(versions, key) if key else versions[otherwise]


def _settings(workflow: Workflow) -> list[Fact]:
    settings = Settings.model_validate(workflow.head.get("settings", {}))
    limit = settings.timeout_seconds
    return [
        Fact(name=_("Scheduling"), value=scheduling_word(settings.scheduling)),
        Fact(name=_("Nodes at a time"), value=str(settings.max_parallel_nodes)),
        Fact(name=_("Time limit"), value=_("none") if limit is None else _("%(number)s s") % {"number": limit}),
        Fact(name=_("After a failure"), value=str(ON_FAILURE_WORDS[settings.on_failure])),
        Fact(name=_("Several executions at a time"), value=_("yes") if settings.allow_concurrent else _("no")),
        Fact(name=_("Queue"), value=settings.queue),
        Fact(name=_("Priority"), value=str(settings.priority)),
        *_limits(settings),
    ]


def _limits(settings: Settings) -> list[Fact]:
    """Those that the workflow states."""
    stated = {_("Executions at a time"): settings.concurrency, _("Budget of agents"): settings.budget}
    return [
        Fact(name=name, value=jsontext.dumps(limits.model_dump(exclude_unset=True)))
        for name, limits in stated.items()
        if limits is not None
    ]


def _variables(workflow: Workflow) -> list[Fact]:
    variables = cast("JsonObject", workflow.head.get("variables", {}))
    return [Fact(name=name, value=jsontext.dumps(value)) for name, value in variables.items()]


def _inputs(workflow: Workflow) -> list[dict[str, Any]]:
    """The properties that the schema of the input names."""
    schema = workflow.head.get("input_schema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(schema, dict) or not isinstance(properties, dict):
        return []
    required = cast("list[str]", schema.get("required", []))
    return [
        {
            "name": name,
            "type": _type_of(part),
            "required": name in required,
            "description": part.get("description", part.get("title", "")) if isinstance(part, dict) else "",
            "default": jsontext.dumps(part["default"]) if isinstance(part, dict) and "default" in part else "",
        }
        for name, part in properties.items()
    ]


def _type_of(schema: JsonValue) -> str:
    kind = schema.get("type") if isinstance(schema, dict) else None
    choices = schema.get("enum") if isinstance(schema, dict) else None
    if isinstance(choices, list):
        return _("one of %(choices)s") % {"choices": jsontext.dumps(choices)[1:-1]}
    if isinstance(kind, list):
        return ", ".join(str(one) for one in kind)
    return str(kind) if kind else _("any")


def _node_row(node: Node, wrong: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    definition = node.definition
    rest: JsonObject = {key: value for key, value in definition.items() if key not in _IN_COLUMNS}
    return {
        "key": node.key,
        "name": definition.get("name", ""),
        "type": node.type,
        "calls": definition.get("tool") or definition.get("agent") or definition.get("strategy") or "",
        "rest": yamltext.dump(rest) if rest else "",
        "problems": wrong.get(node.key, ()),
    }


def _edge_row(edge: Edge, wrong: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    definition = edge.definition
    shown = {key: definition.get(key, "") for key in ("from", "to", "condition", "priority", "handle", "label")}
    return {
        **shown,
        "source": shown["from"],
        "default": definition.get("default", False),
        "problems": wrong.get(str(edge), ()),
    }


def _following(request: HttpRequest, name: str, page: Page[Any]) -> str:
    """The query of the next page of one table, with the other table as it is; empty at the end."""
    if page.next is None:
        return ""
    query = request.GET.copy()
    query[name] = page.next
    return query.urlencode()


def _details(data: Mapping[str, object]) -> str:
    """What the audit keeps of a deed, in a line."""
    return ", ".join(
        f"{key}: {value if isinstance(value, str) else jsontext.dumps(value)}" for key, value in data.items()
    )
