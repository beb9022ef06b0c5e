"""Tools that are made on a site: a kind with a part of its arguments. What one takes, and what may be wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from workflows_app.dag import jsontext
from workflows_app.dag.expressions import compile_expression
from workflows_app.dag.plan import Configured
from workflows_app.dag.rendering import OPENING, FoundExpression, find_expressions
from workflows_app.dag.schema import violations
from workflows_app.dag.schema_reading import SchemaReader
from workflows_app.dag.schema_syntax import defect
from workflows_app.dag.templates import Templates, texts_of
from workflows_app.dag.types import Effect, EffectRule, JsonObject, JsonValue, ToolInfo
from workflows_app.dag.wording import Spelling, dotted, listed, quoted

# What a configuration sees: what its node was given, and secrets. Nothing else of a run, so that it means the same
# in every workflow.
ROOTS = ("input", "secrets")
# All JSON of one tool together: it stands in the snapshot of every workflow that uses it.
MOST_BYTES = 64 * 1024
# The length of the path `secrets.NAME`.
_NAMED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """`field` is that of the tool, dotted: `configuration.headers.Accept`."""

    field: str
    message: str


def info_of(tool: Configured, kind: ToolInfo, *, effect: Effect | None, is_active: bool) -> ToolInfo:
    """What definitions need to know of a tool; without an effect of its own its nodes state what its kind allows."""
    accepted = inputs_of(tool, kind.input_schema)
    of_kind, rule = _effect(tool, kind, accepted)
    return ToolInfo(
        name=tool.name,
        effect=effect or of_kind,
        effects=frozenset() if effect else kind.effects,
        effect_rule=None if effect else rule,
        input_schema=accepted,
        output_schema=kind.output_schema if tool.output_schema is None else tool.output_schema,
        active=is_active,
    )


def _effect(tool: Configured, kind: ToolInfo, accepted: JsonObject) -> tuple[Effect, EffectRule | None]:
    """The effect that a call has by its kind, and the rule by which it depends on what a node gives."""
    rule, reader = kind.effect_rule, SchemaReader(accepted)
    if rule is None:
        return kind.effect, None
    if rule.name in tool.configuration:
        return rule.effect_of(tool.configuration, otherwise=kind.effect), None
    if reader.lacks(accepted, rule.name):
        return rule.effect_of({}, otherwise=kind.effect), None
    if rule.name in defaults_of(tool, accepted):
        # What a node leaves out is not absent then.
        return kind.effect, None
    return kind.effect, rule


def inputs_of(tool: Configured, kind: JsonObject) -> JsonObject:
    """The schema of what a node gives to the tool.

    Without one of its own: what the configuration leaves of its kind's parameters, and what it reads of its input.
    """
    if tool.input_schema is not None:
        return tool.input_schema
    reader = SchemaReader(kind)
    offered = reader.properties(reader.root)
    read = _read(tool.configuration)
    properties: JsonObject = {name: part for name, part in offered.items() if name not in tool.configuration}
    properties |= {name: offered.get(read[name].passed_to, {}) for name in read if name}
    required = [name for name in reader.required(reader.root) if name not in tool.configuration]
    required += [
        name
        for name, reading in read.items()
        if reading.is_needed and name not in required and "default" not in cast(JsonObject, properties[name])
    ]
    schema: JsonObject = {"type": "object", "properties": properties, "additionalProperties": True}
    # Read as a whole, the input may have any key.
    if "" not in read:
        schema["additionalProperties"] = kind.get("additionalProperties", True)
    if required:
        schema["required"] = cast(JsonValue, required)
    if "$defs" in kind:
        schema["$defs"] = kind["$defs"]
    return schema


def defaults_of(tool: Configured, schema: JsonObject) -> JsonObject:
    """What the configuration sees where the node gives nothing: the defaults that the schema of the inputs states."""
    read = _read(tool.configuration)
    properties = SchemaReader(schema).properties(schema)
    return {
        name: part["default"]
        for name, part in properties.items()
        if isinstance(part, dict) and "default" in part and (tool.input_schema is not None or name in read)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """How a configuration reads one name of its input; `passed_to` is the parameter that gets it as it is."""

    is_needed: bool
    passed_to: str


def _read(configuration: JsonObject) -> Mapping[str, _Reading]:
    """The names that are read, and the empty one where the input is read as a whole."""
    templates, found = Templates(), dict[str, _Reading]()
    for path, text in texts_of(configuration, ()):
        parsed = templates.text(text)
        for reference in parsed.references:
            if reference.path[0] != "input":
                continue
            name = reference.path[1] if len(reference.path) > 1 else ""
            is_passed = len(path) == 1 and parsed.plain == ("input", name)
            before = found.get(name)
            found[name] = _Reading(
                is_needed=bool(name) and (not reference.guarded or (before is not None and before.is_needed)),
                passed_to=str(path[0]) if is_passed else before.passed_to if before else "",
            )
    return found


def mistakes(tool: Configured, kind: ToolInfo, effect: Effect | None) -> list[Mistake]:
    """Everything that is wrong with a tool of this kind."""
    found = [*_of_schemas(tool)]
    parts = (tool.configuration, tool.input_schema, tool.output_schema)
    if sum(len(jsontext.dumps(part).encode()) for part in parts) > MOST_BYTES:
        message = f"Configuration and schemas have more than {MOST_BYTES} bytes together: make them shorter."
        return [*found, Mistake(field="configuration", message=message)]
    found += _of_expressions(tool.configuration)
    if not found:
        found += [*_of_effect(tool, kind, effect), *_of_arguments(tool, kind), *_of_inputs(tool, kind)]
    return found


def _of_schemas(tool: Configured) -> Iterator[Mistake]:
    for field, schema in (("input_schema", tool.input_schema), ("output_schema", tool.output_schema)):
        if schema is not None and (phrase := defect(schema)) is not None:
            yield Mistake(field=field, message=f"This is no valid JSON Schema (2020-12): {phrase}. Correct it.")
    if tool.input_schema is not None and "mapping" not in SchemaReader(tool.input_schema).kinds(tool.input_schema):
        yield Mistake(field="input_schema", message="The inputs of a node are an object: let the schema accept one.")


def _of_effect(tool: Configured, kind: ToolInfo, effect: Effect | None) -> Iterator[Mistake]:
    possible = {_effect(tool, kind, inputs_of(tool, kind.input_schema))[0], kind.effect, *kind.effects}
    if effect is not None and effect not in possible:
        allowed = listed(sorted(map(str, possible)))
        yield Mistake(
            field="effect", message=f"The effect of the tool {quoted(kind.name)} can be {allowed}, not {effect}."
        )


def _of_expressions(configuration: JsonObject) -> Iterator[Mistake]:
    templates = Templates()
    for path, text in texts_of(configuration, ("configuration",)):
        parsed = templates.text(text)
        for sentence in parsed.errors:
            yield Mistake(field=dotted(path), message=sentence)
        if parsed.errors:
            continue
        for root in {reference.path[0]: None for reference in parsed.references if reference.path[0] not in ROOTS}:
            message = (
                f"There is no {quoted(root)} here: a configuration reads what its node is given, as in "
                "${{ input.symbol }}, and ${{ secrets.NAME }}, and nothing else."
            )
            yield Mistake(field=dotted(path), message=message)
        if not all(map(_uses_secrets_as_they_are, find_expressions(text))):
            # What is computed of a secret would not be hidden where it comes back.
            message = "A secret is used as it is and by its name, as in ${{ secrets.NAME }}; text may stand around it."
            yield Mistake(field=dotted(path), message=message)


def _uses_secrets_as_they_are(found: FoundExpression) -> bool:
    references = compile_expression(found.source).references
    secret = [reference.path for reference in references if reference.path[0] == "secrets"]
    return not secret or (len(secret[0]) == _NAMED and found.source == ".".join(secret[0]))


def _of_arguments(tool: Configured, kind: ToolInfo) -> Iterator[Mistake]:
    reader, spelling = SchemaReader(kind.input_schema), Spelling()
    known = reader.properties(reader.root)
    for name in tool.configuration:
        if reader.lacks(reader.root, name):
            hint = spelling.hint(name, known) or " Remove it."
            message = f"The tool {quoted(kind.name)} has no parameter {quoted(name)}.{hint}"
            yield Mistake(field=dotted(("configuration", name)), message=message)
    # Of what an expression gives nothing is known before it is called.
    plain: JsonObject = {
        name: value
        for name, value in tool.configuration.items()
        if not any(texts_of(value, ())) and not reader.lacks(reader.root, name)
    }
    for place, sentence in violations({**kind.input_schema, "required": []}, plain):
        yield Mistake(field=f"configuration.{place}" if place else "configuration", message=sentence)


def _of_inputs(tool: Configured, kind: ToolInfo) -> Iterator[Mistake]:
    """What the configuration reads, and its kind needs, and the tool's own schema does not let in."""
    if tool.input_schema is None:
        return
    reader = SchemaReader(tool.input_schema)
    templates = Templates()
    for path, text in texts_of(tool.configuration, ("configuration",)):
        for reference in templates.text(text).references:
            name = reference.path[1] if reference.path[0] == "input" and len(reference.path) > 1 else None
            if name is not None and reader.lacks(reader.root, name):
                message = f"The input schema has no {quoted(name)}: add it to its properties."
                yield Mistake(field=dotted(path), message=message)
    needed = SchemaReader(kind.input_schema)
    for name in needed.required(needed.root):
        if name not in tool.configuration and reader.lacks(reader.root, name):
            message = (
                f"The tool {quoted(kind.name)} needs {quoted(name)}, which neither the configuration nor the input "
                "schema gives: add it to one of them."
            )
            yield Mistake(field="configuration", message=message)


def example_of(info: ToolInfo) -> JsonObject:
    """A node that calls a tool, with a value for each input that it needs, or for the first few."""
    reader = SchemaReader(info.input_schema)
    properties = reader.properties(reader.root)
    required = reader.required(reader.root)
    chosen = required or list(properties)[:_SHOWN_INPUTS]
    node: JsonObject = {"key": info.name.rpartition(".")[2], "type": "tool", "tool": info.name}
    if chosen:
        node["inputs"] = {name: _example(reader, properties.get(name, True), name) for name in chosen}
    return node


_SHOWN_INPUTS = 3


def _example(reader: SchemaReader, schema: JsonValue, name: str) -> JsonValue:
    if isinstance(schema, dict):
        for keyword in ("default", "const"):
            if keyword in schema:
                return schema[keyword]
        for keyword in ("examples", "enum"):
            if isinstance(values := schema.get(keyword), list) and values:
                return values[0]
    kinds = reader.kinds(schema)
    if kinds == frozenset({"boolean"}):
        return True
    return f"{OPENING} input.{name} }}}}" if name.isidentifier() else None
