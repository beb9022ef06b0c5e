"""Models over HTTP, by pydantic-ai: one connection per conversation, closed with it.

The library and the SDKs below it take seconds to import and look for keys, proxies and headers in the environment.
They are imported when an agent runs, in a thread; what is sent is what stands here and nothing else.
"""

import json
import math
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast, override

from workflows_app.agents.errors import ModelAnswerError, ModelBusy, ModelRefused, ModelUnavailable
from workflows_app.agents.providers import Kind, Provider
from workflows_app.agents.questions import Answer, Question
from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.tools.errors import NodeConfigurationError

if TYPE_CHECKING:
    import httpx2
    from pydantic_ai.exceptions import ModelAPIError
    from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponse
    from pydantic_ai.models import Model

CONNECT_SECONDS = 10.0
# The longest answer, as it comes.
ANSWER_BYTES = 16 * 1024**2
_EXTRAS = {"openai": "agents", "anthropic": "anthropic"}
# The tool by which a model hands in a value: all of them know tools, few know schemas of answers.
_HAND_IN = "answer"
# Where the value stands that is no object, as the arguments of a tool are.
_WRAPPED = "value"
_SENT = frozenset(
    "host accept accept-encoding connection content-type content-length anthropic-version anthropic-beta".split()
)
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
    import httpx2  # noqa: PLC0415 - comes with the models

    async def only_ours(request: "httpx2.Request") -> None:
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["user-agent"] = "PasteTrader"
        # A few bytes could become gigabytes.
        request.headers["accept-encoding"] = "identity"
        if key and provider.kind is Kind.ANTHROPIC:
            request.headers["x-api-key"] = key
        elif key:
            request.headers["authorization"] = f"Bearer {key}"

    async def only_so_much(response: "httpx2.Response") -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.DecodingError("It is compressed, which nobody asked for.")
        response.stream = _bounded(cast("httpx2.AsyncByteStream", response.stream))

    client = httpx2.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        verify=_authorities() if provider.base_url.startswith("https:") else False,
        # How long an answer may take is the node's to say.
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        event_hooks={"request": [only_ours], "response": [only_so_much]},
    )
    async with client:
        yield ModelTalk(_model(provider, model, client), question)


def _bounded(stream: "httpx2.AsyncByteStream") -> "httpx2.AsyncByteStream":
    """The same bytes, and an error where there are too many."""
    import httpx2  # noqa: PLC0415 - comes with the models

    class Bounded(httpx2.AsyncByteStream):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = ANSWER_BYTES
            async for part in stream:
                left -= len(part)
                if left < 0:
                    raise httpx2.DecodingError(f"It is longer than {ANSWER_BYTES} bytes.")
                yield part

        @override
        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()


@lru_cache(maxsize=1)
def _authorities() -> ssl.SSLContext:
    import certifi  # noqa: PLC0415 - only what asks a model loads it

    return ssl.create_default_context(cafile=certifi.where())


def _model(provider: Provider, name: str, client: "httpx2.AsyncClient") -> "Model":
    # The SDKs want a key and read one from the environment where there is none; `only_ours` sends the right one.
    # Retries are the node's.
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

    def __init__(self, model: "Model", question: Question) -> None:
        from pydantic_ai.messages import ModelRequest, UserPromptPart  # noqa: PLC0415 - as in load

        self._model = model
        self._question = question
        self._system = question.system or None
        asked = ModelRequest(parts=[UserPromptPart(content=question.prompt)], instructions=self._system)
        self._messages: list[ModelMessage] = [asked]

    async def ask(self, max_tokens: int | None) -> Answer:
        """Raises the errors of `agents.errors`."""
        from pydantic_ai.direct import model_request  # noqa: PLC0415 - as in load
        from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415
        from pydantic_ai.settings import ModelSettings  # noqa: PLC0415
        from pydantic_ai.tools import ToolDefinition  # noqa: PLC0415

        parameters = ModelRequestParameters()
        if self._question.schema is not None:
            hand_in = ToolDefinition(
                name=_HAND_IN,
                description="Hand in the answer.",
                parameters_json_schema=_wire(_as_object(self._question.schema)),
                kind="output",
            )
            parameters = ModelRequestParameters(output_mode="tool", output_tools=[hand_in], allow_text_output=False)
        settings = ModelSettings() if max_tokens is None else ModelSettings(max_tokens=max_tokens)
        try:
            response = await model_request(
                self._model,
                self._messages,
                model_settings=settings,
                model_request_parameters=parameters,
                instrument=False,
            )
        except Exception as error:  # noqa: BLE001 - of three libraries, and of what a service makes them read
            # Without its cause, which may quote what was sent.
            raise _told(error) from None
        self._messages.append(response)
        return self._answer(response)

    def correct(self, complaint: str) -> None:
        from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart  # noqa: PLC0415 - as in load

        response = cast("ModelResponse", self._messages[-1])
        # Every call wants its reply.
        parts: list[ModelRequestPart] = [
            ToolReturnPart(tool_name=call.tool_name, content=complaint, tool_call_id=call.tool_call_id)
            for call in response.tool_calls
        ]
        self._messages.append(
            ModelRequest(parts=parts or [UserPromptPart(content=complaint)], instructions=self._system)
        )

    def _answer(self, response: "ModelResponse") -> Answer:
        schema, value, problem = self._question.schema, cast(JsonValue, None), ""
        if schema is None:
            value = response.text or ""
        else:
            try:
                value = _value(response)
                if not _is_object(schema):
                    value = value.get(_WRAPPED) if isinstance(value, dict) and _WRAPPED in value else value
            except jsontext.JsonError as error:
                problem = f"The answer is not JSON: {error}"
        usage = response.usage
        return Answer(
            value=value,
            problem=problem,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            model=response.model_name or "",
            cut=response.finish_reason == "length",
        )


