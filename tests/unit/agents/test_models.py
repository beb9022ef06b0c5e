"""Agent nodes against a service that speaks as OpenAI's does, over HTTP."""

import asyncio
import gzip
import socket
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.http_server import Connection, Request, plain, serving
from tests.model_server import completion, fails, hands_in, one_by_one, says, sent
from tests.recorded_calls import RecordedCalls
from tests.unit.agents.conftest import KEY, Ask, Run
from tests.unit.processors.conftest import Line, MakeCall
from workflows_app.agents import transport
from workflows_app.agents.calls import NOTHING, CallOutcome, Closing, Spent
from workflows_app.agents.errors import ModelAnswerError, ModelBusy, ModelRefused, ModelUnavailable
from workflows_app.dag.types import JsonObject, NodeType
from workflows_app.processors.errors import NodeConfigurationError, NodeOutputError, Retryable

VERDICT: JsonObject = {
    "type": "object",
    "properties": {"price": {"type": "number", "minimum": Decimal("0.5")}, "side": {"enum": ["buy", "hold"]}},
    "required": ["price", "side"],
}


async def test_a_model_answers_in_words_and_what_it_took_is_on_record(ask: Ask, calls: RecordedCalls) -> None:
    output, server = await ask(says("Hold."), system="Be short.")
    assert output == {"text": "Hold."}
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    body = sent(request)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert [message["content"] for message in body["messages"]] == ["Be short.", "What now?"]
    assert (body["model"], body["stream"], body["stream_options"]) == ("small", True, {"include_usage": True})
    assert "max_completion_tokens" not in body
    (call,) = calls.made
    assert (call.told, call.opening.provider) == (("model", "small", "succeeded"), "local")
    assert call.end == Closing(
        outcome=CallOutcome.SUCCEEDED,
        result={"model": "small-2026", "answer": "Hold."},
        spent=Spent(requests=1, input_tokens=7, output_tokens=5),
    )


async def test_nothing_is_sent_but_the_question_and_the_key(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-4711")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Own: 4711\nAuthorization: Bearer other")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    _, server = await ask(says("Hold."))
    headers = dict(server.requests[0].headers)
    assert headers.pop("authorization") == f"Bearer {KEY}"
    assert headers.pop("user-agent") == "PasteTrader"
    assert headers.keys() <= {"host", "accept", "accept-encoding", "connection", "content-type", "content-length"}


async def test_a_provider_without_a_key_is_sent_none(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    _, server = await ask(says("Hold."), provider={"api_key_env": ""})
    assert "authorization" not in server.requests[0].headers


async def test_a_value_is_demanded_by_its_schema_and_keeps_all_digits(ask: Ask) -> None:
    output, server = await ask(
        hands_in('{"price": 430.4700000000000000000000001, "side": "buy"}'), output_schema=VERDICT
    )
    assert output == {"price": Decimal("430.4700000000000000000000001"), "side": "buy"}
    body = sent(server.requests[0])
    (tool,) = body["tools"]
    assert tool["function"]["name"] == "answer"
    assert tool["function"]["parameters"]["required"] == ["price", "side"]
    assert tool["function"]["parameters"]["properties"]["price"]["minimum"] == 0.5
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("schema", "arguments", "value"),
    [
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1, 2]}', [1, 2]),
        ({"$ref": "#/$defs/side", "$defs": {"side": {"enum": ["buy"]}}}, '{"value": "buy"}', "buy"),
        ({"type": "boolean"}, '{"value": false}', False),
    ],
)
async def test_a_value_that_is_no_object_is_handed_in_within_one(
    ask: Ask, schema: JsonObject, arguments: str, value: object
) -> None:
    output, server = await ask(hands_in(arguments), output_schema=schema)
    assert output == value
    assert sent(server.requests[0])["tools"][0]["function"]["parameters"]["type"] == "object"


async def test_a_model_that_writes_its_value_down_instead_of_handing_it_in_is_understood(ask: Ask) -> None:
    output, _ = await ask(says('```json\n{"price": 1.50, "side": "hold"}\n```'), output_schema=VERDICT)
    assert output == {"price": Decimal("1.50"), "side": "hold"}


@pytest.mark.parametrize(
    "wrong", [hands_in('{"price": 0.1, "side": "sell"}'), hands_in('{"price": '), says("I would hold.")]
)
async def test_an_answer_that_does_not_fit_is_sent_back_with_what_is_wrong(ask: Ask, wrong: bytes) -> None:
    output, server = await ask(wrong, hands_in('{"price": 2, "side": "hold"}'), output_schema=VERDICT)
    assert output == {"price": 2, "side": "hold"}
    assert len(server.requests) == 2
    last = sent(server.requests[1])["messages"][-1]
    assert last["content"].endswith("Answer again, with this put right.")


