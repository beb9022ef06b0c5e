"""What goes to one socket that watches an execution: a beginning, every entry in order, an end, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from executions_app.consumers.feed import Feed
from executions_app.live.wire import Chunk, message

# What waits for a client that reads slowly; more is forgotten, and the client asked to come back for it.
MOST_CHARACTERS = 1024 * 1024
# A client that misses more gets all as it is now.
MOST_MISSED = 1000
# For so long a client may read nothing, or not come back; and it may still ask for something after the end.
PATIENCE_SECONDS = 30.0
LINGER_SECONDS = 5.0


class TooSlow(Exception):
    """Raised when a client has not read for too long."""


class ObjectGone(Exception):
    """Raised when the execution was deleted while somebody watched it."""


class Viewer:
    """The feed offers; `serve` sends, one message after another, each before the next is taken."""

    def __init__(self, send: Callable[[str], Awaitable[None]], heartbeat_seconds: float) -> None:
        self._send = send
        self._heartbeat_seconds = heartbeat_seconds
        # What the client has.
        self._seq = 0
        self._waiting: deque[Chunk] = deque()
        self._characters = 0
        self._news = asyncio.Event()
        # Where the client wants to begin (again); None: with all as it is.
        self._begin_after: int | None = None
        self._must_begin = True
        # It was too slow and is to say where it goes on.
        self._overflowed = False
        self._is_away = False
        self._is_gone = False

    def begin_after(self, seq: int | None) -> None:
        """The stream starts (again) after this number, with None by all as it is now."""
        self._begin_after, self._must_begin, self._is_away = seq, True, False
        self._forget()
        self._news.set()

    def offer(self, chunk: Chunk) -> None:
        """A chunk for the client, to be sent when it is its turn; never waits."""
        if self._is_away:
            return
        self._waiting.append(chunk)
        self._characters += len(chunk.text)
        if self._characters > MOST_CHARACTERS:
            self._forget()
            self._overflowed = self._is_away = True
        self._news.set()

    def lose_object(self) -> None:
        self._is_gone = True
        self._news.set()

    async def serve(self, feed: Feed) -> None:
        """Send what there is until some time after the end. Raises `TooSlow` and `ObjectGone`."""
        end: str | None = None
        while True:
            if self._must_begin:
                end = await self._begin(feed)
            elif self._overflowed:
                self._overflowed = False
                await self._tell(message("resync_required"))
            elif self._waiting:
                chunk = self._waiting.popleft()
                self._characters -= len(chunk.text)
                end = await self._pass_on(chunk, feed) or end
            elif self._is_gone:
                raise ObjectGone
            elif not await self._has_news(LINGER_SECONDS if end else self._heartbeat_seconds):
                if end:
                    return
                if self._is_away:
                    raise TooSlow
                await self._tell(message("heartbeat", seq=max(feed.seq, self._seq)))

    async def _has_news(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                _ = await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

    async def _begin(self, feed: Feed) -> str | None:
        """The status of the end where the client has it now."""
        after, self._must_begin = self._begin_after, False
        if after is not None and 0 <= feed.seq - after <= MOST_MISSED:
            self._seq = after
            # What had ended before has no entry left that says so.
            return await self._catch_up(feed) or await self._ended(feed.end if self._seq == feed.seq else None)
        snapshot = await feed.snapshot()
        if snapshot is None:
            raise ObjectGone
        self._seq = snapshot.seq
        await self._tell(snapshot.text)
        return await self._ended(snapshot.end)

    async def _pass_on(self, chunk: Chunk, feed: Feed) -> str | None:
        if chunk.last <= self._seq:
            return None
        if chunk.first > self._seq + 1 or chunk.first <= self._seq:
            # It has some of it already, or misses what came before.
            return await self._catch_up(feed)
        return await self._deliver(chunk)

    async def _catch_up(self, feed: Feed) -> str | None:
        end = None
        while end is None and (chunk := await feed.chunk_after(self._seq)) is not None:
            end = await self._deliver(chunk)
        return end

    async def _deliver(self, chunk: Chunk) -> str | None:
        self._seq = chunk.last
        await self._tell(chunk.text)
        return await self._ended(chunk.end)

    async def _ended(self, end: str | None) -> str | None:
        if end is not None:
            await self._tell(message("end", seq=self._seq, status=end))
        return end

    async def _tell(self, text: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._send(text)
        except TimeoutError:
            raise TooSlow from None

    def _forget(self) -> None:
        self._waiting.clear()
        self._characters = 0
