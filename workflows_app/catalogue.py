"""Tools and agents as every interface shows them: what is registered, and what of the site a user may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import TextField
from django.db.models.functions import Cast

from workflows_app.dag import jsontext
from workflows_app.dag.agents import is_agent_name
from workflows_app.dag.types import NodeType
from workflows_app.models import Agent, Node, Workflow
from workflows_app.models.pages import Page, page_of
from workflows_app.services.errors import AgentNotFound, RegisteredTool
from workflows_app.services.toolbox import Toolbox, toolbox_for, visible_names
from workflows_app.tools.registry import rate_of, registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

    from workflows_app.dag.types import ToolInfo
    from workflows_app.models import ConfiguredTool
    from workflows_app.models.access import Account
    from workflows_app.tools.rates import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tool; `row` is that of one that was made on the site. `isolation` is empty where its kind is no more."""

    info: ToolInfo
    description: str
    isolation: str
    row: ConfiguredTool | None = None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def rate(self) -> Rate | None:
        """How often it may be called: the slower one of its own rate and that of its kind."""
        names = [self.name] if self.kind is None else [self.name, self.kind]
        return min(filter(None, map(rate_of, names)), key=lambda rate: rate.per_second, default=None)

    @property
    def kind(self) -> str | None:
        return None if self.row is None else self.row.kind


def entries_for(user: Account) -> Sequence[Entry]:
    """All tools that exist for a user, by name."""
    tools = Toolbox()
    return [_entry(tools, name) for name in visible_names(user)]


def entry_for(user: Account, name: str) -> Entry:
    """Raises `UnknownTool`, also for a tool that is switched off where the user may not change it."""
    return _entry(toolbox_for(user, name), name)


def _entry(tools: Toolbox, name: str) -> Entry:
    if name in registry:
        tool = registry.get(name)
        return Entry(info=tools[name], description=tool.description, isolation=str(tool.isolation))
    row = tools.rows[name]
    isolation = str(registry.get(row.kind).isolation) if row.kind in registry else ""
    return Entry(info=tools[name], description=row.description, isolation=isolation, row=row)


def configured_for(user: Account, name: str) -> ConfiguredTool:
    """The row of a tool that is to be changed. Raises `UnknownTool`, and `RegisteredTool` where it has none."""
    row = entry_for(user, name).row
    if row is None:
        raise RegisteredTool(name)
    return row


def tool_json(entry: Entry, user: Account) -> dict[str, Any]:
    """A tool as the API shows it; its configuration to whoever may change it."""
    row, info = entry.row, entry.info
    return {
        "name": entry.name,
        "description": entry.description,
        "source": "registered" if row is None else "configured",
        "kind": entry.kind,
        "effect": str(info.effect),
        "effects": sorted(info.effects),
        "isolation": entry.isolation,
        "rate": None if entry.rate is None else str(entry.rate),
        "is_active": info.active,
        "input_schema": info.input_schema,
        "output_schema": info.output_schema,
        "configuration": row.configuration if row is not None and user.has_perm(row.permission("change")) else None,
        "version": None if row is None else row.version,
    }


def tools_json(user: Account) -> Sequence[dict[str, Any]]:
    return [tool_json(entry, user) for entry in entries_for(user)]


def agents_for(user: Account) -> QuerySet[Agent]:
    """All agents that exist for a user, by name."""
    return Agent.objects.visible_to(user).select_related("created_by").order_by("name")


def agents_page(user: Account, limit: int, cursor: str | None) -> Page[Agent]:
    """By name. Raises `InvalidCursor`."""
    return page_of(agents_for(user), ("name",), limit, cursor)


def agent_for(user: Account, name: str) -> Agent:
    """Raises `AgentNotFound`, also for one that is switched off where the user may not change it."""
    # What cannot be a name is not asked for: not every database takes every text.
    found = agents_for(user).filter(name=name).first() if is_agent_name(name) else None
    if found is None:
        raise AgentNotFound(name)
    return found


def agent_json(agent: Agent) -> dict[str, Any]:
    """An agent as the API shows it."""
    return {
        "name": agent.name,
        "owner": None if agent.created_by is None else agent.created_by.get_username(),
        "description": agent.description,
        "provider": agent.provider,
        "model": agent.model,
        "system": agent.system,
        "tools": agent.tools,
        "allow_effects": agent.allow_effects,
        "output_schema": agent.output_schema,
        "limits": agent.limits,
        "is_active": agent.is_active,
        "version": agent.version,
        "created_at": agent.created_at,
        "updated_at": agent.updated_at,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """The workflows that name an agent: those that a user may see, and how many there are besides."""

    workflows: Sequence[Workflow]
    others: int


def uses_of(agent: Agent, user: Account) -> Uses:
    """By name. Reads every node that asks a model."""
    named = f'"agent":{jsontext.dumps(agent.name)}'
    nodes = Node.objects.annotate(text=Cast("definition", TextField())).filter(
        type=NodeType.AGENT, text__contains=named
    )
    definitions = nodes.values_list("workflow", "definition")
    # The text may stand elsewhere in a node.
    found = {workflow for workflow, definition in definitions if definition.get("agent") == agent.name}
    seen = list(Workflow.objects.visible_to(user).filter(pk__in=found).select_related("owner").order_by("name", "pk"))
    return Uses(workflows=seen, others=len(found) - len(seen))
