"""What is different between two documents, part by part: nodes by their key, edges by their ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import Handle, JsonObject, JsonValue
from workflows_app.dag.wording import Path, dotted

# They are compared item by item.
_PARTS = ("nodes", "edges")


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Part(StrEnum):
    # A key at the top of the document.
    WORKFLOW = "workflow"
    NODE = "node"
    EDGE = "edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A dotted path below a part, and its values as JSON text; None where there is none."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A part that was added, removed or changed; `name` is its key, or reads `from -> to`."""

    change: Change
    part: Part
    name: str
    fields: Sequence[Field]


def differences(before: JsonObject, after: JsonObject) -> list[Difference]:
    """Everything that is different, first the document's own keys, then nodes, then edges; empty where nothing is."""
    tops = [{key: value for key, value in document.items() if key not in _PARTS} for document in (before, after)]
    edges_before, edges_after = (_by(document, "edges", _edge_name) for document in (before, after))
    found = [
        *_of_parts(Part.WORKFLOW, *tops),
        *_of_parts(Part.NODE, *(_by(document, "nodes", _node_name) for document in (before, after))),
        *_of_parts(Part.EDGE, edges_before, edges_after),
    ]
    # Their order is that in which they are tried and merged.
    kept_before = [name for name in edges_before if name in edges_after]
    kept_after = [name for name in edges_after if name in edges_before]
    if kept_before != kept_after:
        order = Field(path="", before=jsontext.dumps(kept_before), after=jsontext.dumps(kept_after))
        found.append(Difference(change=Change.CHANGED, part=Part.WORKFLOW, name="order of edges", fields=[order]))
    return found


def _node_name(node: JsonObject) -> str:
    return str(node.get("key"))


def _edge_name(edge: JsonObject) -> str:
    handle = edge.get("handle", Handle.OUT)
    name = f"{edge.get('from')} -> {edge.get('to')}"
    return name if handle == Handle.OUT else f"{name} ({handle})"


def _by(document: JsonObject, key: str, name_of: Callable[[JsonObject], str]) -> dict[str, JsonValue]:
    return {name_of(part): part for part in cast("list[JsonObject]", document.get(key, []))}


def _of_parts(part: Part, before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            change = Change.REMOVED
        elif name not in before:
            change = Change.ADDED
        else:
            change = Change.CHANGED
        fields = list(_fields(before.get(name, _ABSENT), after.get(name, _ABSENT), ()))
        if fields:
            yield Difference(change=change, part=part, name=name, fields=fields)


class _Absent:
    """Not there, which is not null."""


_ABSENT = _Absent()


def _fields(before: "JsonValue | _Absent", after: "JsonValue | _Absent", path: Path) -> Iterator[Field]:
    """Mappings are compared key by key, everything else as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _fields(before.get(key, _ABSENT), after.get(key, _ABSENT), (*path, key))
        return
    old, new = _text(before), _text(after)
    if old != new:
        yield Field(path=dotted(path), before=old, after=new)


def _text(value: "JsonValue | _Absent") -> str | None:
    # As text: 1 and 1.0 and true are equal to Python.
    return None if isinstance(value, _Absent) else jsontext.dumps(value)
