"""The tools of an agent: those that its node lists, called as its model wishes, each call on record."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from workflows_app.agents import wire
from workflows_app.agents.calls import Begun, CallKind, CallOutcome, Calls, Closing, Opening
from workflows_app.agents.questions import OfferedTool, Wish
from workflows_app.dag import jsontext
from workflows_app.dag.configured import inputs_of
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.plan import NodePlan, Offered, names_of
from workflows_app.dag.types import Effect, JsonObject, JsonValue, NodeType
from workflows_app.dag.wording import listed, quoted
from workflows_app.processors.base import NodeCall
from workflows_app.processors.configured import arguments
from workflows_app.processors.tool import checked
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeConfigurationError, NodeError, NodeInputError, NodeOutputError
from workflows_app.tools.masking import Mask
from workflows_app.tools.registry import Registry, Tool, registry

# Of what one call gives: all of it goes to the model, and into every request after it.
RESULT_BYTES = 256 * 1024
# Characters of an error of foreign code, and of a name that is no tool's.
_TOLD = 2000
_NAME = 100


class OfferedTools:
    """The tools of one attempt. What a model says is data: nothing in it is rendered."""

    def __init__(self, call: NodeCall, calls: Calls, tools: Registry = registry) -> None:
        self._call = call
        self._calls = calls
        self._tools = tools
        offered = {tool.name: tool for tool in call.node.offered}
        self._by_name = {name: offered[tool] for name, tool in wire.names_of(offered).items()}
        secrets = cast("dict[str, str]", call.scope.lookup("secrets")) if call.node.secrets else {}
        self._mask: Mask = Mask.of(secrets.values())
        self._repeated = Counter[str]()
        # Whether a tool was called that must not be called twice.
        self.had_effect: bool = False

    async def call(self, wish: Wish) -> JsonValue:
        """What a tool gives, or `{error: {code, message}}`, without secrets.

        Raises what a tool raises whose outcome nobody knows, and `NodeConfigurationError`.
        """
        offered = self._by_name.get(wish.name)
        if offered is None:
            return await self._refuse(wish)
        opening = Opening(
            kind=CallKind.TOOL, name=offered.name, effect=offered.effect, arguments=self._mask.value(wish.arguments)
        )
        if not wish.problem:
            await self._calls.turn(names_of(offered.name, offered.configured))
        begun, closing = await self._calls.begin(opening), Closing(outcome=CallOutcome.ABANDONED)
        try:
            result = self._mask.value(await self._result(offered, wish, begun))
            closing = Closing(outcome=CallOutcome.SUCCEEDED, result=result)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Tools raise what they like; all of it is shown.
            shown = _described(error, self._mask)
            unknown = isinstance(error, NodeError) and error.outcome_unknown and offered.effect is not Effect.NONE
            closing = Closing(outcome=CallOutcome.ABANDONED if unknown else CallOutcome.FAILED, error=shown)
            if unknown or isinstance(error, NodeConfigurationError):
                raise
            result = _for_model(shown)
        finally:
            self._calls.end(begun.number, closing)
        return result

    async def _refuse(self, wish: Wish) -> JsonValue:
        name = wish.name.encode("utf-8", "replace").decode()[:_NAME]
        sentence = "This node lists no tools." if not self._by_name else f"There is {listed(self._by_name, 'and')}."
        error: JsonObject = {
            "code": "not_offered",
            "message": f"There is no tool {quoted(name)} here. {sentence}",
            "type": "ToolNotOffered",
        }
        opening = Opening(kind=CallKind.TOOL, name=name, effect=Effect.NONE, arguments=self._mask.value(wish.arguments))
        begun = await self._calls.begin(opening)
        self._calls.end(begun.number, Closing(outcome=CallOutcome.REFUSED, error=error))
        return _for_model(error)

    async def _result(self, offered: Offered, wish: Wish, begun: Begun) -> JsonValue:
        """Raises whatever the tool raises."""
        if wish.problem:
            raise NodeInputError(wish.problem)
        if not isinstance(wish.arguments, dict):
            raise NodeInputError("The arguments of a tool are an object.")
        node, tool = _node_of(offered, self._call.node), self._tools.get(_kind_of(offered))
        given = tool.bind(self._given(offered, tool, wish.arguments))
        self.had_effect = self.had_effect or not offered.effect.is_repeatable
        return _fitting(await tool.run(given, self._context(offered, wish.arguments, begun)), node)

    def _given(self, offered: Offered, tool: Tool, wished: JsonObject) -> JsonObject:
        if offered.configured is None:
            return wished
        return arguments(offered.configured, tool.info.input_schema, wished, strict=True, scope=self._call.scope)

    def _context(self, offered: Offered, wished: JsonObject, begun: Begun) -> ToolContext:
        """A receiver knows a repetition of the same call in another attempt by its key."""
        attempt = self._call.attempt
        digest = hashlib.sha256(jsontext.dumps(_sorted(wished)).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        said = f"{offered.name}:{digest}"
        self._repeated[said] += 1
        return replace(
            attempt,
            attempt_id=f"{attempt.attempt_id}:{begun.number}",
            idempotency_key=f"{attempt.idempotency_key}:{said}:{self._repeated[said]}",
        )


def check(node: NodePlan, tools: Registry = registry) -> None:
    """See that a node's tools are as its snapshot has them. Raises `NodeConfigurationError`."""
    if node.tools != tuple(tool.name for tool in node.offered):
        raise NodeConfigurationError(
            f"Node '{node.key}' was saved before models could call tools: start the workflow anew."
        )
    for offered in node.offered:
        tool = tools.get(_kind_of(offered))
        possible = {tool.effect_of(None)} if offered.configured is None else tool.possible_effects
        if offered.effect not in possible:
            raise NodeConfigurationError(
                f"The effect of the tool {quoted(offered.name)} is no longer {offered.effect}, which it was when "
                + f"node '{node.key}' was checked: start the workflow anew."
            )
        if not offered.effect.is_repeatable and not node.allow_effects:
            raise NodeConfigurationError(
                f"The effect of the tool {quoted(offered.name)} is {offered.effect}, and node '{node.key}' does not "
                + "say 'allow_effects: true'."
            )


