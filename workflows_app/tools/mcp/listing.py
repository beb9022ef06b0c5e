"""The tools that a server says it has."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue

# What a server may say about the effect of a tool. Nothing is decided by it.
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTool:
    """A tool as its server describes it. `hints` are what the server says of its effect, which nobody believes."""

    name: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None
    hints: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.input_schema)


def digest_of(schema: JsonObject) -> str:
    """The same for schemas that differ in the order of their keys only."""
    return hashlib.sha256(jsontext.dumps(_sorted(schema)).encode()).hexdigest()


def _sorted(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value)}
        case list():
            return [_sorted(item) for item in value]
        case _:
            return value


def tool_of(told: JsonValue) -> ServerTool | None:
    """None for what describes no tool."""
    match told:
        case {"name": str() as name, "inputSchema": dict() as schema} if name:
            pass
        case _:
            return None
    annotations = told.get("annotations")
    said: Mapping[str, JsonValue] = annotations if isinstance(annotations, dict) else {}
    output_schema, description = told.get("outputSchema"), told.get("description") or told.get("title")
    return ServerTool(
        name=name,
        description=description if isinstance(description, str) else "",
        input_schema=schema,
        output_schema=output_schema if isinstance(output_schema, dict) else None,
        hints=tuple(f"{key}: {str(said[key]).lower()}" for key in _HINTS if isinstance(said.get(key), bool)),
    )
