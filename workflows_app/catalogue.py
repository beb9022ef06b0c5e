"""The tools as every interface shows them: those that are registered, and those of the site that a user may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflows_app.models.configured_tool import CHANGE
from workflows_app.services.errors import RegisteredTool
from workflows_app.services.toolbox import Toolbox, toolbox_for, visible_names
from workflows_app.tools.registry import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflows_app.dag.types import ToolInfo
    from workflows_app.models import ConfiguredTool
    from workflows_app.models.access import Account


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
        "is_active": info.active,
        "input_schema": info.input_schema,
        "output_schema": info.output_schema,
        "configuration": row.configuration if row is not None and user.has_perm(CHANGE) else None,
        "version": None if row is None else row.version,
    }


def tools_json(user: Account) -> Sequence[dict[str, Any]]:
    return [tool_json(entry, user) for entry in entries_for(user)]