def described(node: NodePlan, tools: Registry = registry) -> Sequence[OfferedTool]:
    """The tools of a node as its model is told of them."""
    offered = {tool.name: tool for tool in node.offered}
    return [_described_tool(name, offered[tool], tools) for name, tool in wire.names_of(offered).items()]


def _described_tool(name: str, offered: Offered, tools: Registry) -> OfferedTool:
    tool, own = tools.get(_kind_of(offered)), offered.configured
    if own is None:
        return OfferedTool(name=name, description=tool.description, input_schema=tool.info.input_schema)
    return OfferedTool(
        name=name,
        description=offered.description or tool.description,
        input_schema=inputs_of(own, tool.info.input_schema),
    )


def _node_of(offered: Offered, agent: NodePlan) -> NodePlan:
    """A node that calls this tool."""
    return NodePlan(key=agent.key, type=NodeType.TOOL, tool=offered.name, configured=offered.configured)


def _kind_of(offered: Offered) -> str:
    return offered.name if offered.configured is None else offered.configured.kind


def _fitting(result: object, node: NodePlan) -> JsonValue:
    """Raises `NodeOutputError`."""
    if jsontext.is_longer(result, RESULT_BYTES):
        raise _too_long(node)
    try:
        value = jsontext.clean(checked(result, node))
    except jsontext.JsonError as error:
        raise NodeOutputError(f"The result of the tool '{node.tool}' is not JSON: {error}") from error
    if len(jsontext.dumps(value).encode("utf-8", "surrogatepass")) > RESULT_BYTES:
        raise _too_long(node)
    return value


def _too_long(node: NodePlan) -> NodeOutputError:
    return NodeOutputError(
        f"The result of the tool '{node.tool}' has more than {RESULT_BYTES} bytes, the limit for one: ask for less."
    )


def _described(error: Exception, mask: Mask) -> JsonObject:
    """An error as it goes on record."""
    kind, code = type(error).__name__, "node_error"
    if isinstance(error, NodeError):
        code = error.code
    elif isinstance(error, ExpressionError):
        code = "expression_error"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error's text is foreign code as well
        text = ""
    # Masked before it is cut: a secret that is cut in two would be half on record.
    shown = mask.text(text or f"{kind} without a message.").encode("utf-8", "replace").decode()
    return {"code": code, "message": shown[:_TOLD], "type": kind}


def _for_model(error: JsonObject) -> JsonValue:
    return {"error": {"code": error["code"], "message": error["message"]}}


def _sorted(value: JsonValue) -> JsonValue:
    match value:
        case dict():
            return {key: _sorted(value[key]) for key in sorted(value)}
        case list():
            return [_sorted(item) for item in value]
        case _:
            return value
