"""A server that is an address: streamable HTTP by a client of our own, which sends what stands here and nothing else.

No proxies, no keys of the environment, no redirects; answers are bounded as they come.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast, override

from workflows_app.tools.http import limits as http
from workflows_app.tools.mcp.servers import McpServer
from workflows_app.tools.mcp.wire import Wire, WireError

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 10.0


@asynccontextmanager
async def connected(server: McpServer, token: str, wire: Wire) -> AsyncGenerator[tuple[Any, Any]]:
    """The streams of the package, as one of its transports."""
    import httpx2  # noqa: PLC0415 - comes with the package
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415 - as above

    tls = _authorities(http.configured.limits.ca_file) if server.url.startswith("https:") else False
    client = httpx2.AsyncClient(
        transport=_transport(httpx2.AsyncHTTPTransport(verify=tls, trust_env=False), token, wire),
        trust_env=False,
        follow_redirects=False,
        # The package follows some by itself.
        max_redirects=0,
        # How long an answer may take is the node's to say.
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
    )
    async with (
        client,
        streamable_http_client(server.url, http_client=client, max_sse_event_size=wire.limit) as (incoming, outgoing),
    ):
        yield incoming, outgoing


@lru_cache(maxsize=4)
def _authorities(ca_file: str | None) -> ssl.SSLContext:
    import certifi  # noqa: PLC0415 - only what calls over TLS loads it

    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def _transport(inner: "httpx2.AsyncBaseTransport", token: str, wire: Wire) -> "httpx2.AsyncBaseTransport":
    """Requests as the wire makes them, and answers as it lets them through."""
    import httpx2  # noqa: PLC0415 - comes with the package

    class Transport(httpx2.AsyncBaseTransport):
        @override
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            content = await request.aread()
            content = wire.outgoing(content) if content else content
            is_call = wire.is_sent
            try:
                response = await inner.handle_async_request(_with(request, content, token))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                wire.trouble, wire.is_sent = "cannot be reached", False
                raise
            except httpx2.TransportError:
                _note_broken(wire, request)
                raise
            if request.method == "POST":
                wire.http_status, wire.wait = response.status_code, _seconds(response)
            if is_call and 300 <= response.status_code <= 499:
                wire.is_sent = False
            if response.headers.get("content-encoding", "identity") != "identity":
                wire.trouble = "compresses its answers, which nobody asked for"
                raise httpx2.DecodingError(wire.trouble)
            response.stream = _watched(request, response, wire)
            return response

        @override
        async def aclose(self) -> None:
            await inner.aclose()

    return Transport()


def _with(request: "httpx2.Request", content: bytes, token: str) -> "httpx2.Request":
    import httpx2  # noqa: PLC0415 - comes with the package

    changed = {b"user-agent", b"accept-encoding", b"content-length", b"transfer-encoding"}
    headers = [(name, value) for name, value in request.headers.raw if name.lower() not in changed]
    headers.append((b"User-Agent", b"PasteTrader"))
    # A few bytes could become gigabytes.
    headers.append((b"Accept-Encoding", b"identity"))
    if token:
        headers.append((b"Authorization", b"Bearer " + token.encode()))
    return httpx2.Request(
        request.method, request.url, headers=headers, content=content or None, extensions=request.extensions
    )


def _note_broken(wire: Wire, request: "httpx2.Request") -> None:
    # The stream of what the server has to say between calls may end at any time.
    if request.method == "POST":
        wire.trouble = wire.trouble or "broke the connection"


def _seconds(response: "httpx2.Response") -> float | None:
    """How long the server asks to wait; not as a date."""
    text = response.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _watched(request: "httpx2.Request", response: "httpx2.Response", wire: Wire) -> "httpx2.AsyncByteStream":
    """The same bytes, seen by the wire before the package gets them."""
    import httpx2  # noqa: PLC0415 - comes with the package

    stream = cast("httpx2.AsyncByteStream", response.stream)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code >= 400:
        # Whatever it says, it is no answer.
        kind = ""

    class Watched(httpx2.AsyncByteStream):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            events, whole = _Events(), bytearray()
            try:
                async for part in stream:
                    wire.count(len(part))
                    if kind == "application/json":
                        whole += part
                    elif kind == "text/event-stream":
                        for message in events.of(part):
                            wire.incoming(message)
                    yield part
                if whole:
                    wire.incoming(bytes(whole))
            except WireError as error:
                raise httpx2.DecodingError(str(error)) from None
            except httpx2.TransportError:
                _note_broken(wire, request)
                raise

        @override
        async def aclose(self) -> None:
            await stream.aclose()

    return Watched()


class _Events:
    """The data of server-sent events, as they become whole."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._data: list[bytes] = []

    def of(self, part: bytes) -> list[bytes]:
        found: list[bytes] = []
        self._begun += part
        if b"\n" not in part:
            return found
        *lines, rest = bytes(self._begun).replace(b"\r\n", b"\n").split(b"\n")
        # A line break may come in two parts.
        self._begun = bytearray(rest)
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                if data := b"\n".join(self._data).strip():
                    found.append(data)
                self._data = []
        return found
