"""The parts of a document that can be judged although others are malformed: its outline."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import override

from workflows_app.dag.graph import DAGGraph, components
from workflows_app.dag.types import Handle, Join, JsonObject, JsonValue, NodeType, OnError
from workflows_app.dag.wording import Path

_TYPES: dict[str, NodeType] = {str(word): word for word in NodeType}
_JOINS: dict[str, Join] = {str(word): word for word in Join}


@dataclass(slots=True, kw_only=True)
class NodeOutline:
    """A node that is a mapping with a text as its key. `type` is none where it is missing or unknown."""

    position: int
    key: str
    body: JsonObject
    type: NodeType | None
    join: Join
    goes_on_after_failure: bool

    @property
    def path(self) -> Path:
        return ("nodes", self.position)


@dataclass(slots=True, kw_only=True)
class EdgeOutline:
    """An edge that is a mapping whose `from` and `to` are text."""

    position: int
    source: str
    target: str
    body: JsonObject
    condition: JsonValue
    is_default: bool
    is_error: bool

    @property
    def path(self) -> Path:
        return ("edges", self.position)

    @override
    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


class Outline:
    """Nodes, edges and the graph that they form, as far as they are well-formed.

    `nodes` has every node with a key, also repeated ones; `by_key` the first of each key. `links` are the
    edges between two different existing nodes, `graph` is made of them, and `components` are its strongly
    connected components in topological order.
    """

    __slots__ = ("by_key", "components", "document", "edges", "graph", "links", "nodes")

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self.nodes = [
            NodeOutline(
                position=position,
                key=key,
                body=body,
                type=_word(_TYPES, body, "type"),
                join=_word(_JOINS, body, "join") or Join.NONE_FAILED_MIN_ONE_SUCCESS,
                goes_on_after_failure=body.get("on_error") == OnError.CONTINUE,
            )
            for position, body in _mappings(document.get("nodes"))
            if isinstance(key := body.get("key"), str) and key
        ]
        self.by_key: dict[str, NodeOutline] = {}
        for node in self.nodes:
            _ = self.by_key.setdefault(node.key, node)
        self.edges = [
            EdgeOutline(
                position=position,
                source=source,
                target=target,
                body=body,
                condition=body.get("condition"),
                is_default=body.get("default") is True,
                is_error=body.get("handle") == Handle.ERROR,
            )
            for position, body in _mappings(document.get("edges"))
            if isinstance(source := body.get("from"), str) and isinstance(target := body.get("to"), str)
        ]
        self.links = [
            edge
            for edge in self.edges
            if edge.source != edge.target and edge.source in self.by_key and edge.target in self.by_key
        ]
        self.graph = DAGGraph(self.by_key, [(edge.source, edge.target) for edge in self.links])
        self.components = components(self.graph)


def _mappings(parts: JsonValue) -> Iterator[tuple[int, JsonObject]]:
    if isinstance(parts, list):
        for position, part in enumerate(parts):
            if isinstance(part, dict):
                yield position, part


def _word[W](known: Mapping[str, W], body: JsonObject, key: str) -> W | None:
    word = body.get(key)
    return known.get(word) if isinstance(word, str) else None
