"""Tool nodes: call a registered function with the node's inputs and check what it returns."""

from typing import cast

from workflows_app.dag import jsontext, schema
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import JsonObject
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall, Prepared
from workflows_app.processors.configured import arguments, told
from workflows_app.processors.errors import NodeInputError, NodeOutputError
from workflows_app.tools.reconciling import Done, InterruptedAttempt, Verdict
from workflows_app.tools.registry import Arguments, Registry, registry


class ToolProcessor:
    """Calls the node's tool.

    With `inputs` in the document, a key that the tool does not have is an error. Without, the tool picks its
    inputs from the merged outputs, variables and execution input.
    """

    def __init__(self, tools: Registry = registry) -> None:
        self._tools = tools

    def pre_process(self, call: NodeCall) -> Prepared:
        """Raises `UnknownTool`, `ExpressionError`."""
        given = call.merged_input() if call.node.inputs is None else inputs.rendered(call)
        tool, strict = self._tools.get(kind_of(call.node)), call.node.inputs is not None
        try:
            if call.node.configured is None:
                return Prepared(input=given, arguments=tool.bind(given, strict=strict))
            return Prepared(input=given, arguments=tool.bind(self._configured(call, given)))
        except NodeInputError as error:
            return Prepared(input=given, problem=error)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises whatever the tool raises."""
        return await self._tools.get(kind_of(call.node)).run(cast(Arguments, prepared.arguments), call.attempt)

    def post_process(self, call: NodeCall, result: object) -> object:
        """Raises `NodeOutputError`."""
        return checked(result, call.node)

    async def reconcile(self, call: NodeCall, prepared: Prepared) -> Verdict:
        """Raises `NodeOutputError`, and whatever the tool's `reconcile` raises."""
        attempt, given = call.attempt, cast(JsonObject, prepared.input)
        interrupted = InterruptedAttempt(
            execution_id=attempt.execution_id,
            node=attempt.node,
            attempt_id=attempt.attempt_id,
            idempotency_key=attempt.idempotency_key,
            number=attempt.number,
            inputs=given if call.node.configured is None else self._configured(call, given),
        )
        verdict = await self._tools.get(kind_of(call.node)).ask(interrupted, attempt)
        if isinstance(verdict, Done):
            return Done(checked(verdict.output, call.node))
        return verdict

    def _configured(self, call: NodeCall, given: JsonObject) -> JsonObject:
        """What the kind of a tool of the site is called with."""
        own = call.node.configured
        assert own is not None
        kind = self._tools.get(own.kind).info.input_schema
        return arguments(own, kind, given, strict=call.node.inputs is not None, scope=call.scope)


def kind_of(node: NodePlan) -> str:
    """The registered tool that a node calls."""
    return node.tool if node.configured is None else node.configured.kind


def checked(output: object, node: NodePlan) -> object:
    """The output, as the schemas of the tool and of its node want it. Raises `NodeOutputError`."""
    own = node.configured
    if own is not None and own.output_schema is not None:
        output = _fitting(output, own.output_schema, node.key, f"the output schema of the tool '{own.name}'")
    return output if node.output_schema is None else _fitting(output, node.output_schema, node.key, "its output_schema")


def _fitting(output: object, output_schema: JsonObject, node: str, wanted: str) -> object:
    try:
        value = jsontext.clean(output)
    except jsontext.JsonError as error:
        raise NodeOutputError.not_json(node, error) from error
    if found := schema.violations(output_schema, value):
        raise NodeOutputError(f"The output of node '{node}' does not fit {wanted}. {told(found, 'output')}")
    return value
