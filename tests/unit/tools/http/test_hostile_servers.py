"""A server that wants to do harm costs its node no more than the limits, and the process nothing."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.http_server import Connection, Request, json, plain, serving
from tests.unit.tools.http.conftest import Call
from workflows_app.tools.http import client
from workflows_app.tools.http.errors import HttpBroken, HttpError, HttpResponseError, HttpTimeout, HttpTooLarge


def gzipped(data: bytes) -> bytes:
    # Without the time: names of tests are the same in every process.
    return gzip.compress(data, mtime=0)


pytestmark = pytest.mark.usefixtures("limited")

# Loaded before memory is looked at.
assert client
MIB = 1024**2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


def bomb(encoding: str, blocks: int) -> AsyncIterator[bytes]:
    """`blocks` MiB of zeros, compressed as one stream: 1 KiB each."""
    window = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}[encoding]
    stream = zlib.compressobj(9, zlib.DEFLATED, window)
    first = stream.compress(b"") + stream.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same again is the same bytes.
    block = stream.compress(bytes(MIB)) + stream.flush(zlib.Z_FULL_FLUSH)

    async def parts() -> AsyncIterator[bytes]:
        yield first
        for _ in range(blocks):
            yield block

    return parts()


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(64 * 1024)


async def tiny_members() -> AsyncIterator[bytes]:
    member = gzipped(b"") * 1000
    while True:
        yield member


class Sending:
    """Answers with these parts for as long as somebody reads, and counts what was sent."""

    def __init__(self, head: bytes, parts: Callable[[], AsyncIterator[bytes]], *, pause: float = 0) -> None:
        self._head = head
        self._parts = parts
        self._pause = pause
        self.sent = 0

    async def __call__(self, _request: Request, connection: Connection) -> None:
        connection.write(self._head)
        async for part in self._parts():
            connection.write(part)
            self.sent += len(part)
            await connection.drain()
            await asyncio.sleep(self._pause)
        connection.close()


async def peak_of(call: Call, url: str) -> int:
    """The most memory that the failing call took, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(HttpTooLarge):
            _ = await call(url, response="bytes")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("blocks", [10, 10 * 1024])
async def test_a_bomb_is_not_expanded_beyond_the_limit(
    call: Call, encoding: str, blocks: int, figure: Callable[..., None]
) -> None:
    answer = Sending(HEAD + b"Content-Encoding: %b\r\n\r\n" % encoding.encode(), lambda: bomb(encoding, blocks))
    async with serving(answer) as server:
        peak = await peak_of(call, server.url)
    assert peak < 16 * MIB
    figure(f"HTTP bomb: {encoding} of {blocks} MiB, memory at most {peak / MIB:.0f} MiB")


async def test_with_another_limit_the_same_bomb_takes_what_it_is_given(
    call: Call, limited: Callable[..., None]
) -> None:
    limited(response_bytes=64 * MIB)
    answer = Sending(HEAD + b"Content-Encoding: gzip\r\n\r\n", lambda: bomb("gzip", 10 * 1024))
    async with serving(answer) as server:
        assert await peak_of(call, server.url) > 64 * MIB


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        (HEAD + b"\r\n", endless),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", endless),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n", tiny_members),
        (HEAD + b"Content-Length: 5000000\r\n\r\n", endless),
    ],
)
async def test_an_endless_body_is_not_read_to_its_end(
    call: Call, head: bytes, parts: Callable[[], AsyncIterator[bytes]]
) -> None:
    answer = Sending(head, parts)
    async with serving(answer) as server:
        assert await peak_of(call, server.url) < 16 * MIB
        await server.until(lambda server: server.ended == 1)
    # What the system's buffers hold besides.
    assert answer.sent < 24 * MIB


async def test_all_pages_together_are_bounded(call: Call, limited: Callable[..., None]) -> None:
    limited(response_bytes=10_000)

    async def answer(request: Request, connection: Connection) -> None:
        number = int(request.target.removeprefix("/"))
        connection.write(json(f'["{"x" * 990}"]', link=f"</{number + 1}>; rel=next"))

    async with serving(answer) as server:
        with pytest.raises(HttpTooLarge, match="more than 10000 bytes"):
            _ = await call(f"{server.url}/0", pagination={"link": True})
    assert len(server.requests) == 11


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b"x"


async def informs_forever() -> AsyncIterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "parts"),
    [(HEAD + b"\r\n", drip), (b"HTTP/1.1 200 OK\r\nX: ", drip), (b"", informs_forever)],
)
async def test_one_byte_at_a_time_ends_with_the_time_of_the_call(
    call: Call, head: bytes, parts: Callable[[], AsyncIterator[bytes]], limited: Callable[..., None]
) -> None:
    limited(total_seconds=0.2)
    async with serving(Sending(head, parts, pause=0.01)) as server:
        with pytest.raises(HttpTimeout):
            _ = await call(server.url)
        await server.until(lambda server: server.ended == 1)


async def many_headers() -> AsyncIterator[bytes]:
    while True:
        yield b"X-Header: value\r\n" * 1000


