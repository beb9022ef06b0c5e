"""Agent nodes: ask a model, for text or for a value that fits the node's `output_schema`, and call tools for it."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import cast

from workflows_app.agents import models, providers
from workflows_app.agents.conversation import Conversation
from workflows_app.agents.hiding import HidingCalls
from workflows_app.agents.limits import limits_of
from workflows_app.agents.prices import FREE, price_of
from workflows_app.agents.providers import DEFAULT, Kind, Provider
from workflows_app.agents.questions import Question
from workflows_app.agents.reservation import Terms
from workflows_app.agents.scripted import ScriptedTalk
from workflows_app.dag import jsontext, rendering
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import listed, quoted
from workflows_app.processors import inputs, offered
from workflows_app.processors.base import NodeCall, Prepared
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.processors.offered import OfferedTools
from workflows_app.processors.tool import checked
from workflows_app.tools.errors import NodeError, NodeExecutionError
from workflows_app.tools.masking import Mask


class AgentProcessor:
    """Gives `{text}`, or the value that fits `output_schema`. On record as its input is what the model is asked.

    Its model may call the tools that the node lists. What was asked and called is on record, also where it fails.
    """

    def pre_process(self, call: NodeCall) -> Prepared:
        """Raises `NodeConfigurationError`, `NodeInputError`, `ExpressionError`."""
        node = call.node
        offered.check(node)
        system = _text(rendering.render(node.system, call.scope))
        given: JsonValue = None
        if node.inputs is not None:
            given = inputs.rendered(call)
        elif node.prompt is None:
            given = call.merged_input()
        parts = [] if node.prompt is None else [_text(rendering.render(node.prompt, call.scope))]
        # What the node states besides its prompt is there to be read.
        parts += [] if given is None else [jsontext.dumps(given)]
        prompt = "\n\n".join(parts)
        question = Question(
            system=system,
            prompt=prompt,
            schema=cast("JsonObject | None", node.output_schema),
            tools=offered.described(node),
        )
        return Prepared(input={"system": system, "prompt": prompt, "input": given}, arguments=question)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises `NodeConfigurationError`, `NodeOutputError`, the errors of `agents.errors`."""
        provider = _provider(call)
        terms, key = _terms(call, provider), "" if provider.kind is Kind.SCRIPTED else _key(provider, call)
        calls = HidingCalls(call.calls, key) if key else call.calls
        tools, question = OfferedTools(call, calls), cast(Question, prepared.arguments)
        about = partial(Conversation, question=question, terms=terms, calls=calls, tools=tools)
        mask = Mask.of([key] if key else [])
        try:
            with ExitStack() as logging:
                if key:
                    from workflows_app.tools.log_masking import in_use  # noqa: PLC0415 - only who has a key needs it

                    _ = logging.enter_context(in_use(mask))
                value = await _value(call, provider, key, question, about)
        except NodeError as error:
            # What a provider says may have the key that it was sent.
            error.args = tuple(mask.text(part) if isinstance(part, str) else part for part in error.args)
            if tools.had_effect:
                _mark(error)
            raise
        except Exception as error:
            if not tools.had_effect:
                raise
            failed = NodeExecutionError(mask.text(f"{type(error).__name__}: {error}"))
            _mark(failed)
            raise failed from None
        value = mask.value(jsontext.clean(value))
        return value if call.node.output_schema is not None else {"text": value}

    def post_process(self, call: NodeCall, result: object) -> object:
        """Raises `NodeOutputError`."""
        return checked(result, call.node)


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value)


def _provider(call: NodeCall) -> Provider:
    name, known = call.node.provider, providers.current()
    if (provider := known.get(name)) is not None:
        return provider
    raise NodeConfigurationError(
        f"There is no provider {quoted(name)} here: the settings know {listed(map(quoted, known), 'and')}. "
        + "Name one of these, or add it to AGENT_PROVIDERS."
    )


def _model(provider: Provider, call: NodeCall) -> str:
    if call.node.model != DEFAULT:
        return call.node.model
    if provider.model:
        return provider.model
    raise NodeConfigurationError(
        f"Node '{call.node.key}' wants the default model of the provider {quoted(provider.name)}, which has none: "
        + "name a model in the node, or one in AGENT_PROVIDERS."
    )


def _key(provider: Provider, call: NodeCall) -> str:
    """What pays for the answer; empty where the provider wants none. Raises `NodeConfigurationError`."""
    if provider.api_key_secret:
        if provider.api_key_secret not in call.node.secrets:
            raise NodeConfigurationError(
                f"Node '{call.node.key}' was saved before its provider took the secret {provider.api_key_secret}: "
                + "start the workflow anew."
            )
        return cast("dict[str, str]", call.scope.lookup("secrets"))[provider.api_key_secret]
    if not provider.api_key_env:
        return ""
    if key := os.environ.get(provider.api_key_env, "").strip():
        return key
    raise NodeConfigurationError(
        f"The provider {quoted(provider.name)} takes its key from {provider.api_key_env}, which is not in the "
        + "environment of this process: set it and start the process again."
    )


def _terms(call: NodeCall, provider: Provider) -> Terms:
    """Raises `NodeConfigurationError`."""
    model = _model(provider, call)
    price = FREE if provider.kind is Kind.SCRIPTED else price_of(provider.name, model)
    terms = Terms(provider=provider.name, model=model, limits=limits_of(call.node.limits), price=price)
    terms.check()
    return terms


async def _value(
    call: NodeCall, provider: Provider, key: str, question: Question, about: Callable[..., Conversation]
) -> JsonValue:
    if provider.kind is Kind.SCRIPTED:
        call.attempt.log("The model is scripted: no model is asked.", "warning", scripted=True)
        return await about(talk=ScriptedTalk(question)).converse()
    await call.attempt.call_sync(models.load, provider.kind)
    async with models.opened(provider, _model(provider, call), key, question) as talk:
        return await about(talk=talk).converse()


def _mark(error: NodeError) -> None:
    """Say of an error that its conversation must not be had again from the beginning: tools have had their effect."""
    error.outcome_unknown = True
    error.args = (f"{error} By then its tools had changed something: see the calls of the node.", *error.args[1:])
