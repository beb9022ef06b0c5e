"""The agents that a definition may name: those that were made on the site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, override

from workflows_app.dag import jsontext
from workflows_app.dag.agents import AgentInfo, given_to
from workflows_app.dag.registered import mistakes
from workflows_app.models import Agent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflows_app.dag.plan import NodePlan
    from workflows_app.dag.types import JsonObject, ToolInfo


class Roster(Mapping[str, AgentInfo]):
    """The agents of one check or one start: read once, and only where a node names one."""

    def __init__(self, tools: Mapping[str, ToolInfo]) -> None:
        self._tools = tools
        self._mistakes: dict[str, Sequence[str]] = {}

    @cached_property
    def _infos(self) -> Mapping[str, AgentInfo]:
        return {row.name: self._info(row) for row in Agent.objects.order_by("name")}

    def _info(self, row: Agent) -> AgentInfo:
        return AgentInfo(
            name=row.name, gives=gives_of(row), active=row.is_active, mistakes=partial(self._mistakes_of, row)
        )

    def _mistakes_of(self, row: Agent) -> Sequence[str]:
        if (found := self._mistakes.get(row.name)) is None:
            found = self._mistakes[row.name] = [one.message for one in mistakes(gives_of(row), self._tools)]
        return found

    def agrees(self, node: NodePlan) -> bool:
        """Whether the agent that a compiled node names is there, switched on, and gives what it gave."""
        agent = self._infos.get(node.agent)
        if agent is None or not agent.active:
            return False
        states_schema = node.output_schema is not None and "output_schema" not in node.from_agent
        # As text: 1.0 and 1.00 are equal and not the same.
        given = jsontext.dumps({key: getattr(node, key) for key in node.from_agent})
        return given == jsontext.dumps(given_to(agent, states_schema=states_schema))

    @override
    def __getitem__(self, name: str) -> AgentInfo:
        return self._infos[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    @override
    def __len__(self) -> int:
        return len(self._infos)


def gives_of(agent: Agent) -> JsonObject:
    """The keys that an agent gives its nodes: those that a node would have to state, and no defaults."""
    given: JsonObject = {"provider": agent.provider, "model": agent.model}
    if agent.system:
        given["system"] = agent.system
    if agent.tools:
        given["tools"] = agent.tools  # pyright: ignore[reportArgumentType]
    if agent.allow_effects:
        given["allow_effects"] = True
    if agent.output_schema is not None:
        given["output_schema"] = agent.output_schema
    if agent.limits is not None:
        given["limits"] = agent.limits
    return given
