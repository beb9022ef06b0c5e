"""All sockets of an event loop: what they follow is listened to once, and looked at once, for all of them."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from executions_app.consumers.feed import Feed
from executions_app.consumers.listing_feed import ListingFeed
from executions_app.consumers.reader import Reader
from executions_app.live.audience import audience
from executions_app.live.groups import group_of_all
from executions_app.watching import PAGE, standings

if TYPE_CHECKING:
    from executions_app.consumers.listing import ListingConsumer
    from executions_app.consumers.socket import Socket
    from executions_app.consumers.viewer import Viewer

logger = logging.getLogger(__name__)

# How often the database is looked at for what no message told of, and whether who watches still may.
LOOK_SECONDS = 1.0
GUARD_SECONDS = 3.0
# After an error of the layer it is asked again.
LAYER_REST_SECONDS = 1.0
# One that does not answer keeps no socket waiting longer than that.
LAYER_SECONDS = 1.0
# Groups are joined anew long before the layer forgets them.
REJOIN_SECONDS = 3600.0


class Hub:
    """Alive while there are sockets: then it has tasks, a channel of the layer and a connection to the database."""

    _of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._feeds: dict[uuid.UUID, Feed] = {}
        self._listing: ListingFeed | None = None
        self._sockets: dict[Socket, None] = {}
        self._of_user: Counter[Any] = Counter()
        self._reader: Reader | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._channel = ""
        # Groups that are to be joined as soon as the layer answers.
        self._unjoined: set[str] = set()
        self._refusal = ""

    @classmethod
    def of_running_loop(cls) -> Hub:
        loop = asyncio.get_running_loop()
        hub = cls._of_loop.get(loop)
        if hub is None:
            hub = cls._of_loop[loop] = cls()
        return hub

    async def read[T](self, function: Callable[[], T]) -> T:
        """What a function reads from the database. Raises what it raises."""
        if self._reader is None:
            self._reader = Reader()
        return await self._reader.read(function)

    def sockets_of(self, user_id: Any) -> int:
        return self._of_user[user_id]

    def enter(self, socket: Socket) -> None:
        """A socket is open. Its user is known."""
        if not self._sockets:
            self._start(self._listen(), "sockets listen")
            self._start(self._join(), "sockets join")
            self._start(self._look(), "sockets look")
            self._start(self._guard(), "sockets guard")
        self._sockets[socket] = None
        self._of_user[socket.user.pk] += 1
        audience.sockets += 1

    def leave(self, socket: Socket) -> None:
        """It is closed. The last one takes everything with it."""
        if socket in self._sockets:
            del self._sockets[socket]
            self._of_user[socket.user.pk] -= 1
            self._of_user += Counter()
            audience.sockets -= 1
        if not self._sockets:
            for task in self._tasks:
                _ = task.cancel()
            self._tasks, self._channel = [], ""
            self._unjoined.clear()
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    async def follow(self, execution_id: uuid.UUID, viewer: Viewer) -> Feed:
        """The feed of an execution, to which the viewer belongs from now on."""
        feed = self._feeds.get(execution_id)
        if feed is None:
            feed = self._feeds[execution_id] = Feed(self, execution_id)
            audience.join(execution_id)
        feed.viewers.add(viewer)
        _ = await self._group_add(feed.group)
        await feed.begin()
        return feed

    async def unfollow(self, feed: Feed, viewer: Viewer) -> None:
        feed.viewers.discard(viewer)
        if not feed.viewers and self._feeds.get(feed.execution_id) is feed:
            del self._feeds[feed.execution_id]
            audience.leave(feed.execution_id)
            await self._group_discard(feed.group)

    async def follow_all(self, viewer: ListingConsumer) -> None:
        """Whoever joins hears what moves from now on."""
        if self._listing is None:
            self._listing = ListingFeed(self)
            self._start(self._listing.serve(), "sockets list")
            audience.join(None)
        self._listing.viewers.add(viewer)
        _ = await self._group_add(group_of_all())

    async def unfollow_all(self, viewer: ListingConsumer) -> None:
        listing = self._listing
        if listing is not None:
            listing.viewers.discard(viewer)
            if not listing.viewers:
                self._listing = None
                audience.leave(None)
                for task in self._tasks:
                    if task.get_name() == "sockets list":
                        _ = task.cancel()
                await self._group_discard(group_of_all())

    def say_once(self, error: BaseException) -> None:
        """What goes wrong again and again is news once."""
        if repr(error) != self._refusal:
            self._refusal = repr(error)
            logger.warning("Those who watch may see changes late: %r", error)

    def _start(self, work: Any, name: str) -> None:
        # Without the context of the request that came first: nothing of it may live as long as this.
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.get_running_loop().create_task(work, name=name, context=Context()))

    async def _listen(self) -> None:
        """Take the layer's messages, again and again after its errors."""
        while True:
            layer: Any = get_channel_layer()
            if layer is None:
                return
            try:
                self._channel = self._channel or await layer.new_channel()
                for group in [feed.group for feed in self._feeds.values()] + [group_of_all()] * bool(self._listing):
                    await layer.group_add(group, self._channel)
                async with asyncio.timeout(REJOIN_SECONDS):
                    while True:
                        await self._hear(await layer.receive(self._channel))
            except TimeoutError:
                continue
            except Exception as error:  # noqa: BLE001 - each layer has errors of its own
                self._channel = ""
                self.say_once(error)
                await asyncio.sleep(LAYER_REST_SECONDS)

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "moved":
            if self._listing is not None:
                self._listing.notice()
            return
        feed = self._feeds.get(uuid.UUID(message["execution"]))
        if feed is not None:
            await feed.hear(message)

    async def _look(self) -> None:
        """Find what no message told of: it was lost, or the engine is another process and there is no layer between."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._listing is not None:
                self._listing.notice()
            ids = list(self._feeds)
            try:
                for first in range(0, len(ids), PAGE):
                    page = ids[first : first + PAGE]
                    found = await self.read(lambda page=page: standings(page))
                    for id_ in page:
                        if id_ in self._feeds:
                            await self._feeds[id_].see(found.get(id_))
            except Exception as error:  # noqa: BLE001 - whatever a database raises, the next look may go well
                self.say_once(error)

    async def _guard(self) -> None:
        """Close what somebody may no longer watch."""
        while True:
            await asyncio.sleep(GUARD_SECONDS)
            # Sockets with the same credential and object have one answer.
            answers: dict[object, int | None] = {}
            for socket in list(self._sockets):
                try:
                    if socket.claim not in answers:
                        answers[socket.claim] = await self.read(socket.objection)
                    code = answers[socket.claim]
                    if code is not None:
                        await socket.shut(code)
                except Exception as error:  # noqa: BLE001 - as above
                    self.say_once(error)

    async def _join(self) -> None:
        """Join what the layer did not answer to; until then only looks tell of it."""
        while True:
            await asyncio.sleep(LAYER_REST_SECONDS)
            while self._unjoined and await self._group_add(next(iter(self._unjoined))):
                pass

    async def _group_add(self, group: str) -> bool:
        """Join a group, now or when the layer answers again. False where it does not."""
        if not self._channel:
            # Whoever listens joins all.
            return False
        self._unjoined.add(group)
        try:
            layer: Any = get_channel_layer()
            async with asyncio.timeout(LAYER_SECONDS):
                await layer.group_add(group, self._channel)
        except Exception as error:  # noqa: BLE001 - each layer has errors of its own
            self.say_once(error)
            return False
        self._unjoined.discard(group)
        return True

    async def _group_discard(self, group: str) -> None:
        self._unjoined.discard(group)
        if self._channel:
            with suppress(Exception):
                layer: Any = get_channel_layer()
                async with asyncio.timeout(LAYER_SECONDS):
                    await layer.group_discard(group, self._channel)
