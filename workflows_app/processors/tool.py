"""Tool nodes: call a registered function with the node's inputs and check what it returns."""

from typing import cast

from workflows_app.dag import jsontext, schema
from workflows_app.dag.types import JsonObject
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall, Prepared
from workflows_app.processors.errors import NodeInputError, NodeOutputError
from workflows_app.tools.reconciling import Done, InterruptedAttempt, Verdict
from workflows_app.tools.registry import Arguments, Registry, registry

# So many sentences tell what is wrong with an output.
_TOLD = 10


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
        tool = self._tools.get(call.node.tool)
        try:
            return Prepared(input=given, arguments=tool.bind(given, strict=call.node.inputs is not None))
        except NodeInputError as error:
            return Prepared(input=given, problem=error)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises whatever the tool raises."""
        return await self._tools.get(call.node.tool).run(cast(Arguments, prepared.arguments), call.attempt)

    def post_process(self, call: NodeCall, result: object) -> object:
        """Raises `NodeOutputError`."""
        return _checked(result, call.node.output_schema, call.node.key)

    async def reconcile(self, call: NodeCall, prepared: Prepared) -> Verdict:
        """Raises `NodeOutputError`, and whatever the tool's `reconcile` raises."""
        attempt = call.attempt
        interrupted = InterruptedAttempt(
            execution_id=attempt.execution_id,
            node=attempt.node,
            attempt_id=attempt.attempt_id,
            idempotency_key=attempt.idempotency_key,
            number=attempt.number,
            inputs=cast(JsonObject, prepared.input),
        )
        verdict = await self._tools.get(call.node.tool).ask(interrupted, attempt)
        if isinstance(verdict, Done):
            return Done(_checked(verdict.output, call.node.output_schema, call.node.key))
        return verdict


def _checked(output: object, output_schema: JsonObject | None, node: str) -> object:
    if output_schema is None:
        return output
    try:
        value = jsontext.clean(output)
    except jsontext.JsonError as error:
        raise NodeOutputError.not_json(node, error) from error
    found = schema.violations(output_schema, value)
    if found:
        told = " ".join(f"At {_place(path)}: {sentence}" for path, sentence in found[:_TOLD])
        more = f" There are {len(found) - _TOLD} more errors." if len(found) > _TOLD else ""
        raise NodeOutputError(f"The output of node '{node}' does not fit its output_schema. {told}{more}")
    return value


def _place(path: str) -> str:
    return f"output.{path}" if path else "output"
