"""Pydantic models and JSON Schemas of signatures: numbers are exact, and true is no number.

The only module of the package that loads Pydantic; it is imported when a tool is called or described.
"""

import types
import typing
from collections.abc import Iterator, Mapping
from decimal import Decimal
from inspect import Parameter
from typing import Annotated, Any, Literal, TypeAliasType, cast, get_args, get_origin, override

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticSerializationError, core_schema

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import dotted
from workflows_app.tools.errors import ToolDefinitionError, kind_of

__all__ = ["ValidationError", "explain", "input_model", "input_schema", "output_schema", "validated"]

_BOUNDS = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum", "multiple_of": "multipleOf",
}  # fmt: skip


def input_model(tool: str, inputs: Mapping[str, tuple[Any, Any]], rest: Any) -> type[BaseModel]:
    """A model of inputs, each an annotation and a default; `rest` is that of all other inputs, None: there are none.

    Raises `ToolDefinitionError` for an annotation that Pydantic cannot check.
    """
    fields: dict[str, Any] = {}
    for number, (name, (hint, default)) in enumerate(inputs.items()):
        field = Field(... if default is Parameter.empty else default, alias=name)
        # Under names of our own, so that an input may have any name: also `json`, `copy` or `_x`.
        fields[f"input_{number}"] = (_without_bools(hint), field)
    if rest is not None:
        fields["__pydantic_extra__"] = (dict[str, _without_bools(rest)], Field(init=False))
    config = ConfigDict(extra="forbid" if rest is None else "allow", allow_inf_nan=False)
    try:
        return create_model(tool, __config__=config, **fields)
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        raise ToolDefinitionError(
            f"The inputs of tool '{tool}' cannot be checked: {str(error).splitlines()[0]} "
            + "Annotate its parameters with JSON types or Pydantic models."
        ) from error


def validated(model: type[BaseModel], given: JsonObject) -> dict[str, object]:
    """The inputs that are given, converted to what the function declares. Raises `ValidationError`."""
    instance = model.model_validate(given)
    arguments = {
        cast(str, field.alias): cast(object, getattr(instance, name))
        for name, field in model.model_fields.items()
        if name in instance.model_fields_set
    }
    return {**arguments, **(instance.model_extra or {})}


def explain(error: ValidationError, tool: str, given: JsonObject) -> list[str]:
    """One sentence for each wrong place in the inputs, which names the tool and the place, not the value."""
    reasons: dict[str, tuple[JsonValue, list[str]]] = {}
    missing: list[str] = []
    for detail in error.errors(include_url=False, include_context=False):
        place, value = _locate(detail, given)
        if detail["type"] == "missing":
            missing.append(f"Tool '{tool}' needs the input '{place}', which is missing: add it.")
        else:
            reason = detail["msg"].removeprefix("Input ").removeprefix("Value error, ")
            known = reasons.setdefault(place, (value, []))[1]
            if reason not in known:
                known.append(reason)
    return missing + [
        f"The input '{place}' of tool '{tool}' {' or '.join(said)}; it is {kind_of(value)}."
        for place, (value, said) in reasons.items()
    ]


def input_schema(model: type[BaseModel]) -> JsonObject:
    return _cleaned(model.model_json_schema(schema_generator=_ToolSchema))


def output_schema(hint: Any) -> JsonObject:
    """The schema of what a function says that it returns; `{}`, anything goes, where Pydantic knows none."""
    try:
        return _cleaned(TypeAdapter(hint).json_schema(mode="serialization", schema_generator=_ToolSchema))
    except (PydanticUserError, PydanticSchemaGenerationError):
        return {}


def _cleaned(schema: dict[str, Any]) -> JsonObject:
    # The title is the name of the model, which is ours.
    return cast(JsonObject, jsontext.clean({key: value for key, value in schema.items() if key != "title"}))


def _locate(detail: ErrorDetails, given: JsonObject) -> tuple[str, JsonValue]:
    """The place of an error and the value there. Pydantic's locations also name members of unions."""
    value: JsonValue = given
    path: list[str | int] = []
    for part in detail["loc"]:
        match value, part:
            case dict(), str() if part in value:
                value = value[part]
            case list(), int() if part < len(value):
                value = value[part]
            case _:
                continue
        path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return dotted(tuple(path)), value


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("bool_is_no_number", "Input should be a number")
    return value


_NO_BOOL = BeforeValidator(_refuse_bool)


def _without_bools(hint: Any, inside: tuple[Any, ...] = ()) -> Any:
    """The annotation, with numbers that refuse true and false; Pydantic takes these for 1 and 0."""
    if hint in (int, float, Decimal):
        return Annotated[hint, _NO_BOOL]
    if isinstance(hint, TypeAliasType):
        # A recursive type, as that of JSON values, is only looked into once.
        return hint if hint in inside else _without_bools(hint.__value__, (*inside, hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        base, *metadata = arguments
        if base in (int, float, Decimal):
            # At the end: bounds belong to the number itself, or its JSON Schema loses them.
            return Annotated[base, *metadata, _NO_BOOL]
        return Annotated[_without_bools(base, inside), *metadata]
    if not arguments or origin is Literal or isinstance(origin, TypeAliasType):
        return hint
    members = tuple(_without_bools(argument, inside) for argument in arguments)
    # An Optional[int] of old is a union of another class.
    if origin in (types.UnionType, typing.Union):  # pyright: ignore[reportDeprecated]
        union = members[0]
        for member in members[1:]:
            union |= member
        return union
    return hint.__origin__[members]


class _ToolSchema(GenerateJsonSchema):
    """JSON Schema as this project writes values: a Decimal is a number, and nothing is titled by its own name."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    @override
    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "number", **dict(_bounds(cast(dict[str, Any], cast(object, schema))))}

    @override
    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        json_schema = super().enum_schema(schema)
        values = [jsontext.clean(member) for member in schema["members"]]
        if any(isinstance(value, Decimal) for value in values):
            return {"enum": values}
        return json_schema

    @override
    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        json_schema = super().union_schema(schema)
        members = json_schema.get("anyOf", [])
        if {"type": "number"} in members and {"type": "integer"} in members:
            members.remove({"type": "integer"})
        if len(members) == 1:
            return cast(JsonSchemaValue, members[0])
        return json_schema

    @override
    def encode_default(self, dft: Any) -> Any:
        try:
            return jsontext.clean(dft)
        except jsontext.JsonError as error:
            raise PydanticSerializationError(str(error)) from error


def _bounds(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, word in _BOUNDS.items():
        if schema.get(key) is not None:
            yield word, schema[key]
