"""A service that speaks as OpenAI's does, on the loopback interface: answers are told one by one, and requests kept.

Whoever asks for a stream gets one, of small pieces; whoever does not gets the same answer as a whole.
"""

import json as standard_json
from collections.abc import Iterator
from itertools import batched
from typing import Any, Self

from tests.http_server import Answer, Connection, Request, json, plain

# Characters of a piece.
PIECE = 8
LAST = b"data: [DONE]\n\n"


class Said(bytes):
    """An answer as JSON, which also knows its events."""

    events: tuple[bytes, ...]

    @classmethod
    def of(cls, message: dict[str, Any], **more: Any) -> Self:
        said = cls(json(completion(message, **more)))
        said.events = tuple(_events(message, **more))
        return said

    @property
    def streamed(self) -> bytes:
        return plain(200, b"".join(self.events), content_type="text/event-stream")


def completion(message: dict[str, Any], *, tokens: tuple[int, int] | None = (7, 5), finish: str = "stop") -> str:
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]
    usage = {} if tokens is None else {"usage": _usage(tokens)}
    return standard_json.dumps({**_HEAD, "object": "chat.completion", "choices": choices, **usage})


def says(text: str, **more: Any) -> Said:
    """An answer in words. `tokens` are those in and out, None where the service does not tell them."""
    return Said.of({"content": text}, **more)


def hands_in(arguments: str, **more: Any) -> Said:
    """An answer as a call of the tool by which values are handed in; `arguments` is JSON text."""
    return wishes(("answer", arguments), **more)


def wishes(*calls: tuple[str, str], text: str | None = None, **more: Any) -> Said:
    """Wants tools to be called: `("market_prices", '{"symbol": "AAPL"}')`."""
    wanted = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(calls, 1)
    ]
    return Said.of({"content": text, "tool_calls": wanted}, **{"finish": "tool_calls", **more})


def fails(status: int, message: str = "as it pleases", code: str | None = None, **headers: str) -> bytes:
    error = {"message": message, "type": "some_error", "code": code}
    return json(standard_json.dumps({"error": error}), status, **headers)


def one_by_one(*answers: bytes) -> Answer:
    """Gives these answers in turn, then the last one for ever."""
    left = list(answers)

    async def answer(request: Request, connection: Connection) -> None:
        give(connection, request, left.pop(0) if len(left) > 1 else left[0])

    return answer


def give(connection: Connection, request: Request, answer: bytes) -> None:
    """An answer as the request wants it."""
    streams = isinstance(answer, Said) and sent(request).get("stream")
    connection.write(answer.streamed if streams else answer)


def begin_stream(connection: Connection) -> None:
    """An answer of which nobody knows how long it gets: what follows is `event`s, or nothing."""
    connection.write(b"HTTP/1.1 200 Answer\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")


def event(data: bytes) -> bytes:
    """A piece of what `begin_stream` began; of nothing: its end."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def sent(request: Request) -> Any:
    return standard_json.loads(request.body)


_HEAD = {"id": "chatcmpl-1", "created": 1767312000, "model": "small-2026"}


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


def _events(
    message: dict[str, Any], *, tokens: tuple[int, int] | None = (7, 5), finish: str = "stop"
) -> Iterator[bytes]:
    yield _event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    for piece in _pieces(message.get("content") or ""):
        yield _event([{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
    for index, call in enumerate(message.get("tool_calls", ())):
        named = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield _event([{"index": 0, "delta": {"tool_calls": [named]}, "finish_reason": None}])
        for piece in _pieces(call["function"]["arguments"]):
            part = {"index": index, "function": {"arguments": piece}}
            yield _event([{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": None}])
    yield _event([{"index": 0, "delta": {}, "finish_reason": finish}])
    if tokens is not None:
        yield _event([], usage=_usage(tokens))
    yield LAST


def _event(choices: list[Any], **more: Any) -> bytes:
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + standard_json.dumps(chunk).encode() + b"\n\n"


def _pieces(text: str) -> Iterator[str]:
    return map("".join, batched(text, PIECE))
