"""One execution as all viewers of a process follow it: heard from the channel layer, else read from the database."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from executions_app.live.groups import group_of
from executions_app.live.wire import Chunk
from executions_app.watching import Snapshot, Standing, chunk_after, snapshot_of, standings

if TYPE_CHECKING:
    from executions_app.consumers.hub import Hub
    from executions_app.consumers.viewer import Viewer


class Feed:
    """Its viewers get every entry in order; each chunk is made, or read, once for all of them.

    The layer's messages may be lost. What is missing before a message is read from the database; that there was a
    message at all, the hub's look at the database finds out.
    """

    def __init__(self, hub: Hub, execution_id: uuid.UUID) -> None:
        self.execution_id = execution_id
        self.viewers: set[Viewer] = set()
        # The last entry that was handed to the viewers; what was before the first viewer came they read themselves.
        self.seq = 0
        # Its status, once it has ended with that entry.
        self.end: str | None = None
        self._hub = hub
        self._snapshot: Snapshot | None = None
        # Messages and looks come at the same time: one of them moves on.
        self._moving = asyncio.Lock()

    @property
    def group(self) -> str:
        return group_of(self.execution_id)

    async def begin(self) -> None:
        """Find out how far the execution is, once it is listened to."""
        async with self._moving:
            if not self.seq:
                standing = (await self._hub.read(lambda: standings([self.execution_id]))).get(self.execution_id)
                if standing is not None:
                    self.seq, self.end = standing

    async def hear(self, message: dict[str, Any]) -> None:
        """A message of the publisher."""
        if message["type"] != "entries":
            await self._catch_up()
        elif message["last"] > self.seq:
            if message["first"] != self.seq + 1:
                await self._catch_up()
            async with self._moving:
                if message["first"] == self.seq + 1:
                    self._hand_on(
                        Chunk(first=message["first"], last=message["last"], end=message["end"], text=message["text"])
                    )

    async def see(self, standing: Standing | None) -> None:
        """What the database says of it now; None where it is no longer there."""
        if standing is None:
            for viewer in self.viewers:
                viewer.lose_object()
        elif standing.seq > self.seq:
            await self._catch_up()

    async def snapshot(self) -> Snapshot | None:
        """All of it, not older than what the viewers have; read once where several ask."""
        async with self._moving:
            if self._snapshot is None or self._snapshot.seq < self.seq:
                self._snapshot = await self._hub.read(lambda: snapshot_of(self.execution_id))
            return self._snapshot

    async def chunk_after(self, seq: int) -> Chunk | None:
        """Entries that one viewer has missed."""
        return await self._hub.read(lambda: chunk_after(self.execution_id, seq))

    async def _catch_up(self) -> None:
        async with self._moving:
            while (chunk := await self.chunk_after(self.seq)) is not None:
                self._hand_on(chunk)

    def _hand_on(self, chunk: Chunk) -> None:
        self.seq, self.end = chunk.last, chunk.end
        for viewer in self.viewers:
            viewer.offer(chunk)
