"""Waiting for a client that reads slowly, where the server does not wait by itself.

Daphne hands every message to Twisted at once, which keeps what the client has not read: without a bound. Here a
message is sent only when the one before it has left, as Twisted tells a producer.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Message, Receive, Send], Awaitable[Any]]


def paced(application: Application) -> Application:
    """The application with a `send` that returns when the client's connection can take more."""

    async def with_pace(scope: Message, receive: Receive, send: Send) -> Any:
        protocol = _daphnes(send)
        if protocol is None:
            # Other servers wait in their own `send`.
            return await application(scope, receive, send)
        pace = _Pace()

        async def paced_send(message: Message) -> None:
            await send(message)
            if message["type"] == "websocket.accept":
                # What spoke HTTP on this connection before is still registered.
                protocol.unregisterProducer()
                protocol.registerProducer(pace, True)
            elif message["type"] == "websocket.send":
                _ = await pace.free.wait()

        return await application(scope, receive, paced_send)

    return with_pace


class _Pace:
    """A push producer, as Twisted calls it; in the same event loop as the application."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.free.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.free.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The connection is gone: whoever waits finds out by its own means."""
        self.free.set()


def _daphnes(send: Send) -> Any:
    """The protocol behind daphne's `send`; None for other servers."""
    arguments = getattr(send, "args", ())
    protocol = arguments[0] if arguments else None
    return protocol if callable(getattr(protocol, "registerProducer", None)) else None
