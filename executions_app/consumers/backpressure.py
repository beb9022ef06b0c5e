"""Bounds on what a client sends and on what it does not read, where the server has none by itself.

Daphne hands every message to Twisted at once, which keeps what the client has not read, without a bound; and one that
is longer than what clients may send it drops. Here a message goes out in pieces, each when the one before it has left,
as Twisted tells a producer.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# The longest message of a client, and the pieces of ours.
MESSAGE_BYTES = 16 * 1024
PIECE_BYTES = 64 * 1024

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Message, Receive, Send], Awaitable[Any]]


def paced(application: Application) -> Application:
    """The application with a `send` that returns when the client's connection can take more."""

    async def with_pace(scope: Message, receive: Receive, send: Send) -> Any:
        protocol = _daphnes(send)
        # Other servers wait in their own `send`.
        return await application(scope, receive, send if protocol is None else _Pace(protocol, send).send)

    return with_pace


class _Pace:
    """A push producer, as Twisted calls it; in the same event loop as the application."""

    def __init__(self, protocol: Any, send: Send) -> None:
        self._protocol = protocol
        self._send = send
        self._free = asyncio.Event()
        self._free.set()
        # The pieces of two messages must not mix.
        self._turn = asyncio.Lock()

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send" and message.get("text") is not None:
            async with self._turn:
                await self._send_text(message["text"].encode())
            return
        await self._send(message)
        if message["type"] == "websocket.accept":
            self._begin()

    def _begin(self) -> None:
        protocol = self._protocol
        protocol.maxMessagePayloadSize = protocol.maxFramePayloadSize = MESSAGE_BYTES
        # What is larger is refused with a code, and not by cutting the connection.
        protocol.failByDrop = False
        # What spoke HTTP on this connection before is still registered.
        protocol.unregisterProducer()
        protocol.registerProducer(self, True)

    async def _send_text(self, payload: bytes) -> None:
        self._protocol.beginMessage()
        for first in range(0, len(payload), PIECE_BYTES):
            self._protocol.sendMessageFrame(payload[first : first + PIECE_BYTES])
            _ = await self._free.wait()
        self._protocol.endMessage()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._free.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._free.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The connection is gone: whoever waits finds out by its own means."""
        self._free.set()


def _daphnes(send: Send) -> Any:
    """The protocol behind daphne's `send`; None for other servers."""
    arguments = getattr(send, "args", ())
    protocol = arguments[0] if arguments else None
    return protocol if callable(getattr(protocol, "registerProducer", None)) else None
