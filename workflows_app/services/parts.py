"""Single nodes and edges added, changed and removed. Each change is a version of the workflow.

A change is refused for what is wrong with the part itself. What else is wrong with the workflow then, such as a node
that nothing leads to yet, is kept with it and keeps it from being run.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from django.db import transaction

from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.types import Handle, JsonObject, JsonValue
from workflows_app.models import Edge, Node, Workflow
from workflows_app.models.access import Verb
from workflows_app.services.access import demand
from workflows_app.services.audit import audit
from workflows_app.services.documents import document_of
from workflows_app.services.editing import Edit, locked, problems_in, refuse_new, save_next_version
from workflows_app.services.errors import PartNotFound

# What concerns a part itself; the other errors tell how it fits in with the rest, which may still come.
OWN = frozenset(
    {
        ProblemCode.INVALID_DOCUMENT,
        ProblemCode.UNKNOWN_KEY,
        ProblemCode.DUPLICATE_KEY,
        ProblemCode.INVALID_KEY,
        ProblemCode.TRIGGER_HAS_INPUT,
        ProblemCode.NODE_NOT_FOUND,
        ProblemCode.SELF_LOOP,
        ProblemCode.DUPLICATE_EDGE,
        ProblemCode.CYCLE_DETECTED,
        ProblemCode.INVALID_CONFIG,
        ProblemCode.INVALID_EXPRESSION,
        ProblemCode.UNKNOWN_TOOL,
        ProblemCode.INACTIVE_TOOL,
        ProblemCode.INVALID_HANDLE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed[P: (Node, Edge)]:
    """The workflow after the change, and the part; a removed one as it was."""

    workflow: Workflow
    part: P


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A workflow's parts while one of them changes; `definitions` are those of the document to come."""

    workflow: Workflow
    nodes: list[Node]
    edges: list[Edge]
    node_definitions: list[JsonObject]
    edge_definitions: list[JsonObject]

    def node(self, key: str) -> int:
        for position, node in enumerate(self.nodes):
            if node.key == key:
                return position
        raise PartNotFound("node", key)

    def edge(self, edge_id: str) -> int:
        for position, edge in enumerate(self.edges):
            if str(edge.id) == edge_id:
                return position
        raise PartNotFound("edge", edge_id)

    def node_row(self, definition: JsonObject) -> Node:
        order = self.nodes[-1].order + 1 if self.nodes else 0
        return _filled_node(Node(workflow=self.workflow, order=order), definition)

    def edge_row(self, definition: JsonObject) -> Edge:
        order = self.edges[-1].order + 1 if self.edges else 0
        return self.filled_edge(Edge(workflow=self.workflow, order=order), definition)

    def filled_edge(self, edge: Edge, definition: JsonObject) -> Edge:
        edge.source = self.nodes[self.node(cast(str, definition["from"]))]
        edge.target = self.nodes[self.node(cast(str, definition["to"]))]
        edge.handle = cast(str, definition.get("handle", Handle.OUT))
        edge.definition = definition
        return edge


# Changes the definitions; the function that it returns changes the rows, once the definitions are found good.
type _Change[P: (Node, Edge)] = Callable[[_Parts], Callable[[], P]]


def add_node(edit: Edit, definition: JsonObject) -> Changed[Node]:
    """Raises `Forbidden`, `InvalidDefinition`, `VersionConflict`, as all of these do; then nothing is changed."""

    def change(parts: _Parts) -> Callable[[], Node]:
        parts.node_definitions.append(definition)
        return lambda: _saved(parts.node_row(definition))

    return _changed(edit, "workflow.node_added", change)


