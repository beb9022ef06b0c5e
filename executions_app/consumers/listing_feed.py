"""How executions begin, move on and end, as those who follow all of them hear it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from executions_app.live.wire import message
from executions_app.watching import Moves, visible_among

if TYPE_CHECKING:
    from executions_app.consumers.hub import Hub
    from executions_app.consumers.listing import ListingConsumer

# Looks follow each other at least at this distance, however much happens.
REST_SECONDS = 0.1


class ListingFeed:
    """Whatever is heard from the channel layer is a reason to look at the database, which says what is so."""

    def __init__(self, hub: Hub) -> None:
        self.viewers: set[ListingConsumer] = set()
        self._hub = hub
        self._moves = Moves()
        self._news = asyncio.Event()

    def notice(self) -> None:
        """Something has moved, or may have."""
        self._news.set()

    async def serve(self) -> None:
        """Look whenever there is news, until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(REST_SECONDS)
            _ = await self._news.wait()

    async def _look(self) -> None:
        self._news.clear()
        try:
            items = await self._hub.read(self._moves.look)
            if items:
                await self._tell(items)
        except Exception as error:  # noqa: BLE001 - whatever a database raises, the next look may go well
            self._hub.say_once(error)

    async def _tell(self, items: Sequence[Mapping[str, Any]]) -> None:
        ids = {uuid.UUID(str(item["execution"])) for item in items}
        # One question for each user, however many sockets that user has.
        by_user: dict[Any, list[ListingConsumer]] = {}
        for viewer in self.viewers:
            by_user.setdefault(viewer.user.pk, []).append(viewer)
        for viewers in by_user.values():
            user = viewers[0].user
            seen = {str(id_) for id_ in await self._hub.read(lambda user=user: visible_among(user, ids))}
            own = [item for item in items if item["execution"] in seen]
            if own:
                text = message("events", items=own)
                for viewer in viewers:
                    viewer.offer(text)
