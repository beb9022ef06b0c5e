"""What a workflow's `input_schema` asks for, as fields that a person can fill in one by one.

Every answer is cautious: what is not understood is a field for JSON, and the schema itself has the last word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from workflows_app.dag.schema_syntax import resolve
from workflows_app.dag.types import JsonObject, JsonValue


class Kind(StrEnum):
    TEXT = "text"
    DATE = "date"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    # One of the values that the schema lists.
    CHOICE = "choice"
    # Lists, mappings, and everything that may be of several types.
    JSON = "json"


_KINDS = {"string": Kind.TEXT, "integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputField:
    """One property. `bounds` are the keywords that bound a value, such as `minimum`, with what they say."""

    name: str
    kind: Kind
    title: str = ""
    description: str = ""
    is_required: bool = False
    has_default: bool = False
    default: JsonValue = None
    choices: Sequence[JsonValue] = ()
    format: str = ""
    bounds: Sequence[tuple[str, JsonValue]] = ()


_BOUNDS = (
    "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "pattern", "minItems", "maxItems",
)  # fmt: skip


def input_fields(schema: JsonValue) -> list[InputField]:
    """The properties of a valid schema in their order; none where it names none."""
    if not isinstance(schema, dict):
        return []
    required = cast("list[JsonValue]", schema.get("required", []))
    properties = cast("JsonObject", schema.get("properties", {}))
    return [_field(schema, name, part, is_required=name in required) for name, part in properties.items()]


def defaults(fields: Sequence[InputField]) -> JsonObject:
    """The input that the schema itself suggests."""
    return {field.name: field.default for field in fields if field.has_default}


def without_default(fields: Sequence[InputField]) -> list[str]:
    """What somebody must fill in."""
    return [field.name for field in fields if field.is_required and not field.has_default]


def _field(root: JsonObject, name: str, schema: JsonValue, *, is_required: bool) -> InputField:
    part = _meant(root, schema)
    choices = _choices(part)
    return InputField(
        name=name,
        kind=Kind.CHOICE if choices else _kind(part),
        title=_text(part, "title"),
        description=_text(part, "description"),
        is_required=is_required,
        has_default="default" in part,
        default=part.get("default"),
        choices=choices,
        format=_text(part, "format"),
        bounds=tuple((keyword, part[keyword]) for keyword in _BOUNDS if keyword in part),
    )


def _meant(root: JsonObject, schema: JsonValue) -> JsonObject:
    """A property's schema, with what it refers to and its own keys over that."""
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    target = resolve(root, reference) if isinstance(reference, str) else None
    return {**target, **schema} if isinstance(target, dict) else schema


def _choices(part: JsonObject) -> Sequence[JsonValue]:
    if "const" in part:
        return [part["const"]]
    return cast("Sequence[JsonValue]", part.get("enum", ()))


def _kind(part: JsonObject) -> Kind:
    named = part.get("type")
    # Null is said by leaving it out.
    kinds = [kind for kind in named if kind != "null"] if isinstance(named, list) else [named]
    kind = _KINDS.get(str(kinds[0]), Kind.JSON) if len(kinds) == 1 else Kind.JSON
    return Kind.DATE if kind is Kind.TEXT and part.get("format") == "date" else kind


def _text(part: JsonObject, key: str) -> str:
    value = part.get(key)
    return value if isinstance(value, str) else ""