def change_node(edit: Edit, key: str, fields: JsonObject) -> Changed[Node]:
    """Other values of some of a node's keys. Its edges follow a node that is renamed. Raises `PartNotFound` as well."""

    def change(parts: _Parts) -> Callable[[], Node]:
        position = parts.node(key)
        definition = {**parts.node_definitions[position], **fields}
        parts.node_definitions[position] = definition
        new_key = definition.get("key")
        touching: list[tuple[Edge, JsonObject]] = []
        for place, edge in enumerate(parts.edge_definitions):
            if new_key != key and key in (edge["from"], edge["to"]):
                renamed = {**edge, **{end: new_key for end in ("from", "to") if edge[end] == key}}
                parts.edge_definitions[place] = renamed
                touching.append((parts.edges[place], renamed))

        def save() -> Node:
            node = _saved(_filled_node(parts.nodes[position], definition))
            for edge, renamed in touching:
                edge.definition = renamed
                edge.save()
            return node

        return save

    return _changed(edit, "workflow.node_changed", change)


def remove_node(edit: Edit, key: str) -> Changed[Node]:
    """Its edges go with it. Raises `PartNotFound` as well."""

    def change(parts: _Parts) -> Callable[[], Node]:
        position = parts.node(key)
        del parts.node_definitions[position]
        parts.edge_definitions[:] = [edge for edge in parts.edge_definitions if key not in (edge["from"], edge["to"])]
        return lambda: _deleted(parts.nodes[position])

    return _changed(edit, "workflow.node_removed", change)


def add_edge(edit: Edit, definition: JsonObject) -> Changed[Edge]:
    def change(parts: _Parts) -> Callable[[], Edge]:
        parts.edge_definitions.append(definition)
        return lambda: _saved(parts.edge_row(definition))

    return _changed(edit, "workflow.edge_added", change)


def change_edge(edit: Edit, edge_id: str, fields: JsonObject) -> Changed[Edge]:
    """Other values of some of an edge's keys. Raises `PartNotFound` as well."""

    def change(parts: _Parts) -> Callable[[], Edge]:
        position = parts.edge(edge_id)
        definition = {**parts.edge_definitions[position], **fields}
        parts.edge_definitions[position] = definition
        return lambda: _saved(parts.filled_edge(parts.edges[position], definition))

    return _changed(edit, "workflow.edge_changed", change)


def remove_edge(edit: Edit, edge_id: str) -> Changed[Edge]:
    """Raises `PartNotFound` as well."""

    def change(parts: _Parts) -> Callable[[], Edge]:
        position = parts.edge(edge_id)
        del parts.edge_definitions[position]
        return lambda: _deleted(parts.edges[position])

    return _changed(edit, "workflow.edge_removed", change)


def _changed[P: (Node, Edge)](edit: Edit, deed: str, change: _Change[P]) -> Changed[P]:
    demand(edit.user, Verb.EDIT, edit.workflow)
    with transaction.atomic():
        workflow = locked(edit)
        before = document_of(workflow)
        parts = _Parts(
            workflow=workflow,
            nodes=list(workflow.nodes.order_by("order")),
            edges=list(workflow.edges.order_by("order")),
            node_definitions=list(cast("list[JsonObject]", before["nodes"])),
            edge_definitions=list(cast("list[JsonObject]", before["edges"])),
        )
        change_rows = change(parts)
        after: JsonObject = {
            **before,
            "nodes": cast(JsonValue, parts.node_definitions),
            "edges": cast(JsonValue, parts.edge_definitions),
        }
        problems = problems_in(after)
        _ = refuse_new(problems_in(before), [problem for problem in problems if problem.code in OWN])
        part = change_rows()
        save_next_version(workflow, problems)
        audit(edit.user, deed, workflow, {"version": workflow.version, "part": str(part)})
    return Changed(workflow=workflow, part=part)


def _filled_node(node: Node, definition: JsonObject) -> Node:
    node.key = cast(str, definition["key"])
    node.type = cast(str, definition["type"])
    node.definition = definition
    return node


def _saved[P: (Node, Edge)](part: P) -> P:
    part.save()
    return part


def _deleted[P: (Node, Edge)](part: P) -> P:
    key: uuid.UUID = part.id
    _ = part.delete()
    part.id = key
    return part
