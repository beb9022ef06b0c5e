"""One call: its requests, one after the other, within the limits; every failure as an error of ours."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast

import httpcore

from workflows_app.dag.types import JsonValue
from workflows_app.tools.errors import NodeInputError
from workflows_app.tools.http import bodies, composition
from workflows_app.tools.http.connections import Pool, pool_for
from workflows_app.tools.http.errors import (
    HttpBroken,
    HttpClientError,
    HttpConnectError,
    HttpError,
    HttpResponseError,
    HttpServerError,
    HttpStatusError,
    HttpTimeout,
    HttpTooLarge,
    HttpTryAgain,
)
from workflows_app.tools.http.inputs import Inputs
from workflows_app.tools.http.limits import configured
from workflows_app.tools.http.messages import SAFE_METHODS, Message
from workflows_app.tools.http.pages import Pager, pager_of

if TYPE_CHECKING:
    from workflows_app.tools.http.request import Answer

MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AT_THE_WRONG_TIME = frozenset({408, 425, 429})
# Headers of answers that stay out of the record: a session's key, and what concerns one connection.
_NOT_KEPT = frozenset(
    {"set-cookie", "set-cookie2", "connection", "keep-alive", "transfer-encoding", "proxy-authenticate", "trailer"}
)


async def call(inputs: Inputs) -> "Answer":
    """Raises `HttpError`, `NodeInputError`."""
    limits = configured.limits
    seconds = limits.total_seconds
    if inputs.timeout_seconds is not None:
        if inputs.timeout_seconds <= 0:
            raise NodeInputError("The input 'timeout_seconds' of tool 'http.request' must be more than 0.")
        seconds = min(seconds, float(inputs.timeout_seconds))
    if not 0 <= inputs.follow_redirects <= MAX_REDIRECTS:
        raise NodeInputError(f"The input 'follow_redirects' of tool 'http.request' goes from 0 to {MAX_REDIRECTS}.")
    pager = pager_of(inputs.pagination)
    message = composition.composed(inputs, limits.allowed)
    pool = await pool_for(limits)
    async with pool.slot():
        try:
            async with asyncio.timeout(seconds):
                return await _Call(pool, inputs).answer(message, pager)
        except TimeoutError:
            sentence = f"{message.place} did not answer in full within {seconds:g} s."
            raise _lost(HttpTimeout(sentence), inputs.method) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An expected answer, and the request that got it."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class _Redirect:
    status: int
    location: str


class _Call:
    """What the requests of one call share."""

    def __init__(self, pool: Pool, inputs: Inputs) -> None:
        self._pool = pool
        self._inputs = inputs
        self._limits = pool.limits
        self._budget = bodies.Budget(pool.limits.response_bytes)
        # Whether a request of the call was answered as it should be.
        self._is_begun = False

    async def answer(self, message: Message, pager: Pager | None) -> "Answer":
        try:
            return await self._answer(message, pager)
        except HttpError as error:
            # A redirect or a page failed: the request before it may have had its effect.
            if self._is_begun and error.retryable:
                _ = _lost(error, self._inputs.method)
            raise

    async def _answer(self, message: Message, pager: Pager | None) -> "Answer":
        received = await self._received(message)
        body = self._value(received)
        if pager is None:
            return self._told(received, body)
        with _about(received.message):
            url = pager.add(received.message.url, received.headers, body, self._limits.allowed)
        while url is not None:
            received = await self._received(received.message.elsewhere(url))
            body = self._value(received)
            with _about(received.message):
                url = pager.add(received.message.url, received.headers, body, self._limits.allowed)
        told = self._told(received, cast("JsonValue", pager.items))
        return {**told, "pages": pager.count, "complete": pager.is_complete}

    def _told(self, received: Received, body: JsonValue) -> "Answer":
        headers = {name: value for name, value in received.headers.items() if name not in _NOT_KEPT}
        return {"status": received.status, "headers": headers, "body": body, "url": str(received.message.url)}

    def _value(self, received: Received) -> JsonValue:
        content_type = received.headers.get("content-type", "")
        with _about(received.message):
            return bodies.value_of(received.content, self._inputs.response, content_type, self._limits.json_depth)

    async def _received(self, message: Message) -> Received:
        """The answer at the end of the redirects."""
        for _ in range(self._inputs.follow_redirects + 1):
            found = await self._exchanged(message)
            if isinstance(found, Received):
                return found
            with _about(message):
                message = message.redirected(found.status, found.location, self._limits.allowed)
        raise HttpResponseError(
            f"{message.place} and those before it redirect more than {self._inputs.follow_redirects} times."
        )

    async def _exchanged(self, message: Message) -> Received | _Redirect:
        repeatable = self._inputs.method in SAFE_METHODS
        sending = self._pool.answer(_request(message), repeatable=repeatable)
        async with self._failures_named(message), sending as response:
            with _about(message):
                headers = self._headers(response.headers)
            location = headers.get("location")
            if response.status in _REDIRECTS and location and self._inputs.follow_redirects:
                self._is_begun = True
                return _Redirect(response.status, location)
            if not self._is_expected(response.status):
                raise _status_error(message, response.status, headers)
            content = b""
            if message.method != "HEAD":
                with _about(message):
                    content = await bodies.read(response.aiter_stream(), headers, self._budget)
            self._is_begun = True
            return Received(status=response.status, headers=headers, content=content, message=message)

    def _is_expected(self, status: int) -> bool:
        return 200 <= status <= 299 if self._inputs.expect is None else status in self._inputs.expect

    def _headers(self, given: Sequence[tuple[bytes, bytes]]) -> Mapping[str, str]:
        """By lower-case names; those of the same name in one."""
        size = sum(len(name) + len(value) for name, value in given)
        if len(given) > self._limits.header_count or size > self._limits.header_bytes:
            raise HttpTooLarge(
                f"has more than {self._limits.header_count} headers, or more than {self._limits.header_bytes} bytes "
                + "of them."
            )
        found: dict[str, str] = {}
        for raw_name, raw_value in given:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @asynccontextmanager
    async def _failures_named(self, message: Message) -> AsyncGenerator[None]:
        """Raise httpcore's errors as ours, without their texts, which may quote the request or the answer."""
        try:
            yield
        except httpcore.ConnectTimeout:
            seconds = self._limits.connect_seconds
            raise HttpConnectError(f"{message.place}: no connection within {seconds:g} s.") from None
        except httpcore.ConnectError as error:
            is_tls = _is_about_certificate(error)
            reason = "its certificate is not valid" if is_tls else "the host is unknown or refuses it"
            raise HttpConnectError(f"{message.place}: no connection, {reason}.") from None
        except httpcore.LocalProtocolError:
            raise NodeInputError(f"{message.place}: its headers cannot be written as HTTP. Check them.") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            sentence = f"{message.place}: the connection ended before the answer did, or it was not HTTP."
            raise _lost(HttpBroken(sentence), self._inputs.method) from None


