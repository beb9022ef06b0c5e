"""What goes to a provider and comes from it, in the words that all of them take."""

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue

# The tool by which a model hands in a value: all of them know tools, few know schemas of answers.
HAND_IN = "answer"
# Where the value stands that is no object, as the arguments of a tool are.
_WRAPPED = "value"
# The longest name of a tool is 64, with a number behind it.
_NAME_LENGTH = 60
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def names_of(tools: Iterable[str]) -> Mapping[str, str]:
    """Tools by the names that their model has for them: `market_prices` for `market.prices`, each of them once."""
    found: dict[str, str] = {}
    for tool in tools:
        plain = _NOT_IN_NAMES.sub("_", tool)[:_NAME_LENGTH]
        name, number = plain, 1
        while name in found or name == HAND_IN:
            number += 1
            name = f"{plain}_{number}"
        found[name] = tool
    return found


def as_object(schema: JsonObject) -> JsonObject:
    """The schema of an object that has the value; definitions stay where references look for them."""
    if _is_object(schema):
        return schema
    below = {name: value for name, value in schema.items() if name not in ("$defs", "definitions")}
    kept = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    return {"type": "object", "properties": {_WRAPPED: below}, "required": [_WRAPPED], **kept}


def unwrapped(value: JsonValue, schema: JsonObject) -> JsonValue:
    """The value that was handed in for `as_object(schema)`."""
    if _is_object(schema) or not isinstance(value, dict) or _WRAPPED not in value:
        return value
    return value[_WRAPPED]


def _is_object(schema: JsonObject) -> bool:
    return schema.get("type") == "object"


def plain_schema(schema: JsonObject) -> dict[str, Any]:
    """The schema as the SDKs take it: they know no Decimal. Answers are checked against the schema itself."""
    return cast("dict[str, Any]", json.loads(jsontext.dumps(schema), parse_float=_shortest))


def _shortest(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and abs(number) < 2**53 else float(text)


def read(text: str) -> JsonValue:
    """The JSON in what a model wrote, also where it put a fence around it. Raises `JsonError`."""
    text = text.strip()
    if text.startswith("```"):
        text = text.partition("\n")[2].rpartition("```")[0]
    return jsontext.loads(text)
