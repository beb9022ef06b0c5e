"""A JSON Schema of an object as a table for people: each property with its type, its default and what is said of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from workflows_app.dag.input_fields import InputField, input_fields
from workflows_app.dag.schema_syntax import resolve
from workflows_app.dag.types import JsonObject, JsonValue

# Types inside types are told so deep.
_DEPTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`field` is what a form would ask for it; `type` is told in the words of JSON Schema: `array of number`."""

    field: InputField
    type: str


def parameters_of(schema: JsonObject) -> Sequence[Parameter]:
    """The properties of a valid schema in their order; none where it names none."""
    properties = cast("JsonObject", schema.get("properties", {}))
    return [
        Parameter(field=field, type=type_of(schema, properties[field.name], _DEPTH)) for field in input_fields(schema)
    ]


def type_of(root: JsonObject, schema: JsonValue, depth: int = _DEPTH) -> str:
    """What kind of value a schema accepts, as far as it can be said in a few words; `any` where it cannot."""
    if not isinstance(schema, dict):
        return "any"
    if isinstance(reference := schema.get("$ref"), str):
        target = resolve(root, reference)
        return type_of(root, target, depth - 1) if isinstance(target, dict) and depth else "any"
    for keyword in ("anyOf", "oneOf"):
        if isinstance(branches := schema.get(keyword), list) and branches:
            return " | ".join(dict.fromkeys(type_of(root, branch, depth) for branch in branches))
    stated = schema.get("type")
    if stated is None and isinstance(values := schema.get("enum"), list):
        return " | ".join(dict.fromkeys(map(_type_of_value, values)))
    if isinstance(stated, list):
        return " | ".join(map(str, stated))
    if stated == "array" and depth and isinstance(items := schema.get("items"), dict):
        inside = type_of(root, items, depth - 1)
        return "array" if inside == "any" else f"array of {inside}"
    if stated is None and ("properties" in schema or "additionalProperties" in schema):
        return "object"
    return "any" if stated is None else str(stated)


def _type_of_value(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | Decimal():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
