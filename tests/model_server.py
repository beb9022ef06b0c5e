"""A service that speaks as OpenAI's does, on the loopback interface: answers are told one by one, and requests kept."""

import json as standard_json
from typing import Any

from tests.http_server import Answer, Connection, Request, json


def completion(message: dict[str, Any], *, tokens: tuple[int, int] = (7, 5), finish: str = "stop") -> str:
    return standard_json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1767312000,
            "model": "small-2026",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
        }
    )


def says(text: str, **more: Any) -> bytes:
    """An answer in words."""
    return json(completion({"content": text}, **more))


def hands_in(arguments: str, **more: Any) -> bytes:
    """An answer as a call of the tool by which values are handed in; `arguments` is JSON text."""
    call = {"id": "call_1", "type": "function", "function": {"name": "answer", "arguments": arguments}}
    return json(completion({"content": None, "tool_calls": [call]}, **{"finish": "tool_calls", **more}))


def fails(status: int, message: str = "as it pleases", code: str | None = None, **headers: str) -> bytes:
    error = {"message": message, "type": "some_error", "code": code}
    return json(standard_json.dumps({"error": error}), status, **headers)


def one_by_one(*answers: bytes) -> Answer:
    """Gives these answers in turn, then the last one for ever."""
    left = list(answers)

    async def answer(_request: Request, connection: Connection) -> None:
        connection.write(left.pop(0) if len(left) > 1 else left[0])

    return answer


def sent(request: Request) -> Any:
    return standard_json.loads(request.body)
