"""Checks the shape of the graph: keys, ends of edges, triggers, cycles, reachability."""

from workflows_app.dag.findings import Findings
from workflows_app.dag.graph import cycles
from workflows_app.dag.outline import NodeOutline, Outline
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.types import NodeType
from workflows_app.dag.wording import quoted, shortened

# A longer cycle is named by its beginning and its end.
_LONGEST_PATH = 12


def check_topology(outline: Outline, findings: Findings) -> None:
    """Report everything that keeps the nodes and edges from being a graph that can run."""
    triggers = [node for node in outline.by_key.values() if node.type is NodeType.TRIGGER]
    _check_nodes(outline, triggers, findings)
    _check_edges(outline, findings)
    _check_cycles(outline, findings)
    _check_reach(outline, triggers, findings)


def _check_nodes(outline: Outline, triggers: list[NodeOutline], findings: Findings) -> None:
    nodes = outline.document.get("nodes")
    if nodes == []:
        message = "The workflow has no nodes: add a trigger and at least one node to run after it."
        findings.add(ProblemCode.NO_NODES, message, ("nodes",))
    elif isinstance(nodes, list) and not triggers:
        message = "The workflow has no trigger: add a node of type trigger, at which executions start."
        findings.add(ProblemCode.NO_TRIGGER, message, ("nodes",))
    for node in outline.nodes:
        if outline.by_key[node.key] is not node:
            message = f"Another node has the key {quoted(node.key)} already: give every node a key of its own."
            findings.add(ProblemCode.DUPLICATE_KEY, message, (*node.path, "key"))


def _check_edges(outline: Outline, findings: Findings) -> None:
    seen: set[tuple[str, str, bool]] = set()
    for edge in outline.edges:
        for end, key in (("from", edge.source), ("to", edge.target)):
            if key not in outline.by_key:
                hint = findings.spelling.hint(key, outline.by_key) or " Add the node or remove the edge."
                message = f"There is no node with the key {quoted(key)}.{hint}"
                findings.add(ProblemCode.NODE_NOT_FOUND, message, (*edge.path, end))
        if edge.source == edge.target:
            message = f"The edge leads from {quoted(edge.source)} to itself: a node cannot wait for itself. Remove it."
            findings.add(ProblemCode.SELF_LOOP, message, edge.path)
        identity = (edge.source, edge.target, edge.is_error)
        if identity in seen:
            message = (
                f"There is another edge {shortened(str(edge))} with the handle {'error' if edge.is_error else 'out'}: "
                "remove one of them, or join their conditions with 'or'."
            )
            findings.add(ProblemCode.DUPLICATE_EDGE, message, edge.path)
        seen.add(identity)
        target = outline.by_key.get(edge.target)
        if target is not None and target.type is NodeType.TRIGGER:
            message = f"{quoted(edge.target)} is a trigger, where executions start: no edge may lead to it. Remove it."
            findings.add(ProblemCode.TRIGGER_HAS_INPUT, message, edge.path)


def _check_cycles(outline: Outline, findings: Findings) -> None:
    for cycle in cycles(outline.graph, outline.components):
        path = [shortened(key) for key in cycle]
        if len(path) > _LONGEST_PATH:
            path = [*path[: _LONGEST_PATH - 2], f"... ({len(cycle) - 1} nodes)", *path[-2:]]
        message = f"These nodes wait for each other in a circle: {' -> '.join(path)}. Remove one of these edges."
        findings.add(ProblemCode.CYCLE_DETECTED, message, outline.by_key[cycle[0]].path)


def _check_reach(outline: Outline, triggers: list[NodeOutline], findings: Findings) -> None:
    mentioned = {key for edge in outline.edges for key in (edge.source, edge.target)}
    if len(outline.by_key) > 1:
        for node in outline.by_key.values():
            if node.key not in mentioned:
                message = f"The node {quoted(node.key)} has no edges: connect it to the others or remove it."
                findings.add(ProblemCode.ISOLATED_NODE, message, node.path)
    if not triggers:
        return
    # What hangs on an edge from a node that does not exist is reported there, once.
    starts = [node.key for node in triggers]
    starts += [
        edge.target for edge in outline.edges if edge.source not in outline.by_key and edge.target in outline.by_key
    ]
    reached = outline.graph.reachable_from(starts)
    for key in outline.graph.nodes:
        if key in mentioned and key not in reached:
            message = (
                f"No path leads from a trigger to the node {quoted(key)}, so that it would never run: "
                "add an edge to it or remove it."
            )
            findings.add(ProblemCode.UNREACHABLE_NODE, message, outline.by_key[key].path)
