"""One connection to a provider: what goes out is what stands here, and what comes in is bounded."""

import json
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast, override

from workflows_app.agents.providers import Kind, Provider

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0
# The longest answer, as it comes.
ANSWER_BYTES = 16 * 1024**2
_SENT = frozenset(
    "host accept accept-encoding connection content-type content-length anthropic-version anthropic-beta".split()
)
# The last words of a stream that is whole.
_LAST = b"[DONE]"


class Transport:
    """`client` makes the requests; `is_whole` tells whether the last stream said that it was at its end."""

    def __init__(self, provider: Provider, key: str) -> None:
        import httpx2  # noqa: PLC0415 - comes with the models

        self._provider = provider
        self._key = key
        self.is_whole: bool = False
        self.client: httpx2.AsyncClient = httpx2.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            verify=_authorities() if provider.base_url.startswith("https:") else False,
            # How long an answer may take is the node's to say.
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            event_hooks={"request": [self._only_ours], "response": [self._only_so_much]},
        )

    async def _only_ours(self, request: "httpx2.Request") -> None:
        self.is_whole = False
        for name in [name for name in request.headers if name.lower() not in _SENT]:
            del request.headers[name]
        request.headers["user-agent"] = "PasteTrader"
        # A few bytes could become gigabytes.
        request.headers["accept-encoding"] = "identity"
        if self._key and self._provider.kind is Kind.ANTHROPIC:
            request.headers["x-api-key"] = self._key
        elif self._key:
            request.headers["authorization"] = f"Bearer {self._key}"

    async def _only_so_much(self, response: "httpx2.Response") -> None:
        import httpx2  # noqa: PLC0415 - as above

        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.DecodingError("It is compressed, which nobody asked for.")
        parts = self._bounded(cast("httpx2.AsyncByteStream", response.stream))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._provider.stream and self._provider.kind is Kind.OPENAI and kind == "application/json":
            parts = _as_stream(parts, response.status_code)
        response.stream = _stream_of(parts, cast("httpx2.AsyncByteStream", response.stream))

    async def _bounded(self, stream: "httpx2.AsyncByteStream") -> AsyncIterator[bytes]:
        """The same bytes, and an error where there are too many."""
        import httpx2  # noqa: PLC0415 - as above

        left, end = ANSWER_BYTES, b""
        async for part in stream:
            left -= len(part)
            if left < 0:
                raise httpx2.DecodingError(f"It is longer than {ANSWER_BYTES} bytes.")
            end = (end + part)[-2 * len(_LAST) :]
            self.is_whole = self.is_whole or _LAST in end
            yield part


def _stream_of(parts: AsyncIterator[bytes], source: "httpx2.AsyncByteStream") -> "httpx2.AsyncByteStream":
    import httpx2  # noqa: PLC0415 - as above

    class Parts(httpx2.AsyncByteStream):
        @override
        def __aiter__(self) -> AsyncIterator[bytes]:
            return parts

        @override
        async def aclose(self) -> None:
            await source.aclose()

    return Parts()


async def _as_stream(parts: AsyncIterator[bytes], status: int) -> AsyncIterator[bytes]:
    """The answer of a service that knows no streaming, as a stream of one piece; anything else as it is."""
    body = b"".join([part async for part in parts])
    piece = _piece(body) if status < 300 else None
    yield body if piece is None else b"data: " + piece + b"\n\ndata: " + _LAST + b"\n\n"


def _piece(body: bytes) -> bytes | None:
    try:
        answer: Any = json.loads(body)
        for choice in answer["choices"]:
            choice["delta"] = delta = choice.pop("message")
            for number, call in enumerate(delta.get("tool_calls") or ()):
                call["index"] = number
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return json.dumps({**answer, "object": "chat.completion.chunk"}).encode()


@lru_cache(maxsize=1)
def _authorities() -> ssl.SSLContext:
    import certifi  # noqa: PLC0415 - only what asks a model loads it

    return ssl.create_default_context(cafile=certifi.where())
