"""Models over HTTP, by pydantic-ai: one connection per conversation, closed with it.

The library and the SDKs below it take seconds to import and look for keys, proxies and headers in the environment.
They are imported when an agent runs, in a thread; what is sent is what stands here and nothing else.
"""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from workflows_app.agents import wire
from workflows_app.agents.errors import ModelUnavailable
from workflows_app.agents.failures import told
from workflows_app.agents.providers import Kind, Provider
from workflows_app.agents.questions import Answer, Question, Wish
from workflows_app.agents.transport import Transport
from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonValue
from workflows_app.tools.errors import NodeConfigurationError

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponse, ModelResponseStreamEvent
    from pydantic_ai.models import Model, ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

_EXTRAS = {"openai": "agents", "anthropic": "anthropic"}
# What a message or a tool takes beside its own text, in tokens: names, roles and brackets of any provider.
_AROUND = 64
_importing = threading.Lock()


def load(kind: str) -> None:
    """Import what models of this kind need. Raises `NodeConfigurationError` where it is not installed.

    To be called in a thread; two of them would see each other's halves.
    """
    with _importing:
        try:
            for module in ("direct", f"models.{kind}", f"providers.{kind}"):
                _ = import_module(f"pydantic_ai.{module}")
        except ImportError:
            extra = _EXTRAS[kind]
            raise NodeConfigurationError(
                f"Models of the kind '{kind}' need packages that are not installed. "
                + f"Install the extra `{extra}`: `uv sync --extra {extra}`."
            ) from None


@asynccontextmanager
async def opened(provider: Provider, model: str, key: str, question: Question) -> "AsyncGenerator[ModelTalk]":
    """A conversation with a model, after `load`. Whatever ends it closes its connection."""
    transport = Transport(provider, key)
    async with transport.client:
        yield ModelTalk(_model(provider, model, transport), question, transport if provider.stream else None)


def _model(provider: Provider, name: str, transport: Transport) -> "Model":
    # The SDKs want a key and read one from the environment where there is none; the transport sends the right one.
    # Retries are the node's.
    client = transport.client
    settings = {"api_key": "none", "base_url": provider.base_url, "http_client": client, "max_retries": 0}
    if provider.kind is Kind.ANTHROPIC:
        from anthropic import AsyncAnthropic  # noqa: PLC0415 - as in load
        from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
        from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

        spoken_to: Any = AsyncAnthropic(**cast("Any", settings), timeout=client.timeout)
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=spoken_to))
    from openai import AsyncOpenAI  # noqa: PLC0415 - as in load
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    spoken_to = AsyncOpenAI(**cast("Any", settings), timeout=client.timeout)
    return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=spoken_to))


