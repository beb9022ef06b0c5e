"""Hypothesis strategies for valid workflow documents together with what their processors do.

A document is drawn as a list of nodes, each with its own incoming edges by distance, so that Hypothesis can drop
nodes and edges one by one while it shrinks; what does not fit together is then put right without drawing again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.unit.engine.model.reference import BROKEN_CONDITION, Document, Fail, Succeed
from workflows_app.dag.types import Effect, ToolInfo

TOOL = "test.node"
# What the validator needs to know of the only tool in generated documents.
CATALOGUE = {TOOL: ToolInfo(name=TOOL, effect=Effect.NONE, input_schema={}, output_schema={})}
# Names of the error classes that planned failures have. They share no base but Exception.
ERRORS = ("Refused", "Unreachable")

_JOINS = ("none_failed_min_one_success", "all_success", "one_success", "all_done")
_STRATEGIES = ("merge", "list", "first", "sum", "count", "avg", "min", "max")
_MAX_NODES = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A valid document, what the processor of each node but the triggers does, and the execution's input."""

    document: Document
    behaviour: dict[str, Succeed | Fail]
    execution_input: dict[str, Any]


class _Link(NamedTuple):
    """An incoming edge. `distance` counts nodes backwards and is taken modulo their number."""

    distance: int
    handle: str
    condition: str
    default: bool
    priority: int
    rank: int


class _Draft(NamedTuple):
    """A node. `rank` sorts the nodes of the document: their order there need not be topological."""

    type: str
    join: str
    on_error: str
    match: str
    strategy: str
    retry: dict[str, Any]
    links: list[_Link]
    does: tuple[str, Any, int, str]
    rank: int


# A short distance makes a deep graph, a long one a wide one.
_LINKS = st.builds(
    _Link,
    distance=st.one_of(st.integers(0, 3), st.integers(0, _MAX_NODES)),
    handle=st.sampled_from(["out"] * 5 + ["error"] * 2),
    condition=st.sampled_from(
        ["", "", "", "true", "false", "{key}_n > 3", "{key}_n > 3", "nodes.{key}.{key}_n > 3", BROKEN_CONDITION]
    ),
    default=st.sampled_from([False, False, True]),
    priority=st.integers(-1, 2),
    rank=st.integers(0, 3),
)
_RETRIES = st.fixed_dictionaries(
    {"max_retries": st.integers(0, 2)},
    optional={
        "retry_on": st.lists(st.sampled_from(ERRORS), max_size=2, unique=True),
        "never_retry_on": st.lists(st.sampled_from(ERRORS), max_size=1),
    },
)
# Mostly an object with the number that the conditions compare; any other output makes a comparison impossible.
_OUTPUTS = st.one_of(
    st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.sampled_from(["null", "list", "empty"])
)
_DEEDS = st.tuples(
    st.sampled_from(["succeed"] * 4 + ["fail"]),
    _OUTPUTS,
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from(ERRORS),
)
_DRAFTS = st.builds(
    _Draft,
    type=st.sampled_from(["tool"] * 4 + ["condition"] * 3 + ["adapter", "aggregator", "trigger"]),
    join=st.sampled_from(_JOINS[:1] * 2 + _JOINS),
    on_error=st.sampled_from(["fail"] * 4 + ["continue"]),
    match=st.sampled_from(["first", "all"]),
    strategy=st.sampled_from(_STRATEGIES),
    retry=_RETRIES,
    links=st.lists(_LINKS, min_size=1, max_size=4),
    does=_DEEDS,
    rank=st.integers(0, 3),
)


