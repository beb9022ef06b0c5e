"""Warns where what a node hands to a tool, or reads of another node, cannot fit their declared schemas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from workflows_app.dag.agents import AgentInfo
from workflows_app.dag.findings import Findings
from workflows_app.dag.outline import NodeOutline, Outline
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.references import Use
from workflows_app.dag.rendering import OPENING
from workflows_app.dag.schema_reading import ALL_KINDS, SchemaReader, kind_of, spoken
from workflows_app.dag.templates import Templates
from workflows_app.dag.types import JsonObject, JsonValue, NodeType, ToolInfo
from workflows_app.dag.wording import Path, listed, quoted, shown

_TEXT = frozenset({"text"})


class Schemas(NamedTuple):
    """Who says what nodes take and give: the tools and the agents that they name."""

    tools: Mapping[str, ToolInfo]
    agents: Mapping[str, AgentInfo]


def check_compatibility(
    outline: Outline, schemas: Schemas, templates: Templates, uses: list[Use], findings: Findings
) -> None:
    """Report certain mismatches only: whatever a schema leaves open is taken to fit."""
    outputs = _Outputs(outline, schemas)
    for use in uses:
        if use.reference.path[0] == "nodes" and not use.reference.guarded:
            _check_fields(use, outputs, findings)
    inputs = _Inputs(schemas.tools, outputs, templates, findings)
    for node in outline.nodes:
        if node.type is NodeType.TOOL:
            inputs.check(node)


def _check_fields(use: Use, outputs: "_Outputs", findings: Findings) -> None:
    reader = outputs.of(use.key)
    schema = reader.root
    for name in use.reference.path[2:]:
        if reader.lacks(schema, name):
            known = reader.properties(schema)
            hint = findings.spelling.hint(name, known) or (
                f" It has {listed(map(quoted, known), last='and')}." if known else " It is always empty."
            )
            message = (
                f"{use.spelled} cannot be there: the output of {quoted(use.key)} has no {quoted(name)} there.{hint}"
            )
            findings.add(ProblemCode.SCHEMA_MISMATCH, message, use.path)
            return
        schema = reader.at(schema, (name,))


class _Outputs:
    """The schemas of the outputs of nodes, as far as they are known before a run."""

    __slots__ = ("_outline", "_readers", "_schemas")

    def __init__(self, outline: Outline, schemas: Schemas) -> None:
        self._outline = outline
        self._schemas = schemas
        self._readers: dict[str, SchemaReader] = {}

    def of(self, key: str) -> SchemaReader:
        if (reader := self._readers.get(key)) is None:
            reader = self._readers[key] = SchemaReader(self._schema(self._outline.by_key[key]))
        return reader

    def knows(self, key: str) -> bool:
        return key in self._outline.by_key

    def _schema(self, node: NodeOutline) -> JsonValue:
        own = node.body.get("output_schema")
        if node.type is NodeType.TRIGGER:
            return self._outline.document.get("input_schema")
        if node.type is NodeType.ADAPTER:
            return _schema_of(node.body.get("output"))
        if node.type is NodeType.CONDITION:
            inputs = node.body.get("inputs")
            return _schema_of(inputs) if isinstance(inputs, dict) else True
        if isinstance(own, dict) and node.type in (NodeType.TOOL, NodeType.AGENT):
            return own
        name = node.body.get("agent" if node.type is NodeType.AGENT else "tool")
        if not isinstance(name, str) or node.type not in (NodeType.TOOL, NodeType.AGENT):
            return True
        if node.type is NodeType.AGENT:
            agent = self._schemas.agents.get(name)
            return agent.gives.get("output_schema", True) if agent else True
        tool = self._schemas.tools.get(name)
        return tool.output_schema if tool else True


def _schema_of(template: JsonValue) -> JsonObject:
    """The schema of what a template gives: its keys are fixed, its texts may be anything."""
    if isinstance(template, str):
        return {} if OPENING in template else {"type": "string"}
    if isinstance(template, dict):
        properties: JsonObject = {key: _schema_of(value) for key, value in template.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    return {} if isinstance(template, list) else {"const": template}


@dataclass(slots=True, kw_only=True)
class _Parameters:
    """What a tool takes, read from its schema once."""

    required: list[str]
    known: JsonObject
    kinds: dict[str, frozenset[str]]
    is_closed: bool


class _Inputs:
    """Checks the stated inputs of tool nodes against the tools' parameters."""

    __slots__ = ("_catalogue", "_findings", "_outputs", "_parameters", "_templates")

    def __init__(
        self, catalogue: Mapping[str, ToolInfo], outputs: _Outputs, templates: Templates, findings: Findings
    ) -> None:
        self._catalogue = catalogue
        self._outputs = outputs
        self._templates = templates
        self._findings = findings
        self._parameters: dict[str, _Parameters] = {}

    def check(self, node: NodeOutline) -> None:
        inputs, name = node.body.get("inputs"), node.body.get("tool")
        tool = self._catalogue.get(name) if isinstance(name, str) else None
        if tool is None or not isinstance(inputs, dict):
            return
        parameters = self._parameters_of(tool)
        path = (*node.path, "inputs")
        for required in parameters.required:
            if required not in inputs:
                message = (
                    f"The tool {quoted(tool.name)} needs {quoted(required)}, which 'inputs' does not give: add it."
                )
                self._report(message, (*path, required))
        for key, value in inputs.items():
            if key in parameters.known:
                self._check_kind(tool, key, value, parameters.kinds[key], (*path, key))
            elif parameters.is_closed:
                hint = self._findings.spelling.hint(key, parameters.known) or " Remove it."
                self._report(f"The tool {quoted(tool.name)} has no parameter {quoted(key)}.{hint}", (*path, key))

    def _check_kind(self, tool: ToolInfo, key: str, value: JsonValue, accepted: frozenset[str], path: Path) -> None:
        given, what = self._given(value)
        if given and not given & accepted:
            message = f"{quoted(key)} of the tool {quoted(tool.name)} must be {spoken(accepted)}, not {what}."
            self._report(message, path)

    def _given(self, value: JsonValue) -> tuple[frozenset[str], str]:
        """The kinds that a value of `inputs` may be of when the node runs, and how to call it."""
        if not isinstance(value, str) or OPENING not in value:
            return frozenset({kind_of(value)}), shown(value)
        parsed = self._templates.text(value)
        if parsed.errors:
            return ALL_KINDS, ""
        if not parsed.is_whole:
            return _TEXT, "text with expressions in it"
        path = parsed.plain
        if len(path) < 2 or path[0] != "nodes" or not self._outputs.knows(path[1]):
            return ALL_KINDS, ""
        reader = self._outputs.of(path[1])
        kinds = reader.kinds(reader.at(reader.root, path[2:]))
        return kinds, f"{quoted('.'.join(path))}, which is {spoken(kinds)}"

    def _parameters_of(self, tool: ToolInfo) -> _Parameters:
        if (parameters := self._parameters.get(tool.name)) is None:
            reader = SchemaReader(tool.input_schema)
            known = reader.properties(reader.root)
            parameters = self._parameters[tool.name] = _Parameters(
                required=reader.required(reader.root),
                known=known,
                kinds={name: reader.kinds(schema) for name, schema in known.items()},
                # A key of no property at all, so that the answer is about keys in general.
                is_closed=reader.lacks(reader.root, ""),
            )
        return parameters

    def _report(self, message: str, path: Path) -> None:
        self._findings.add(ProblemCode.SCHEMA_MISMATCH, message, path)
