"""`/mcp`: the protocol over HTTP, beside the pages of the site. Every request stands for itself and shows its token."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import DEFAULT_NEGOTIATED_VERSION as OLDEST
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS

from executions_app.mcp.call import Client, in_thread
from executions_app.mcp.envelope import opened, sealed
from executions_app.mcp.operations import OPERATIONS
from executions_app.mcp.server import server_for
from executions_app.problems import REFUSALS, Problem, problem_of
from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext
from workflows_app.rest.auth import let_in
from workflows_app.rest.codec import JSON
from workflows_app.rest.errors import (
    BodyTooLarge,
    ForeignOrigin,
    InvalidRequest,
    LengthRequired,
    MethodNotAllowed,
    Unauthenticated,
    UnsupportedMedia,
)

type Scope = dict[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

_LOCAL = ["localhost", "127.0.0.1", "[::1]"]
_CLIENT = "pastetrader.client"


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, as an ASGI application."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        _refuse_what_is_no_call(scope, headers)
        client = await _client(scope, headers)
        _refuse_long_bodies(headers)
        message = _sealed(await _body(receive))
    except ConnectionError:
        # Nobody waits for an answer.
        return
    except REFUSALS as error:
        await _tell(problem_of(error), send)
        return
    # It serves one request: a server such as daphne has no lifespan in which one could wait for many.
    is_whole = headers.get("mcp-protocol-version", OLDEST) in HANDSHAKE_PROTOCOL_VERSIONS and not _tells(message)
    manager = StreamableHTTPSessionManager(_server(), stateless=True, json_response=is_whole)
    inner = {**scope, "headers": _headers(scope, len(message)), _CLIENT: client}
    async with manager.run():
        await manager.handle_request(inner, _Again(message, receive), _Opening(send))


@cache
def _server() -> Any:
    return server_for(lambda request: request.scope[_CLIENT])


def _refuse_what_is_no_call(scope: Scope, headers: Mapping[str, str]) -> None:
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin):
        raise ForeignOrigin
    if scope["method"] != "POST":
        # There is no stream between requests, and no session to end.
        raise MethodNotAllowed(scope["method"], "POST")


def _is_own(origin: str) -> bool:
    """Whether a page of this site sends it: the rule of sockets."""
    hosts = settings.ALLOWED_HOSTS or (_LOCAL if settings.DEBUG else [])
    try:
        parsed = urlsplit(origin)
        host = parsed.hostname or ""
    except ValueError:
        return False
    shown = f"[{host}]" if ":" in host else host
    return parsed.scheme in {"http", "https"} and bool(host) and validate_host(shown, hosts)


async def _client(scope: Scope, headers: Mapping[str, str]) -> Client:
    """Who calls. Raises what the API raises for a token."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise Unauthenticated
    address = str(scope["client"][0]) if scope.get("client") else ""
    bearer = await in_thread(lambda: let_in(token.strip(), address))
    return Client(enter=lambda: bearer, address=address)


def _refuse_long_bodies(headers: Mapping[str, str]) -> None:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise UnsupportedMedia(media_type, [JSON])
    if "transfer-encoding" in headers and "content-length" not in headers:
        raise LengthRequired
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > workflow_settings().document_bytes:
        raise BodyTooLarge(workflow_settings().document_bytes)


async def _body(receive: Receive) -> bytes:
    limit, parts, size = workflow_settings().document_bytes, list[bytes](), 0
    while True:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise ConnectionAbortedError
        parts.append(part.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(limit)
        if not part.get("more_body"):
            return b"".join(parts)


def _sealed(body: bytes) -> bytes:
    try:
        return sealed(body)
    except jsontext.JsonError as error:
        raise InvalidRequest(f"The body is not JSON: {error}") from error


def _tells(message: bytes) -> bool:
    """Whether more than an answer may come of a message.

    Clients of the older generation take no long event of a stream, but a long answer; those of the newer one get a
    stream where there is something to tell before the answer, and not otherwise.
    """
    match json.loads(message):
        case {"params": {"_meta": {"progressToken": _}}}:
            return True
        case {"params": {"name": str() as name}}:
            return name in OPERATIONS and OPERATIONS[name].tells
        case _:
            return False


def _headers(scope: Scope, length: int) -> list[tuple[bytes, bytes]]:
    rest = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
    return [*rest, (b"content-length", str(length).encode())]


class _Again:
    """A body that was read, once more; then what the client does."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Opening:
    """Opens the envelopes of an answer. Each part of it has whole messages."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        message = {**message, "body": opened(message.get("body", b""))}
        if self._start is not None:
            start, self._start = self._start, None
            await self._send({**start, "headers": self._headers(start, message)})
        await self._send(message)

    def _headers(self, start: Message, first: Message) -> list[tuple[bytes, bytes]]:
        """With the length that it has now, and for no cache."""
        given = {bytes(name).lower(): bytes(value) for name, value in start["headers"]}
        _ = given.pop(b"content-length", None)
        if not first.get("more_body"):
            given[b"content-length"] = str(len(first["body"])).encode()
        return list((given | {b"cache-control": b"no-store, no-transform"}).items())


async def _tell(problem: Problem, send: Send) -> None:
    body = jsontext.dumps(problem.as_json()).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if problem.status == Unauthenticated.status:
        headers.append((b"www-authenticate", b"Bearer"))
    if problem.status == MethodNotAllowed.status:
        headers.append((b"allow", b"POST"))
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(problem.retry_after)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