@st.composite
def scenarios(
    draw: st.DrawFn,
    *,
    max_nodes: int = _MAX_NODES,
    on_failure: Sequence[str] = ("continue", "stop"),
    scheduling: Sequence[str] = ("levels", "eager"),
) -> Scenario:
    """Any valid document of up to `max_nodes` nodes, with one of the given settings."""
    given = draw(st.fixed_dictionaries({}, optional={"given": st.integers(0, 6)}))
    settings = draw(
        st.fixed_dictionaries(
            {
                "scheduling": st.sampled_from(scheduling),
                "max_parallel_nodes": st.integers(1, 4),
                "on_failure": st.sampled_from(on_failure),
            }
        )
    )
    # Lists are short on average, so that large documents are asked for too.
    few, many = (
        st.lists(_DRAFTS, min_size=1, max_size=max_nodes),
        st.lists(_DRAFTS, min_size=max_nodes // 3 + 1, max_size=max_nodes),
    )
    drafts = draw(st.one_of(few, many))
    types = _types(drafts)
    edges = _edges(drafts, types, given)
    nodes = [_node(f"n{number}", type_, draft) for number, (type_, draft) in enumerate(zip(types, drafts, strict=True))]
    ranks = {f"n{number}": draft.rank for number, draft in enumerate(drafts)}
    document = {
        "name": "generated",
        "settings": settings,
        "nodes": sorted(nodes, key=lambda node: ranks[node["key"]]),
        "edges": edges,
    }
    behaviour = {
        f"n{number}": _deed(f"n{number}", draft) for number, draft in enumerate(drafts) if types[number] != "trigger"
    }
    return Scenario(document=document, behaviour=behaviour, execution_input=given)


def documents(**options: Any) -> st.SearchStrategy[Document]:
    """The documents of `scenarios` alone."""
    return scenarios(**options).map(lambda scenario: scenario.document)


def _types(drafts: list[_Draft]) -> list[str]:
    """The first node is a trigger; a later one only where a node behind it can hang on it."""
    types = ["trigger", *(draft.type for draft in drafts[1:])]
    for number in range(len(types) - 1, 0, -1):
        if types[number] == "trigger" and all(later == "trigger" for later in types[number + 1 :]):
            types[number] = "tool"
    return types


def _edges(drafts: list[_Draft], types: list[str], given: dict[str, int]) -> list[dict[str, Any]]:
    ranked: list[tuple[int, dict[str, Any]]] = []
    seen: set[tuple[int, int, str]] = set()
    with_default: set[int] = set()
    for target, draft in enumerate(drafts):
        for link in draft.links if types[target] != "trigger" else []:
            source = target - 1 - link.distance % target
            handle = "out" if types[source] == "trigger" else link.handle
            if (source, target, handle) in seen:
                continue
            seen.add((source, target, handle))
            default = link.default and handle == "out" and types[source] == "condition" and source not in with_default
            if default:
                with_default.add(source)
            condition = "" if default else _condition(link.condition, source, types[source], handle, given)
            edge = _edge(source, target, handle, condition, default=default, priority=link.priority)
            ranked.append((link.rank, edge))
    for source, type_ in enumerate(types):
        if type_ == "trigger" and len(types) > 1 and not any(first == source for first, _, _ in seen):
            target = next(number for number in range(source + 1, len(types)) if types[number] != "trigger")
            ranked.append((0, _edge(source, target, "out", "")))
    return [edge for _, edge in sorted(ranked, key=lambda pair: pair[0])]


def _edge(
    source: int, target: int, handle: str, condition: str, *, default: bool = False, priority: int = 0
) -> dict[str, Any]:
    edge: dict[str, Any] = {"from": f"n{source}", "to": f"n{target}"}
    if handle != "out":
        edge["handle"] = handle
    if condition:
        edge["condition"] = condition
    if default:
        edge["default"] = True
    if priority:
        edge["priority"] = priority
    return edge


def _condition(template: str, source: int, type_: str, handle: str, given: dict[str, int]) -> str:
    """A condition that means the same however much of the merged input its names could also be found in.

    Every node has a name of its own in its output. A trigger never fails, so it gets no condition that cannot
    be evaluated; the condition of an error edge asks for the type of the error instead of for the output.
    """
    if type_ == "trigger":
        if template == BROKEN_CONDITION:
            return "true"
        return ("given > 3" if given else "false") if "{key}" in template else template
    if handle == "error" and "{key}" in template:
        return f'errors.n{source}.type == "{ERRORS[0]}"'
    return template.format(key=f"n{source}")


def _node(key: str, type_: str, draft: _Draft) -> dict[str, Any]:
    node: dict[str, Any] = {"key": key, "type": type_}
    if type_ == "trigger":
        return node
    if draft.join != _JOINS[0]:
        node["join"] = draft.join
    if draft.on_error != "fail":
        node["on_error"] = draft.on_error
    match type_:
        case "tool":
            node["tool"] = TOOL
            if draft.retry != {"max_retries": 0}:
                node["retry"] = {**draft.retry, "delay": 0}
        case "condition":
            node["match"] = draft.match
        case "adapter":
            node["output"] = {f"{key}_n": 0}
        case _:
            node["strategy"] = draft.strategy
    return node


def _deed(key: str, draft: _Draft) -> Succeed | Fail:
    kind, output, after, error = draft.does
    if kind == "fail":
        return Fail(error)
    # Only tools have retries: elsewhere a failure at first would be a failure for good, more often than is useful.
    after = after if draft.type == "tool" else 0
    shapes: dict[Any, Any] = {"null": None, "list": [1, 2], "empty": {}}
    return Succeed(shapes.get(output, {f"{key}_n": output}), after, error)
