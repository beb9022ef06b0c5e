"""Answers that come piece by piece, and what may happen in the middle of one."""

import asyncio
import json
from decimal import Decimal
from typing import Any, override

import pytest

from tests.http_server import Connection, Request, plain
from tests.model_server import Said, begin_stream, event, hands_in, says, sent, wishes
from tests.recorded_calls import RecordedCalls
from tests.unit.agents.conftest import KEY, Ask
from workflows_app.agents import transport
from workflows_app.agents.calls import Spent
from workflows_app.agents.errors import ModelAnswerError, ModelUnavailable
from workflows_app.processors import agent
from workflows_app.processors.errors import Retryable

TEXT = "It fell a lot, so I would hold."


class WatchedCalls(RecordedCalls):
    """Tells that something was written."""

    written: asyncio.Event

    @override
    def write(self, number: int, text: str) -> None:
        super().write(number, text)
        self.written.set()


@pytest.fixture
def calls() -> WatchedCalls:
    made = WatchedCalls()
    made.written = asyncio.Event()
    return made


async def test_text_is_passed_on_while_it_is_written(ask: Ask, calls: WatchedCalls) -> None:
    async def wait_in_the_middle(_request: Request, connection: Connection) -> None:
        begin_stream(connection)
        first, *rest = says(TEXT * 20).events[1:]
        connection.write(event(first) + event(rest[0]))
        _ = await calls.written.wait()
        seen.append(calls.made[0].text)
        connection.write(b"".join(map(event, (*rest[1:], b""))))

    seen = list[str]()
    # Nothing needs to be held back for a key where there is none.
    output, _ = await ask(wait_in_the_middle, provider={"api_key_env": ""})
    assert output == {"text": TEXT * 20}
    assert TEXT.startswith(seen[0])
    assert calls.made[0].text == TEXT * 20


async def test_a_value_is_passed_on_as_it_is_handed_in_and_keeps_all_digits(ask: Ask, calls: WatchedCalls) -> None:
    value = '{"price": 430.4700000000000000000000001}'
    output, _ = await ask(hands_in(value), output_schema={"type": "object"})
    assert output == {"price": Decimal("430.4700000000000000000000001")}
    assert calls.made[0].text == value


async def test_what_is_said_to_tools_is_not_passed_on_as_text(ask: Ask, calls: WatchedCalls) -> None:
    answers = wishes(("order", '{"shares": 1}'), text="Let me see."), hands_in('{"a": 1}')
    _ = await ask(*answers, output_schema={"type": "object"})
    assert [call.text for call in calls.made] == ["Let me see.", "", '{"a": 1}']