async def test_after_the_last_retry_the_node_fails_with_what_is_wrong(ask: Ask, calls: RecordedCalls) -> None:
    with pytest.raises(NodeOutputError, match=r"None of the model's 2 answers .* At side: 'sell' is not one of"):
        await ask(hands_in('{"price": 1, "side": "sell"}'), output_schema=VERDICT, limits={"max_retries": 1})
    assert calls.spent == Spent(requests=2, input_tokens=14, output_tokens=10)


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (fails(429, "slow down", retry_after="7"), ModelBusy, "fewer requests (429). It says: slow down"),
        (fails(500), ModelUnavailable, "The provider failed with status 500. It says: as it pleases"),
        (fails(503), ModelUnavailable, "The provider failed with status 503. It says: as it pleases"),
        (plain(502, b"<html>"), ModelUnavailable, "The provider failed with status 502."),
        (fails(400), ModelRefused, "The provider refused the request with status 400. It says: as it pleases"),
        (fails(404), ModelRefused, "The provider refused the request with status 404. It says: as it pleases"),
        (fails(401, f"no such key: {KEY}"), ModelRefused, "with status 401. It says: no such key: ***"),
        (fails(429, "pay", "insufficient_quota"), ModelRefused, "has no money or quota left. It says: pay"),
        (plain(200, b"<html>hello</html>", content_type="text/html"), ModelAnswerError, "is no answer of a model"),
        (plain(200, b'{"a": ', content_type="application/json"), ModelAnswerError, "is no answer of a model"),
        (plain(200, b"[]", content_type="application/json"), ModelAnswerError, "is no answer of a model"),
        (plain(200, b"", content_type="application/json"), ModelAnswerError, "is no answer of a model"),
    ],
)  # fmt: skip
async def test_each_failure_of_a_provider_has_a_class_that_retry_policies_know(
    ask: Ask, calls: RecordedCalls, answer: bytes, kind: type[Exception], sentence: str
) -> None:
    with pytest.raises(kind) as caught:
        await ask(answer)
    assert type(caught.value) is kind
    assert sentence in str(caught.value)
    assert KEY not in str(caught.value)
    if isinstance(caught.value, ModelBusy):
        assert caught.value.retry_after == 7
    (call,) = calls.made
    assert call.told == ("model", "small", "failed")
    assert call.end.error == {"code": caught.value.code, "message": str(caught.value), "type": kind.__name__}
    # What may have been at work may have been paid for.
    assert call.end.spent == (NOTHING if kind in (ModelBusy, ModelRefused) else call.reserved)


async def test_a_provider_that_is_not_there_or_hangs_up_may_be_tried_again(ask: Ask, calls: RecordedCalls) -> None:
    async def hang_up(_request: Request, connection: Connection) -> None:
        connection.abort()

    with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
        await ask(hang_up)
    assert isinstance(caught.value, Retryable)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await ask(hang_up, provider={"base_url": url})
    hung_up, refused = calls.made
    # Of the first nobody knows what it used; the second was never sent.
    assert (hung_up.end.outcome, hung_up.end.spent) == ("abandoned", hung_up.reserved)
    assert (refused.end.outcome, refused.end.spent) == ("failed", NOTHING)


@pytest.mark.parametrize("asked", ["-5", "nan", "inf", "soon", "1e999"])
async def test_a_wait_that_is_none_is_not_waited_for(ask: Ask, asked: str) -> None:
    with pytest.raises(ModelBusy) as caught:
        await ask(fails(429, retry_after=asked))
    assert caught.value.retry_after is None


