"""`/ws/executions/`: how the executions begin, move on and end that a user may see."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from contextvars import Context
from typing import Any, override

from executions_app.consumers.socket import HEARTBEAT_SECONDS, Close, Socket
from executions_app.live.wire import message

# Messages that wait for a client that reads slowly.
MOST_WAITING = 100
PATIENCE_SECONDS = 30.0


class ListingConsumer(Socket):
    """What moves after `hello`. There is nothing to resume: a client that was away reads the list again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: deque[str] = deque()
        self._news = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    def offer(self, text: str) -> None:
        """A message, to be sent when it is its turn; never waits."""
        self._waiting.append(text)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()
            self._waiting.append(message("resync_required"))
        self._news.set()

    @override
    async def begin(self) -> None:
        self._sending = asyncio.get_running_loop().create_task(
            self._serve(), name="socket of all executions", context=Context()
        )
        await self.hub.follow_all(self)

    @override
    async def finish(self) -> None:
        await self.hub.unfollow_all(self)
        if self._sending is not None:
            _ = self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def _serve(self) -> None:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    _ = await self._news.wait()
            except TimeoutError:
                self._waiting.append(message("heartbeat"))
            self._news.clear()
            while self._waiting:
                try:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await self.send(text_data=self._waiting.popleft())
                except TimeoutError:
                    await self.shut(Close.TOO_SLOW)
                    return