@pytest.mark.parametrize(
    ("head", "parts", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\n", many_headers, HttpBroken),
        (b"HTTP/1.1 200 OK\r\nX: ", endless, HttpBroken),
        (b"", endless, HttpBroken),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 201 + b"\r\n", drip, HttpTooLarge),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 66_000 + b"\r\n\r\n", drip, HttpTooLarge),
    ],
)
async def test_headers_without_end_are_refused(
    call: Call, head: bytes, parts: Callable[[], AsyncIterator[bytes]], kind: type[HttpError]
) -> None:
    async with serving(Sending(head, parts)) as server:
        with pytest.raises(kind):
            _ = await call(server.url)
        await server.until(lambda server: server.ended == len(server.requests))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("[" * 100_000, "no JSON that can be kept"),
        ("[" * 100_000 + "]" * 100_000, "no JSON that can be kept"),
        ('{"a":' * 65 + "1" + "}" * 65, "more than 64 levels"),
        ("1" * 5000, "no JSON that can be kept"),
        (f"[{'9' * 78}]", "no JSON that can be kept"),
        ("NaN", "no JSON that can be kept"),
        ("[Infinity]", "no JSON that can be kept"),
        ("[1e999]", "no JSON that can be kept"),
        ("1." + "1" * 70, "no JSON that can be kept"),
        (r'"\u0000"', "no JSON that can be kept"),
        ('"\0"', "no JSON that can be kept"),
        (r'{"\ud800": 1}', "no JSON that can be kept"),
        ('"\ud800"', "no JSON that can be kept"),
        ("{secret", "no JSON that can be kept"),
        ("{} {}", "no JSON that can be kept"),
        ("<html>secret</html>", "no JSON that can be kept"),
    ],
)
async def test_json_that_cannot_be_kept_is_a_clean_error(call: Call, body: str, sentence: str) -> None:
    async with serving(json(body)) as server:
        with pytest.raises(HttpResponseError) as caught:
            _ = await call(server.url)
    assert str(caught.value).startswith(f"The answer to GET 127.0.0.1:{server.port} ")
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.retryable is False


async def test_of_a_key_that_comes_twice_the_last_value_counts(call: Call) -> None:
    async with serving(json('{"a": 1, "a": 2}')) as server:
        assert (await call(server.url))["body"] == {"a": 2}


async def test_64_levels_are_read(call: Call) -> None:
    async with serving(json("[" * 64 + "]" * 64)) as server:
        _ = await call(server.url)


@pytest.mark.parametrize(
    ("encoding", "body", "sentence"),
    [
        ("br", b"x", "in a way that was not asked for"),
        ("zstd", b"x", "in a way that was not asked for"),
        ("gzip, gzip", gzipped(gzipped(b"x")), "in a way that was not asked for"),
        ("gzip", b"no gzip", "not compressed as it says"),
        ("gzip", gzipped(b"x" * 100)[:-10], "ends too early"),
        ("deflate", b"\xff\xff\xff", "not compressed as it says"),
    ],
)
async def test_an_encoding_that_cannot_be_read_is_a_clean_error(
    call: Call, encoding: str, body: bytes, sentence: str
) -> None:
    async with serving(plain(200, body, content_encoding=encoding)) as server:
        with pytest.raises(HttpResponseError, match=sentence):
            _ = await call(server.url)


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzipped(b"[1]")),
        ("GZIP", gzipped(b"[") + gzipped(b"1]")),
        ("x-gzip", gzipped(b"[1]")),
        ("deflate", zlib.compress(b"[1]")),
        ("deflate", raw_deflate(b"[1]")),
        ("identity", b"[1]"),
    ],
)
async def test_compressed_bodies_are_read(call: Call, encoding: str, body: bytes) -> None:
    answer = plain(200, body, content_encoding=encoding, content_type="application/json")

    async def byte_by_byte(_request: Request, connection: Connection) -> None:
        for place in range(len(answer)):
            connection.write(answer[place : place + 1])
            await connection.drain()

    for given in (answer, byte_by_byte):
        async with serving(given) as server:
            assert (await call(server.url))["body"] == [1]


async def test_text_with_a_nul_is_a_clean_error(call: Call) -> None:
    async with serving(plain(200, b"a\0b", content_type="text/plain")) as server:
        with pytest.raises(HttpResponseError, match=r"U\+0000"):
            _ = await call(server.url)


SMUGGLED: list[Any] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n X: folded\r\n\r\n",
    b"HTTP/1.1 99999 OK\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"\r\n\r\n\r\n\r\n",
]


@pytest.mark.parametrize("answer", SMUGGLED)
async def test_what_is_not_http_is_an_error_and_its_connection_is_not_used_again(
    call: Call, answer: bytes, limited: Callable[..., None]
) -> None:
    limited(total_seconds=0.5)
    async with serving(answer) as server:
        with pytest.raises((HttpBroken, HttpTimeout)):
            _ = await call(server.url)
        await server.until(lambda server: server.ended == server.connections)


async def test_an_answer_that_comes_before_its_request_is_not_taken_for_the_next(call: Call) -> None:
    """A second answer that nobody asked for must not be given to the next request on the connection."""
    async with serving(
        plain(200, b"a", content_type="text/plain") + plain(200, b"planted", content_type="text/plain")
    ) as server:
        assert (await call(server.url))["body"] == "a"
        assert (await call(server.url))["body"] == "a"
    assert server.connections == 2