def _request(message: Message) -> httpcore.Request:
    url = message.url
    headers = [(b"Host", url.netloc)]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in message.headers.items()]
    if message.content or message.method not in SAFE_METHODS | {"DELETE"}:
        headers.append((b"Content-Length", b"%d" % len(message.content)))
    return httpcore.Request(
        method=message.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=headers,
        content=message.content,
    )


class _about:  # noqa: N801 - reads as a function
    """Make whole sentences of what is said about an answer."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HttpResponseError) and not error.args[0].startswith("The answer"):
            raise type(error)(f"The answer to {self._message.place} {error}") from None


def _lost(error: HttpError, method: str) -> HttpError:
    """An error after which nobody knows whether the request was carried out."""
    error.outcome_unknown = method not in SAFE_METHODS
    return error


def _is_about_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ == "SSLCertVerificationError":
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _status_error(message: Message, status: int, headers: Mapping[str, str]) -> HttpStatusError:
    sentence = f"{message.place} answered {status}."
    if status in _REDIRECTS:
        return HttpStatusError(f"{sentence} That is a redirect: set 'follow_redirects' if it is to be followed.")
    sentence = f"{sentence} If such an answer is of use, add {status} to 'expect'."
    wait = retry_after(headers)
    if status in _AT_THE_WRONG_TIME:
        return HttpTryAgain(sentence, retry_after=wait)
    if 400 <= status <= 499:
        return HttpClientError(sentence)
    if status >= 500:
        return HttpServerError(sentence, retry_after=wait)
    return HttpStatusError(sentence)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of `Retry-After`; of a date, those since the answer's own `Date`, so that no clock has to agree."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text) if len(text) < 10 else None
    try:
        then, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
