"""A server on the loopback interface that answers whatever bytes a test wants, and tells what it was sent."""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import override


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    # By lower-case names.
    headers: Mapping[str, str]
    body: bytes


type Answer = Callable[[Request, "Connection"], Awaitable[None]]


def plain(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer; `content_type` is `Content-Type`."""
    told = {"content_length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Answer", *(f"{name.replace('_', '-')}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def json(body: str, status: int = 200, **headers: str) -> bytes:
    return plain(status, body.encode("utf-8", "surrogatepass"), content_type="application/json", **headers)


@dataclass
class Server:
    answer: Answer
    port: int = 0
    connections: int = 0
    # Connections that ended, from either side.
    ended: int = 0
    requests: list[Request] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    open: set["Connection"] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def until(self, condition: Callable[["Server"], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self):
                self.waiting.append(asyncio.get_running_loop().create_future())
                await self.waiting[-1]

    def changed(self) -> None:
        while self.waiting:
            future = self.waiting.pop()
            if not future.done():
                future.set_result(None)


class Connection(asyncio.Protocol):
    """One connection: requests are answered one after the other."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self._at_work: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections += 1
        self._server.open.add(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._server.ended += 1
        self._server.open.discard(self)
        self._writable.set()
        if self._at_work is not None:
            _ = self._at_work.cancel()
        self._server.changed()

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        self._next()

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the other side has read; gives the others a turn in any case."""
        await asyncio.sleep(0)
        _ = await self._writable.wait()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _next(self) -> None:
        request, length = _parsed(self._received)
        if request is not None and (self._at_work is None or self._at_work.done()):
            self._received = self._received[length:]
            self._server.requests.append(request)
            self._server.changed()
            self._at_work = asyncio.ensure_future(self._server.answer(request, self))


def _parsed(received: bytes) -> tuple[Request | None, int]:
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        return None, 0
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(headers.get("content-length", "0"))
    if len(rest) < size:
        return None, 0
    return Request(method, target, headers, rest[:size]), len(head) + len(end) + size


@asynccontextmanager
async def serving(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that gives this answer, or calls it for each request."""

    async def same(_request: Request, connection: Connection) -> None:
        assert isinstance(answer, bytes)
        connection.write(answer)

    server = Server(same if isinstance(answer, bytes) else answer)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for connection in tuple(server.open):
            connection.abort()
        await server.until(lambda server: not server.open)


@contextmanager
def serving_in_thread(answer: Answer | bytes) -> Iterator[Server]:
    """The same beside the test, in a loop of its own, for tests that are no coroutines."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="http server")
    thread.start()

    def there[T](work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    context = serving(answer)
    try:
        yield there(context.__aenter__())
    finally:
        _ = there(context.__aexit__(None, None, None))
        _ = loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
