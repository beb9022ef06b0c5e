"""Connections to checked addresses: a pool for each event loop, bounded, closed with its loop.

A name is resolved once, all its addresses are checked, and the connection goes to one of these addresses; TLS and the
Host header keep the name. Nothing comes from the environment: no proxies, no netrc.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast, override
from weakref import WeakKeyDictionary

import certifi
import httpcore

from workflows_app.tools.http.addresses import check_address, check_host
from workflows_app.tools.http.limits import HttpLimits

# Less than the 5 s after which common servers close: a request that meets a closing connection is lost.
KEPT_SECONDS = 4.0

type Option = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
type Stream = httpcore.AsyncNetworkStream
type Connection = httpcore.AsyncHTTPConnection
# Scheme, host and port.
type Origin = tuple[bytes, bytes, int]
type Loop = asyncio.AbstractEventLoop


async def _resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, in the order of the system's preference. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(cast(str, entry[4][0]) for entry in found))


async def _dial(address: str, port: int, seconds: float) -> Stream:
    # httpcore's types know it only where anyio is not installed.
    backend: Any = httpcore.AnyIOBackend()
    return cast(Stream, await backend.connect_tcp(address, port, timeout=seconds))


@dataclass(slots=True)
class Network:
    """How names become addresses and addresses connections."""

    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = _resolve
    dial: Callable[[str, int, float], Awaitable[Stream]] = _dial


network = Network()


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the guard lets through, and to nothing else."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Option] | None = None,
    ) -> Stream:
        """Raises `HttpForbidden`, and httpcore's errors."""
        del local_address, socket_options
        allowed = self._limits.allowed
        check_host(host, port, allowed)
        seconds = self._limits.connect_seconds if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                addresses = await network.resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except (OSError, UnicodeError):
            raise httpcore.ConnectError from None
        for address in addresses:
            check_address(host, address, port, allowed)
        return await _first_that_answers(addresses, port, seconds)

    @override
    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Option] | None = None,
    ) -> Stream:
        raise httpcore.UnsupportedProtocol

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _first_that_answers(addresses: Sequence[str], port: int, seconds: float) -> Stream:
    """Try one after the other; each has an equal part of the time that is left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    failed: Exception = httpcore.ConnectError()
    for position, address in enumerate(addresses):
        part = max(deadline - loop.time(), 0.001) / (len(addresses) - position)
        try:
            return await network.dial(address, port, part)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            failed = error
    raise failed


class Pool:
    """The connections of one event loop under one set of limits.

    httpcore's own pool looks through all its connections at every request; this one knows where the idle ones are.
    """

    def __init__(self, limits: HttpLimits, tls: ssl.SSLContext) -> None:
        self.limits = limits
        self._tls = tls
        self._backend = GuardedBackend(limits)
        self._slots = asyncio.Semaphore(limits.connections)
        # Those of each origin, the one that was used last at the end.
        self._idle: dict[Origin, list[Connection]] = {}
        self._used: set[Connection] = set()
        self._swept = asyncio.get_running_loop().time()

    def slot(self) -> asyncio.Semaphore:
        """To be held by a call from its first request to its last answer."""
        return self._slots

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._used) + self._idle_count

    @asynccontextmanager
    async def answer(self, request: httpcore.Request, *, repeatable: bool) -> AsyncGenerator[httpcore.Response]:
        """Send a request; its answer's body is there to be read inside. Raises httpcore's errors, `HttpForbidden`.

        A connection that was kept may be closed by the other side just now. What is repeatable is then sent again.
        """
        target = request.url.origin
        origin = target.scheme, target.host, target.port
        connection = await self._kept(origin)
        if connection is not None:
            try:
                async with self._in_use(connection, origin), _closing(await _sent(connection, request)) as response:
                    yield response
                    return
            except _Stale:
                if not repeatable:
                    raise httpcore.ReadError from None
        await self._make_room()
        connection = httpcore.AsyncHTTPConnection(
            target, ssl_context=self._tls, keepalive_expiry=KEPT_SECONDS, network_backend=self._backend
        )
        async with (
            self._in_use(connection, origin),
            _closing(await connection.handle_async_request(request)) as response,
        ):
            yield response

    async def close(self) -> None:
        closing = [*self._used, *(one for kept in self._idle.values() for one in kept)]
        self._idle.clear()
        for connection in closing:
            await connection.aclose()

    @property
    def _idle_count(self) -> int:
        return sum(map(len, self._idle.values()))

    async def _kept(self, origin: Origin) -> Connection | None:
        """The idle connection to an origin that was used last, where there is one that still stands."""
        kept = self._idle.get(origin, [])
        while kept:
            connection = kept.pop()
            if not (connection.has_expired() or connection.is_closed()):
                return connection
            await connection.aclose()
        return None

    @asynccontextmanager
    async def _in_use(self, connection: Connection, origin: Origin) -> AsyncGenerator[None]:
        self._used.add(connection)
        try:
            yield
        finally:
            self._used.discard(connection)
            # What was not read to its end is not kept.
            if connection.is_idle() and not _has_more(connection):
                self._idle.setdefault(origin, []).append(connection)
            else:
                await connection.aclose()

    async def _make_room(self) -> None:
        """Before another connection: close what is idle for too long, and one more where there are too many."""
        now = asyncio.get_running_loop().time()
        if now - self._swept > KEPT_SECONDS:
            self._swept = now
            kept, self._idle = self._idle, {}
            for origin, connections in kept.items():
                for connection in connections:
                    if connection.has_expired() or connection.is_closed():
                        await connection.aclose()
                    else:
                        self._idle.setdefault(origin, []).append(connection)
        if self.open >= self.limits.connections:
            for connections in self._idle.values():
                if connections:
                    await connections.pop(0).aclose()
                    return


def _has_more(connection: Connection) -> bool:
    """Whether more came than the answer: the next request would take it for its own."""
    # httpcore does not look. Where a later one keeps it elsewhere, no connection is used twice, and tests tell.
    state: Any = getattr(getattr(connection, "_connection", None), "_h11_state", None)
    return state is None or state.trailing_data != (b"", False)


class _Stale(Exception):
    """A kept connection was closed before it answered."""


async def _sent(connection: Connection, request: httpcore.Request) -> httpcore.Response:
    try:
        return await connection.handle_async_request(request)
    except (httpcore.NetworkError, httpcore.RemoteProtocolError, httpcore.ConnectionNotAvailable):
        raise _Stale from None


@asynccontextmanager
async def _closing(response: httpcore.Response) -> AsyncGenerator[httpcore.Response]:
    try:
        yield response
    finally:
        await response.aclose()


# The pool of each loop, and the generator whose end closes it.
_pools: WeakKeyDictionary[Loop, tuple[Pool, AsyncGenerator[None]]] = WeakKeyDictionary()
_changing = threading.Lock()


async def pool_for(limits: HttpLimits) -> Pool:
    """The pool of the running loop; another one where the limits have changed."""
    loop = asyncio.get_running_loop()
    kept = _pools.get(loop)
    if kept is not None and kept[0].limits == limits:
        return kept[0]
    tls = await asyncio.to_thread(_tls, limits.ca_file)
    kept = _pools.get(loop)
    if kept is not None and kept[0].limits == limits:
        return kept[0]
    pool = Pool(limits, tls)
    closing = _closed_with_its_loop(loop, pool)
    with _changing:
        # A loop that was closed without its generators has dropped its connections by itself.
        for gone in [one for one in _pools if one.is_closed()]:
            del _pools[gone]
        _pools[loop] = pool, closing
    await anext(closing)
    if kept is not None:
        # Calls that are under way in the old one fail as by a broken connection, at a change of the settings only.
        await kept[1].aclose()
    return pool


async def _closed_with_its_loop(loop: Loop, pool: Pool) -> AsyncGenerator[None]:
    """Every runner of an event loop ends the loop's generators before it closes it."""
    try:
        yield
    finally:
        with _changing:
            if (kept := _pools.get(loop)) is not None and kept[0] is pool:
                del _pools[loop]
        await pool.close()


@lru_cache(maxsize=4)
def _tls(ca_file: str | None) -> ssl.SSLContext:
    """Made once: reading the authorities takes some milliseconds, hence in a thread."""
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


# Their lines hold whole addresses, headers included.
for name in ("httpcore", "httpx"):
    logging.getLogger(name).setLevel(logging.WARNING)
