"""What a JSON Schema says of the values that it accepts, without any value at hand.

Every answer is cautious: where a schema is not understood, anything is possible.
"""

from collections.abc import Iterable
from decimal import Decimal

from workflows_app.dag.schema_syntax import resolve
from workflows_app.dag.types import JsonObject, JsonValue

# The kinds of JSON values, with numbers split so that `integer` is a part of `number`.
ALL_KINDS = frozenset({"null", "boolean", "integer", "fraction", "text", "list", "mapping"})
_KINDS = {
    "null": frozenset({"null"}),
    "boolean": frozenset({"boolean"}),
    "integer": frozenset({"integer"}),
    "number": frozenset({"integer", "fraction"}),
    "string": frozenset({"text"}),
    "array": frozenset({"list"}),
    "object": frozenset({"mapping"}),
}
_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "fraction": "a fraction",
    "text": "text",
    "list": "a list",
    "mapping": "a mapping",
}
# Deeper nestings and longer chains of references are not followed.
_MAX_STEPS = 32


def kind_of(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Decimal):
        return "integer" if value == value.to_integral_value() else "fraction"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "mapping"


def spoken(kinds: Iterable[str]) -> str:
    """`a number or null`."""
    left = set(kinds)
    words: list[str] = []
    if left >= _KINDS["number"]:
        left -= _KINDS["number"]
        words.append("a number")
    words += [word for kind, word in _WORDS.items() if kind in left and kind != "null"]
    return " or ".join([*words, *(["null"] if "null" in left else [])]) or "nothing"


class SchemaReader:
    """Answers questions about one root schema and the schemas inside it. Never raises, whatever they hold."""

    __slots__ = ("_depth", "_kinds", "root")

    def __init__(self, root: JsonValue) -> None:
        self.root = root
        self._kinds: dict[int, frozenset[str]] = {}
        self._depth = 0

    def kinds(self, schema: JsonValue) -> frozenset[str]:
        """The kinds of values that the schema may accept. `schema` is a part of the root."""
        if not isinstance(schema, dict):
            return frozenset() if schema is False else ALL_KINDS
        if (known := self._kinds.get(id(schema))) is None:
            # A schema that contains itself says nothing more about its kind the second time.
            self._kinds[id(schema)] = ALL_KINDS
            if self._depth == _MAX_STEPS:
                return ALL_KINDS
            self._depth += 1
            known = self._kinds[id(schema)] = self._read_kinds(schema)
            self._depth -= 1
        return known

    def properties(self, schema: JsonValue) -> JsonObject:
        """The declared properties of an object schema; empty where they cannot be told."""
        shape = self._object_shape(schema)
        declared = shape.get("properties") if shape else None
        return declared if isinstance(declared, dict) else {}

    def required(self, schema: JsonValue) -> list[str]:
        shape = self._object_shape(schema)
        names = shape.get("required") if shape else None
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def lacks(self, schema: JsonValue, name: str) -> bool:
        """Whether no object that the schema accepts can have this key."""
        shape = self._object_shape(schema)
        if shape is None or shape.get("additionalProperties") is not False or shape.get("patternProperties"):
            return False
        return name not in self.properties(shape)

    def at(self, schema: JsonValue, names: Iterable[str]) -> JsonValue:
        """The schema of what is at a path of keys; true, which accepts anything, where it cannot be told."""
        for name in names:
            schema = self.properties(schema).get(name, True)
        return schema

    def _read_kinds(self, schema: JsonObject) -> frozenset[str]:
        kinds = ALL_KINDS
        stated = schema.get("type")
        if isinstance(stated, str | list):
            words = stated if isinstance(stated, list) else [stated]
            kinds &= _union(_KINDS.get(word, ALL_KINDS) if isinstance(word, str) else ALL_KINDS for word in words)
        if isinstance(words := schema.get("enum"), list):
            kinds &= {kind_of(word) for word in words}
        if "const" in schema:
            kinds &= {kind_of(schema["const"])}
        if "$ref" in schema:
            kinds &= self.kinds(self._target(schema))
        for keyword in ("anyOf", "oneOf"):
            if isinstance(branches := schema.get(keyword), list) and branches:
                kinds &= _union(self.kinds(branch) for branch in branches)
        if isinstance(branches := schema.get("allOf"), list):
            for branch in branches:
                kinds &= self.kinds(branch)
        return kinds

    def _target(self, schema: JsonObject) -> JsonValue:
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not isinstance(self.root, dict):
            return True
        found = resolve(self.root, reference)
        return True if found is None else found

    def _object_shape(self, schema: JsonValue) -> JsonObject | None:
        """The one schema that says how objects look here, behind references and `X or null`; else none."""
        current = schema
        for _ in range(_MAX_STEPS):
            if not isinstance(current, dict):
                return None
            if "properties" in current or "additionalProperties" in current:
                return current
            current = self._target(current) if "$ref" in current else self._only_object(current)
        return None

    def _only_object(self, schema: JsonObject) -> JsonValue:
        """The branch for objects, where there is exactly one; else true, which says nothing."""
        branches = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(branches, list):
            return True
        candidates = [branch for branch in branches if "mapping" in self.kinds(branch)]
        return candidates[0] if len(candidates) == 1 else True


def _union(kinds: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*kinds)