class ModelTalk:
    """One conversation. Numbers of a value are read from its text, without passing through a float."""

    def __init__(self, model: "Model", question: Question, stream: Transport | None) -> None:
        from pydantic_ai.messages import ModelRequest, UserPromptPart  # noqa: PLC0415 - as in load

        self._model = model
        self._question = question
        # None: the answer comes as a whole.
        self._stream = stream
        self._system = question.system or None
        asked = ModelRequest(parts=[UserPromptPart(content=question.prompt)], instructions=self._system)
        self._messages: list[ModelMessage] = [asked]
        # Tokens of all that was sent and said, as far as the provider has counted, and the bytes of the rest.
        self._counted: int = 0
        self._rest: int = _size(question.system) + _size(question.prompt)
        if question.schema is not None:
            self._rest += _size(jsontext.dumps(question.schema))
        for tool in question.tools:
            self._rest += _size(tool.description) + _size(jsontext.dumps(tool.input_schema))

    @property
    def size(self) -> int:
        """No token is shorter than a byte."""
        return self._counted + self._rest

    async def ask(self, max_tokens: int | None, write: Callable[[str], None]) -> Answer:
        """Raises the errors of `agents.errors`."""
        from pydantic_ai.settings import ModelSettings  # noqa: PLC0415 - as in load

        settings = ModelSettings() if max_tokens is None else ModelSettings(max_tokens=max_tokens)
        try:
            response = await self._response(settings, write)
        except ModelUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - of three libraries, and of what a service makes them read
            # Without its cause, which may quote what was sent.
            raise told(error) from None
        self._messages.append(response)
        answer = self._answer(response)
        if answer.tokens is None:
            self._rest += answer.size + _AROUND
        else:
            self._counted, self._rest = sum(answer.tokens), _AROUND
        return answer

    def reply(self, results: Sequence[tuple[Wish, JsonValue]]) -> None:
        replies = {wish.id: value for wish, value in results}
        self._say(
            {
                call.tool_call_id: (
                    _text(replies[call.tool_call_id])
                    if call.tool_call_id in replies
                    else "This came before the tools had given anything. Hand in the answer when they have."
                )
                for call in cast("ModelResponse", self._messages[-1]).tool_calls
            }
        )

    def correct(self, complaint: str) -> None:
        # Every call wants its reply.
        response = cast("ModelResponse", self._messages[-1])
        self._say({call.tool_call_id: complaint for call in response.tool_calls}, complaint)

    def _say(self, replies: dict[str, str], otherwise: str = "") -> None:
        from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart  # noqa: PLC0415 - as in load

        response = cast("ModelResponse", self._messages[-1])
        parts: list[ModelRequestPart] = [
            ToolReturnPart(tool_name=call.tool_name, content=replies[call.tool_call_id], tool_call_id=call.tool_call_id)
            for call in response.tool_calls
        ]
        self._rest += sum(map(_size, replies.values())) if replies else _size(otherwise)
        self._messages.append(
            ModelRequest(parts=parts or [UserPromptPart(content=otherwise)], instructions=self._system)
        )

    async def _response(self, settings: "ModelSettings", write: Callable[[str], None]) -> "ModelResponse":
        from pydantic_ai.direct import model_request, model_request_stream  # noqa: PLC0415 - as in load

        parameters = self._parameters()
        if self._stream is None:
            return await model_request(
                self._model,
                self._messages,
                model_settings=settings,
                model_request_parameters=parameters,
                instrument=False,
            )
        async with model_request_stream(
            self._model, self._messages, model_settings=settings, model_request_parameters=parameters, instrument=False
        ) as stream:
            handed_in = set[int]()
            async for event in stream:
                if text := _written(event, handed_in):
                    write(text)
        response = stream.get()
        if not self._stream.is_whole and not (response.provider_details or {}).get("finish_reason"):
            raise ModelUnavailable("The answer of the provider broke off before its end.")
        return response

    def _parameters(self) -> "ModelRequestParameters":
        from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415 - as in load
        from pydantic_ai.tools import ToolDefinition  # noqa: PLC0415

        tools: list[ToolDefinition] = [
            ToolDefinition(
                name=tool.name,
                description=tool.description or None,
                parameters_json_schema=wire.plain_schema({**tool.input_schema, "type": "object"}),
            )
            for tool in self._question.tools
        ]
        schema = self._question.schema
        if schema is None:
            return ModelRequestParameters(function_tools=tools)
        hand_in = ToolDefinition(
            name=wire.HAND_IN,
            description="Hand in the answer.",
            parameters_json_schema=wire.plain_schema(wire.as_object(schema)),
            kind="output",
        )
        return ModelRequestParameters(
            function_tools=tools, output_mode="tool", output_tools=[hand_in], allow_text_output=False
        )

    def _answer(self, response: "ModelResponse") -> Answer:
        value, problem = self._value(response)
        usage = response.usage
        return Answer(
            value=value,
            problem=problem,
            wishes=tuple(
                _wish(call.tool_call_id, call.tool_name, call.args)
                for call in response.tool_calls
                if self._question.schema is None or call.tool_name != wire.HAND_IN
            ),
            tokens=None if usage.unmeasured_requests else (usage.input_tokens, usage.output_tokens),
            size=_size(response.text or "") + sum(_size(call.args_as_json_str()) for call in response.tool_calls),
            model=response.model_name or "",
            cut=response.finish_reason == "length",
        )

    def _value(self, response: "ModelResponse") -> tuple[JsonValue, str]:
        """What was handed in, or of a model that answers in words instead, the JSON in them; and what is wrong."""
        schema = self._question.schema
        if schema is None:
            return response.text or "", ""
        try:
            for call in response.tool_calls:
                if call.tool_name == wire.HAND_IN:
                    return wire.unwrapped(_arguments(call.args), schema), ""
            return wire.unwrapped(wire.read(response.text or ""), schema), ""
        except jsontext.JsonError as error:
            return None, f"The answer is not JSON: {error}"


def _wish(call_id: str, name: str, given: object) -> Wish:
    try:
        return Wish(id=call_id, name=name, arguments=_arguments(given))
    except jsontext.JsonError as error:
        return Wish(id=call_id, name=name, problem=f"The arguments are not JSON: {error}")


def _arguments(given: object) -> JsonValue:
    """Raises `JsonError`."""
    if isinstance(given, str):
        return jsontext.loads(given) if given.strip() else {}
    return {} if given is None else jsontext.clean(given)


def _written(event: "ModelResponseStreamEvent", handed_in: set[int]) -> str:
    """The text that came with an event, of words or of a value that is handed in: `handed_in` are the places of such
    values in the answer."""
    from pydantic_ai import messages  # noqa: PLC0415 - as in load

    match event:
        case messages.PartStartEvent(part=messages.TextPart(content=text)):
            return text
        case messages.PartDeltaEvent(delta=messages.TextPartDelta(content_delta=text)):
            return text
        case messages.PartStartEvent(index=index, part=messages.ToolCallPart(tool_name=wire.HAND_IN, args=given)):
            handed_in.add(index)
            return given if isinstance(given, str) else ""
        case messages.PartDeltaEvent(index=index, delta=messages.ToolCallPartDelta(args_delta=str() as text)):
            return text if index in handed_in else ""
        case _:
            return ""


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else jsontext.dumps(value)


def _size(text: str) -> int:
    """The most tokens of a text, with what is around it."""
    return len(text.encode("utf-8", "surrogatepass")) + _AROUND
