"""What a definition may name: tools that are registered in code, tools and agents that were made on the site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, override

from workflows_app.dag.configured import info_of
from workflows_app.dag.plan import Configured
from workflows_app.dag.types import Effect, ToolInfo
from workflows_app.models import ConfiguredTool
from workflows_app.services.roster import Roster
from workflows_app.tools.errors import UnknownTool
from workflows_app.tools.registry import Registry, is_tool_name, registry

if TYPE_CHECKING:
    from workflows_app.models.access import Account


class Toolbox(Mapping[str, ToolInfo]):
    """The catalogue of one check or one start; what was made on the site is read once, and only where it is needed.

    A registered tool comes before one that was made on the site under its name before it was registered.
    """

    def __init__(self, tools: Registry = registry) -> None:
        self._tools = tools
        self._infos: dict[str, ToolInfo] = {}

    @cached_property
    def rows(self) -> Mapping[str, ConfiguredTool]:
        """What was made on the site, by name; whoever asks says who may see it."""
        return {row.name: row for row in ConfiguredTool.objects.order_by("name") if row.name not in self._tools}

    @cached_property
    def agents(self) -> Roster:
        return Roster(self)

    def effects_of(self, name: str) -> frozenset[Effect]:
        """The effects that a node may have that calls this tool. Raises `KeyError`."""
        return self._tools.get(name).possible_effects if name in self._tools else self[name].possible_effects

    def effect_of(self, name: str, inputs: object) -> Effect:
        """The effect of a node with these `inputs` in its document that states none. Raises `KeyError`."""
        # The entry of a registered tool takes long to build.
        return (self._tools.get(name) if name in self._tools else self[name]).effect_of(inputs)

    def configured(self, name: str) -> Configured | None:
        """What a plan has of a tool; None of a registered one. Raises `KeyError`."""
        return None if name in self._tools else configured_of(self.rows[name])

    def description(self, name: str) -> str:
        """What a tool of the site says of itself; nothing of a registered one. Raises `KeyError`."""
        return "" if name in self._tools else self.rows[name].description

    def runs(self, name: str) -> bool:
        """Whether a tool of the site is there and switched on, and its kind is there."""
        row = self.rows.get(name)
        return row is not None and row.is_active and row.kind in self._tools

    @override
    def __getitem__(self, name: str) -> ToolInfo:
        if name in self._tools:
            return self._tools.get(name).info
        if (info := self._infos.get(name)) is None:
            info = self._infos[name] = self._info(self.rows[name])
        return info

    def _info(self, row: ConfiguredTool) -> ToolInfo:
        effect = Effect(row.effect) if row.effect else None
        if row.kind not in self._tools:
            return ToolInfo(
                name=row.name,
                effect=effect or Effect.AT_MOST_ONCE,
                input_schema={},
                output_schema={},
                missing_kind=row.kind,
            )
        return info_of(configured_of(row), self._tools.get(row.kind).info, effect=effect, is_active=row.is_active)

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._tools or name in self.rows

    @override
    def __iter__(self) -> Iterator[str]:
        yield from (tool.name for tool in self._tools)
        yield from self.rows

    @override
    def __len__(self) -> int:
        return len(self._tools) + len(self.rows)


def toolbox_for(user: Account, name: str) -> Toolbox:
    """The toolbox that has a tool which a user may see. Raises `UnknownTool`."""
    tools = Toolbox()
    # What cannot be a name is not asked for: not every database takes every text.
    if name in registry or (is_tool_name(name) and ConfiguredTool.objects.visible_to(user).filter(name=name).exists()):
        return tools
    raise UnknownTool(name, visible_names(user))


def visible_names(user: Account) -> list[str]:
    """The names of all tools that a user may see, in order."""
    rows = ConfiguredTool.objects.visible_to(user).values_list("name", flat=True)
    return sorted({tool.name for tool in registry}.union(rows))


def configured_of(row: ConfiguredTool) -> Configured:
    return Configured(
        name=row.name,
        kind=row.kind,
        configuration=row.configuration,
        input_schema=row.input_schema,
        output_schema=row.output_schema,
    )