async def test_an_answer_without_end_is_not_read_to_it(
    call_of: MakeCall, run: Run, know: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever(_request: Request, connection: Any) -> None:
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
        while True:
            connection.write(b" " * 65536)
            await connection.drain()

    monkeypatch.setattr(transport, "ANSWER_BYTES", 1024**2)
    async with serving(for_ever) as server:
        know(server)
        with pytest.raises((ModelAnswerError, ModelUnavailable)):
            await run(call_of(NodeType.AGENT, provider="local", model="small", prompt="?"))
        await server.until(lambda server: server.ended == 1)


async def test_an_answer_that_is_compressed_is_not_unpacked(ask: Ask) -> None:
    body = gzip.compress(completion({"content": "Hold."}).encode())
    with pytest.raises((ModelAnswerError, ModelUnavailable)):
        await ask(plain(200, body, content_type="application/json", content_encoding="gzip"))
    assert (await ask(says("Hold.")))[0] == {"text": "Hold."}


async def test_redirects_are_not_followed(ask: Ask) -> None:
    async with serving(one_by_one(says("Gotcha."))) as other:
        with pytest.raises(ModelAnswerError):
            await ask(plain(307, location=f"{other.url}/v1/chat/completions"))
    assert other.connections == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_what_comes_back_has_no_key_in_it(
    ask: Ask, lines: list[Line], calls: RecordedCalls, stream: bool
) -> None:
    provider = {"stream": stream}
    assert (await ask(says(f"Your key is {KEY}, yes."), provider=provider))[0] == {"text": "Your key is ***, yes."}
    output, _ = await ask(hands_in(f'{{"a": ["{KEY}"]}}'), output_schema={"type": "object"}, provider=provider)
    assert output == {"a": ["***"]}
    assert calls.made[0].text == ("Your key is ***, yes." if stream else "")
    assert KEY not in repr(lines) + repr(calls)


async def test_a_request_that_hangs_ends_at_its_own_limit_or_with_its_node_and_so_does_its_connection(
    call_of: MakeCall, run: Run, know: Callable[..., None]
) -> None:
    async def hang(_request: Request, _connection: Any) -> None:
        await asyncio.Event().wait()

    fields = {"provider": "local", "model": "small", "prompt": "?"}
    async with serving(hang) as server:
        know(server)
        with pytest.raises(ModelUnavailable, match=r"did not answer within 0\.05 s"):
            await run(call_of(NodeType.AGENT, **fields, limits={"timeout_seconds": Decimal("0.05")}))
        await server.until(lambda server: server.ended == 1)
        cancelled = asyncio.ensure_future(run(call_of(NodeType.AGENT, **fields)))
        await server.until(lambda server: len(server.requests) == 2)
        assert cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await server.until(lambda server: server.ended == 2)


async def test_fifty_agents_ask_at_the_same_time(call_of: MakeCall, run: Run, know: Callable[..., None]) -> None:
    all_here = asyncio.Event()

    async def when_all_are_here(request: Request, connection: Any) -> None:
        if len(server.requests) == 50:
            all_here.set()
        _ = await all_here.wait()
        connection.write(says(sent(request)["messages"][-1]["content"]))

    async with serving(when_all_are_here) as server:
        know(server)
        calls = [call_of(NodeType.AGENT, provider="local", model="small", prompt=f"No. {n}") for n in range(50)]
        outputs = await asyncio.gather(*map(run, calls))
    assert outputs == [{"text": f"No. {n}"} for n in range(50)]
    assert server.ended == server.connections == 50


ANTHROPIC = (
    b'{"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn", '
    b'"stop_sequence": null, "content": [{"type": "text", "text": "Hold."}], '
    b'"usage": {"input_tokens": 3, "output_tokens": 2}}'
)
ANTHROPIC_EVENTS = b"""event: message_start
data: {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hold."}}

event: content_block_stop
data: {"type": "content_block_stop", "index": 0}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}}

event: message_stop
data: {"type": "message_stop"}

"""  # noqa: E501 - as they come


@pytest.mark.parametrize(
    ("answer", "stream"),
    [
        (plain(200, ANTHROPIC_EVENTS, content_type="text/event-stream"), True),
        (plain(200, ANTHROPIC, content_type="application/json"), False),
    ],
)
async def test_anthropic_is_asked_in_its_own_way(ask: Ask, calls: RecordedCalls, answer: bytes, stream: bool) -> None:
    output, server = await ask(answer, provider={"kind": "anthropic", "stream": stream})
    assert output == {"text": "Hold."}
    (request,) = server.requests
    assert request.target == "/v1/v1/messages"
    assert request.headers["x-api-key"] == KEY
    assert "authorization" not in request.headers
    assert calls.spent == Spent(requests=1, input_tokens=3, output_tokens=2)


async def test_a_key_that_is_not_set_is_named(ask: Ask) -> None:
    with pytest.raises(NodeConfigurationError, match="takes its key from NO_SUCH_KEY, which is not in the environment"):
        await ask(says("Hold."), provider={"api_key_env": "NO_SUCH_KEY"})


async def test_without_its_package_a_model_says_what_to_install(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_ai.models.openai", None)
    with pytest.raises(NodeConfigurationError, match="Install the extra `agents`: `uv sync --extra agents`"):
        await ask(says("Hold."))


def test_the_processors_load_no_library_of_models() -> None:
    code = (
        "import sys, workflows_app.processors.registry; "
        "print({'pydantic_ai', 'openai', 'anthropic', 'httpx2', 'httpx', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
