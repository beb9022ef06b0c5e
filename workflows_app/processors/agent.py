"""Agent nodes: ask a model, for text or for a value that fits the node's `output_schema`."""

import os
from contextlib import ExitStack
from typing import cast

from workflows_app.agents import models, providers
from workflows_app.agents.conversation import converse
from workflows_app.agents.limits import limits_of
from workflows_app.agents.providers import DEFAULT, Kind, Provider
from workflows_app.agents.questions import Question, Usage
from workflows_app.agents.scripted import ScriptedTalk
from workflows_app.dag import jsontext, rendering
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import listed, quoted
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall, Prepared
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.processors.tool import checked
from workflows_app.tools.errors import NodeError
from workflows_app.tools.masking import Mask


class AgentProcessor:
    """Gives `{text}`, or the value that fits `output_schema`. On record as its input is what the model is asked.

    What was used goes to the journal, also where the node fails.
    """

    def pre_process(self, call: NodeCall) -> Prepared:
        """Raises `NodeConfigurationError`, `NodeInputError`, `ExpressionError`."""
        node = call.node
        if node.agent:
            raise NodeConfigurationError(
                f"Node '{node.key}' names the agent {quoted(node.agent)}, and agents cannot be registered yet: "
                + "state its 'provider' and 'model' in the node."
            )
        if node.tools:
            raise NodeConfigurationError(
                f"Node '{node.key}' gives its model tools, which is not possible yet: remove 'tools', and call them in "
                + "nodes of their own."
            )
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
        question = Question(system=system, prompt=prompt, schema=cast("JsonObject | None", node.output_schema))
        return Prepared(input={"system": system, "prompt": prompt, "input": given}, arguments=question)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises `NodeConfigurationError`, `NodeOutputError`, the errors of `agents.errors`."""
        provider = _provider(call)
        key = "" if provider.kind is Kind.SCRIPTED else _key(provider, call)
        mask = Mask.of([key] if key else [])
        try:
            with ExitStack() as logging:
                if key:
                    from workflows_app.tools.log_masking import in_use  # noqa: PLC0415 - only who has a key needs it

                    _ = logging.enter_context(in_use(mask))
                value = await _asked(call, prepared, provider, key)
        except NodeError as error:
            # What a provider says may have the key that it was sent.
            error.args = tuple(mask.text(part) if isinstance(part, str) else part for part in error.args)
            raise
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


async def _asked(call: NodeCall, prepared: Prepared, provider: Provider, key: str) -> JsonValue:
    question, usage = cast(Question, prepared.arguments), Usage()
    model, limits = _model(provider, call), limits_of(call.node.limits)
    if provider.kind is Kind.SCRIPTED:
        call.attempt.log("The model is scripted: no model is asked.", "warning", scripted=True)
        return await converse(ScriptedTalk(question), question, limits, usage)
    try:
        await call.attempt.call_sync(models.load, provider.kind)
        async with models.opened(provider, model, key, question) as talk:
            return await converse(talk, question, limits, usage)
    finally:
        if usage.requests:
            call.attempt.log(
                f"Asked {model} of {provider.name}. Requests: {usage.requests}, tokens: {usage.tokens}.",
                provider=provider.name,
                model=model,
                answered_by=[Mask.of([key]).text(name) if key else name for name in usage.models],
                usage={
                    "requests": usage.requests,
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens,
                },
            )