def _value(response: "ModelResponse") -> JsonValue:
    """What was handed in; of a model that answers in words instead, the JSON in them. Raises `JsonError`."""
    for call in response.tool_calls:
        if call.tool_name == _HAND_IN:
            return jsontext.loads(call.args) if isinstance(call.args, str) else jsontext.clean(call.args)
    text = (response.text or "").strip()
    if text.startswith("```"):
        text = text.partition("\n")[2].rpartition("```")[0]
    return jsontext.loads(text)


def _is_object(schema: JsonObject) -> bool:
    return schema.get("type") == "object"


def _as_object(schema: JsonObject) -> JsonObject:
    """The schema of an object that has the value; definitions stay where references look for them."""
    if _is_object(schema):
        return schema
    below = {name: value for name, value in schema.items() if name not in ("$defs", "definitions")}
    kept = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    return {"type": "object", "properties": {_WRAPPED: below}, "required": [_WRAPPED], **kept}


def _wire(schema: JsonObject) -> dict[str, Any]:
    """The schema as the SDKs take it: they know no Decimal. Answers are checked against the schema itself."""
    return cast("dict[str, Any]", json.loads(jsontext.dumps(schema), parse_float=_shortest))


def _shortest(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and abs(number) < 2**53 else float(text)


def _told(error: Exception) -> Exception:
    """A failure as one of ours. Its sentence is ours, too, but for what the provider itself says."""
    from pydantic_ai import exceptions as foreign  # noqa: PLC0415 - as in load

    match error:
        case foreign.ModelQuotaExceededError():
            return ModelRefused(f"The account at the provider has no money or quota left.{_said(error)}")
        case foreign.ModelHTTPError(status_code=429) | foreign.ModelRateLimitError():
            return ModelBusy(f"The provider wants fewer requests (429).{_said(error)}", retry_after=_wait(error))
        case foreign.ModelHTTPError(status_code=status) if status >= 500 or status in (408, 409):
            sentence = f"The provider failed with status {status}.{_said(error)}"
            return ModelUnavailable(sentence, retry_after=_wait(error))
        case foreign.ModelHTTPError(status_code=status):
            return ModelRefused(f"The provider refused the request with status {status}.{_said(error)}")
        case foreign.ModelConnectionError() | foreign.ModelRequestTimeout():
            return ModelUnavailable("The provider cannot be reached, or the connection to it broke.")
        case foreign.ModelAPIError() if _is_of_the_connection(error):
            return ModelUnavailable("The provider cannot be reached, or the connection to it broke.")
        case _:
            return ModelAnswerError(f"What the provider sent is no answer of a model ({type(error).__name__}).")


def _wait(error: "ModelAPIError") -> float | None:
    """The seconds that the provider asks to wait, where they are such."""
    seconds = error.retry_after
    return seconds if seconds is not None and 0 <= seconds < math.inf else None


def _is_of_the_connection(error: Exception) -> bool:
    return "Connection" in type(error.__cause__).__name__ or "Timeout" in type(error.__cause__).__name__


def _said(error: object) -> str:
    """The provider's own sentence, where it has one."""
    body = cast("object", getattr(error, "body", None))
    message = cast("object", cast("dict[object, object]", body).get("message")) if isinstance(body, dict) else None
    return f" It says: {message[:300]}" if isinstance(message, str) and message else ""