async def test_a_key_that_comes_in_pieces_is_held_back(
    ask: Ask, calls: WatchedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{TEXT * 20} {KEY}, {KEY} and {KEY}. {TEXT}"
    _ = await ask(says(text))
    assert calls.made[0].text == text.replace(KEY, "***")
    assert calls.made[0].writes > 5
    # Without what holds it back it would be on record.
    monkeypatch.setattr(agent, "HidingCalls", lambda calls, _key: calls)
    _ = await ask(says(text))
    assert KEY in calls.made[1].text


async def _cut(connection: Connection, piece: bytes) -> None:
    connection.write(piece)
    await connection.drain()
    connection.abort()


async def _close(connection: Connection, piece: bytes) -> None:
    connection.write(piece + event(b""))


async def _hang(connection: Connection, piece: bytes) -> None:
    connection.write(piece)
    await asyncio.Event().wait()


@pytest.mark.parametrize("ending", [_cut, _close, _hang])
async def test_a_stream_that_ends_in_the_middle_may_be_asked_for_again_and_counts_as_all_used(
    ask: Ask, calls: WatchedCalls, ending: object
) -> None:
    async def answer(_request: Request, connection: Connection) -> None:
        begin_stream(connection)
        await ending(connection, event(says(TEXT).events[1]))  # pyright: ignore[reportCallIssue]

    limits = {"max_output_tokens": 50, "timeout_seconds": Decimal("0.2" if ending is _hang else 60)}
    with pytest.raises(ModelUnavailable, match=r"broke|did not answer within") as caught:
        await ask(answer, limits=limits)
    assert isinstance(caught.value, Retryable)
    (call,) = calls.made
    assert (call.end.outcome, call.end.spent) == ("abandoned", call.reserved)
    assert (call.reserved.requests, call.reserved.output_tokens) == (1, 50)
    assert call.end.spent.input_tokens > len("What now?")


GARBAGE = [b"data: {\n\n", b"data: [1, 2]\n\n", b"data: \xff\xfe\n\n", b"data: {}\n\ndata: 5\n\n"]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_in_the_middle_is_no_answer(ask: Ask, calls: WatchedCalls, garbage: bytes) -> None:
    async def answer(_request: Request, connection: Connection) -> None:
        begin_stream(connection)
        connection.write(event(says(TEXT).events[1]) + event(garbage) + event(b""))

    with pytest.raises((ModelAnswerError, ModelUnavailable)):
        await ask(answer)
    assert calls.made[0].end.spent == calls.made[0].reserved


async def test_a_provider_that_fails_in_the_middle_says_so(ask: Ask, calls: WatchedCalls) -> None:
    async def answer(_request: Request, connection: Connection) -> None:
        begin_stream(connection)
        failure = b'data: {"error": {"message": "all machines are busy", "type": "server_error"}}\n\n'
        connection.write(event(says(TEXT).events[1]) + event(failure) + event(b""))

    with pytest.raises(ModelUnavailable, match="It says: all machines are busy"):
        await ask(answer)
    assert (calls.made[0].end.outcome, calls.made[0].end.spent) == ("failed", calls.made[0].reserved)


async def test_a_stream_without_end_is_not_read_to_it(
    ask: Ask, calls: WatchedCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever(_request: Request, connection: Connection) -> None:
        begin_stream(connection)
        while True:
            connection.write(event(says(TEXT).events[1] * 100))
            await connection.drain()

    monkeypatch.setattr(transport, "ANSWER_BYTES", 256 * 1024)
    with pytest.raises((ModelAnswerError, ModelUnavailable)):
        await ask(for_ever)
    assert calls.made[0].end.spent == calls.made[0].reserved


async def test_a_service_that_knows_no_streaming_is_understood(ask: Ask, calls: WatchedCalls) -> None:
    output, server = await ask(bytes(hands_in('{"a": 1.50}')), output_schema={"type": "object"})
    assert output == {"a": Decimal("1.50")}
    assert (sent(server.requests[0])["stream"], calls.spent.tokens) == (True, 12)


async def test_a_provider_need_not_be_asked_for_streams(ask: Ask, calls: WatchedCalls) -> None:
    output, server = await ask(says(TEXT), provider={"stream": False})
    assert output == {"text": TEXT}
    assert not sent(server.requests[0]).get("stream")
    assert (calls.made[0].text, calls.spent.tokens) == ("", 12)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("limits", "output"), [({"max_output_tokens": 50}, 50), ({}, len(TEXT))], ids=["reserved", "unbounded"]
)
async def test_usage_that_a_provider_leaves_out_counts_as_reserved(
    ask: Ask, calls: WatchedCalls, stream: bool, limits: dict[str, object], output: int
) -> None:
    answer: Said = says(TEXT, tokens=None)
    _ = await ask(answer, limits=limits, provider={"stream": stream})
    (call,) = calls.made
    assert call.end.spent.output_tokens >= output
    assert call.end.spent == Spent(
        requests=1, input_tokens=call.reserved.input_tokens, output_tokens=call.end.spent.output_tokens
    )
    assert "all that was reserved counts" in str(call.end.result)


def anthropic_event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def anthropic_wish(name: str, *pieces: str) -> bytes:
    """Anthropic's way to want a tool, as a stream."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    usage = {"input_tokens": 3, "output_tokens": 1}
    block = {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}}
    deltas = [
        anthropic_event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece})
        for piece in pieces
    ]
    return b"".join(
        (
            anthropic_event("message_start", message={**head, "stop_reason": None, "usage": usage}),
            anthropic_event("content_block_start", index=0, content_block=block),
            *deltas,
            anthropic_event("content_block_stop", index=0),
            anthropic_event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 2}),
            anthropic_event("message_stop"),
        )
    )


async def test_anthropics_streams_have_tools_and_all_digits_too(ask: Ask, calls: WatchedCalls) -> None:
    answers = anthropic_wish("order", '{"shares"', ": 1}"), anthropic_wish("answer", '{"price": 1.10', "000}")
    output, server = await ask(
        *(plain(200, answer, content_type="text/event-stream") for answer in answers),
        provider={"kind": "anthropic"},
        output_schema={"type": "object"},
    )
    assert repr(output) == "{'price': Decimal('1.10000')}"
    assert [call.opening.name for call in calls.made] == ["small", "order", "small"]
    assert calls.made[1].opening.arguments == {"shares": 1}
    assert calls.made[2].text == '{"price": 1.10000}'
    (told,) = sent(server.requests[1])["messages"][-1]["content"]
    assert (told["type"], told["tool_use_id"]) == ("tool_result", "toolu_order")


async def test_anthropics_stream_that_breaks_off_is_no_answer(ask: Ask, calls: WatchedCalls) -> None:
    whole = anthropic_wish("answer", '{"price": 1.10', "000}")
    cut = whole[: whole.index(b"event: message_delta")]
    failure = anthropic_event("error", error={"type": "overloaded_error", "message": "too many"})
    for answer, sentence in ((cut, "broke off before its end"), (cut + failure, "too many")):
        with pytest.raises(ModelUnavailable, match=sentence):
            await ask(
                plain(200, answer, content_type="text/event-stream"),
                provider={"kind": "anthropic"},
                output_schema={"type": "object"},
            )
    assert all(call.end.spent == call.reserved for call in calls.made)
