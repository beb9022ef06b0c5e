"""Hypothesis strategies for valid workflow documents together with what their processors do.

A document is drawn as a list of nodes, each with its own incoming edges by distance, so that Hypothesis can drop
nodes and edges one by one while it shrinks; what does not fit together is then put right without drawing again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.unit.engine.reference import BROKEN_CONDITION, Document, Fail, Succeed
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
    """An incoming edge. `distance` counts nodes backwards, and ends at the first."""

    distance: int
    condition: str
    role: tuple[str, bool]
    order: tuple[int, int]


class _Draft(NamedTuple):
    """A node. `rank` sorts the nodes of the document: their order there need not be topological."""

    # Type; match or strategy; retry.
    kind: tuple[str, str, dict[str, Any]]
    # Join and on_error.
    rule: tuple[str, str]
    links: list[_Link]
    # Deed, output, failures before it, class of the error.
    does: tuple[str, Any, int, str]
    rank: int


# One choice of many is much faster to draw than many choices. What is simplest comes first, and what is frequent
# comes more than once. A short distance makes a deep graph, a long one a wide one.
_DISTANCES = (*range(4), *range(_MAX_NODES))
_CONDITIONS = ("", "", "", "true", "false", "{key}_n > 3", "{key}_n > 3", "nodes.{key}.{key}_n > 3", BROKEN_CONDITION)
_LINKS = st.builds(
    _Link,
    distance=st.sampled_from(_DISTANCES),
    condition=st.sampled_from(_CONDITIONS),
    # Handle and default.
    role=st.sampled_from([("out", False)] * 4 + [("out", True)] * 2 + [("error", False)] * 2),
    # Priority, and rank of the edge in the document.
    order=st.sampled_from(list(product((0, 1, 2, -1), range(3)))),
)
_RETRIES = [
    {"max_retries": 0},
    {"max_retries": 1},
    {"max_retries": 2},
    *(
        {"max_retries": count, field: names}
        for count in (1, 2)
        for field in ("retry_on", "never_retry_on")
        for names in ([ERRORS[0]], [ERRORS[1]], [])
    ),
]
# Mostly an object with the number that the conditions compare; any other output makes a comparison impossible.
_OUTPUTS = (*range(7), *range(7), "null", "list", "empty")
_DEEDS = [
    *(("succeed", output, 0, ERRORS[0]) for output in _OUTPUTS * 2),
    *(("succeed", output, after, error) for output in range(7) for after in (1, 2) for error in ERRORS),
    *(("fail", 0, 0, error) for _ in range(8) for error in ERRORS),
]
_KINDS = [
    *(("tool", "", retry) for retry in [*_RETRIES[:3] * 4, *_RETRIES]),
    *(("condition", match, {}) for match in ("first", "all") for _ in range(10)),
    *(("adapter", "", {}) for _ in range(5)),
    *(("aggregator", strategy, {}) for strategy in _STRATEGIES),
    *(("trigger", "", {}) for _ in range(5)),
]
_DRAFTS = st.builds(
    _Draft,
    kind=st.sampled_from(_KINDS),
    rule=st.sampled_from([*product(_JOINS, ["fail"] * 4 + ["continue"]), *product(_JOINS[:1], ["fail"] * 4)]),
    links=st.lists(_LINKS, min_size=1, max_size=4),
    does=st.sampled_from(_DEEDS),
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
    given = draw(st.sampled_from([{}, *({"given": number} for number in range(7))]))
    settings = {
        "scheduling": draw(st.sampled_from(scheduling)),
        "max_parallel_nodes": draw(st.integers(1, 4)),
        "on_failure": draw(st.sampled_from(on_failure)),
    }
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
        node["key"]: _deed(node["key"], node["type"], draft)
        for node, draft in zip(nodes, drafts, strict=True)
        if node["type"] != "trigger"
    }
    return Scenario(document=document, behaviour=behaviour, execution_input=given)


def documents(**options: Any) -> st.SearchStrategy[Document]:
    """The documents of `scenarios` alone."""
    return scenarios(**options).map(lambda scenario: scenario.document)


def _types(drafts: list[_Draft]) -> list[str]:
    """The first node is a trigger; a later one only where a node behind it can hang on it."""
    types = ["trigger", *(draft.kind[0] for draft in drafts[1:])]
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
            source = max(0, target - 1 - link.distance)
            handle, default = link.role
            priority, rank = link.order
            if types[source] == "trigger":
                handle = "out"
            if (source, target, handle) in seen:
                continue
            seen.add((source, target, handle))
            default = default and types[source] == "condition" and source not in with_default
            if default:
                with_default.add(source)
            condition = "" if default else _condition(link.condition, source, types[source], handle, given)
            ranked.append((rank, _edge(source, target, handle, condition, default=default, priority=priority)))
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
    join, on_error = draft.rule
    _, word, retry = draft.kind
    if join != _JOINS[0]:
        node["join"] = join
    if on_error != "fail":
        node["on_error"] = on_error
    match type_:
        case "tool":
            node["tool"] = TOOL
            if retry.get("max_retries"):
                node["retry"] = {**retry, "delay": 0}
        case "condition":
            node["match"] = word
        case "adapter":
            node["output"] = {f"{key}_n": 0}
        case _:
            node["strategy"] = word
    return node


def _deed(key: str, type_: str, draft: _Draft) -> Succeed | Fail:
    kind, output, after, error = draft.does
    if kind == "fail":
        return Fail(error)
    # Only tools have retries: elsewhere a failure at first would be a failure for good, more often than is useful.
    after = after if type_ == "tool" else 0
    shapes: dict[Any, Any] = {"null": None, "list": [1, 2], "empty": {}}
    return Succeed(shapes.get(output, {f"{key}_n": output}), after, error)
