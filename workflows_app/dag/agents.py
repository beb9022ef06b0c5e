"""Agents that are made on a site: what their nodes get of them, and what the nodes themselves may say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from workflows_app.dag.rendering import OPENING
from workflows_app.dag.types import JsonObject, JsonValue

# What describes an agent, in its node as on the site. A node that names one states none of it.
DESCRIBING = ("provider", "model", "system", "tools", "allow_effects", "limits")
# What an agent has besides, and its node may state instead.
_REPLACEABLE = "output_schema"
# In a compiled node: which of its keys its agent gave.
GIVEN = "from_agent"
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """What a definition needs to know of an agent: the keys that it gives its nodes, without those at their defaults.

    `mistakes` answers sentences on what keeps it from being used, such as a tool that is there no more.
    """

    name: str
    gives: JsonObject
    active: bool = True
    mistakes: Callable[[], Sequence[str]] = tuple


def is_agent_name(text: str) -> bool:
    """Whether an agent may have this name: as a tool's, and the family may be left out."""
    return _NAME.fullmatch(text) is not None


def expanded(node: JsonObject, agents: Mapping[str, AgentInfo]) -> JsonObject:
    """A node with all that the agent which it names gives it, and the names of these keys as `from_agent`.

    A node that names none stays as it is. Raises `KeyError` where there is no such agent.
    """
    name = node.get("agent")
    if not isinstance(name, str):
        return node
    given = given_to(agents[name], states_schema=node.get(_REPLACEABLE) is not None)
    keys: list[JsonValue] = [*given]
    return {**node, **given, GIVEN: keys}


def given_to(agent: AgentInfo, *, states_schema: bool) -> JsonObject:
    """What a node gets of its agent; `states_schema`: it has an output schema of its own."""
    return {key: value for key, value in agent.gives.items() if key != _REPLACEABLE or not states_schema}


def example_of(name: str) -> JsonObject:
    """A node that names an agent."""
    prompt = f"{OPENING} input.question }}}}"
    return {"key": name.rpartition(".")[2], "type": "agent", "agent": name, "prompt": prompt}


def collapsed(node: JsonObject) -> JsonObject:
    """A compiled node as it was written: without what its agent gave."""
    given = cast("list[str]", node.get(GIVEN, []))
    return {key: value for key, value in node.items() if key != GIVEN and key not in given}
