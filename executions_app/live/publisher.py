"""The only caller of `group_send`: what was committed goes to those who watch, as soon as nothing is on its way.

While a message is on its way what comes in is merged, one message for each execution: who watches few gets each commit
at once, who watches many gets fewer and longer messages. Messages may be lost, by the layer's design or because it is
away: whoever listens counts the numbers and reads from the database what it missed.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer

from executions_app.live.audience import audience
from executions_app.live.events import Committed
from executions_app.live.groups import group_of, group_of_all
from executions_app.live.wire import Chunk

logger = logging.getLogger(__name__)

# What is longer is read from the database by those who want it.
MOST_ENTRIES = 500
MOST_CHARACTERS = 256 * 1024
SEND_SECONDS = 2.0
# A layer that does not answer is left alone for so long.
REST_SECONDS = 1.0


class Publisher:
    """From any thread, after the commit; nothing here waits or raises."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # What waits, by execution; None where its listeners are to read for themselves.
        self._waiting: dict[uuid.UUID, list[Committed] | None] = {}
        self._is_busy = False
        self._thread: _Thread | None = None
        self._rest_until = 0.0

    def publish(self, execution_id: uuid.UUID, committed: Sequence[Committed]) -> None:
        """Tell of these entries, which follow each other."""
        if committed:
            self._add(execution_id, committed)

    def changed(self, execution_id: uuid.UUID) -> None:
        """Tell that there are new entries, without them."""
        self._add(execution_id, None)

    def stop(self) -> None:
        """Send what waits, for a moment, and end the thread; the next message starts it again."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            end = time.monotonic() + REST_SECONDS
            while self._is_busy and time.monotonic() < end:
                time.sleep(0.01)
            thread.stop()

    def _add(self, execution_id: uuid.UUID, committed: Sequence[Committed] | None) -> None:
        layer = get_channel_layer()
        if layer is None:
            return
        is_local = isinstance(layer, InMemoryChannelLayer)
        if is_local and not audience.wants(execution_id):
            return
        with self._lock:
            if committed is None:
                self._waiting[execution_id] = None
            else:
                before = self._waiting.setdefault(execution_id, [])
                if before is not None:
                    before.extend(committed)
            if self._is_busy:
                return
            self._is_busy = True
        self._begin(audience.loop if is_local else self._own_loop())

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        work = self._send_all()
        # Where whoever listened has gone its loop may be closed, now or in this moment.
        with suppress(RuntimeError):
            if loop is not None and not loop.is_closed():
                _ = asyncio.run_coroutine_threadsafe(work, loop)
                return
        work.close()
        with self._lock:
            self._waiting.clear()
            self._is_busy = False

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._thread is None:
                self._thread = _Thread()
            return self._thread.loop

    async def _send_all(self) -> None:
        while waiting := self._take():
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._send(waiting)
            except asyncio.CancelledError:
                with self._lock:
                    self._is_busy = False
                raise
            except Exception as error:  # noqa: BLE001 - each layer has errors of its own
                self._rest_until = time.monotonic() + REST_SECONDS
                logger.warning("The channel layer does not take messages, pages catch up by themselves: %r", error)

    def _take(self) -> dict[uuid.UUID, list[Committed] | None]:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._is_busy = bool(waiting)
        return waiting

    async def _send(self, waiting: dict[uuid.UUID, list[Committed] | None]) -> None:
        layer: Any = get_channel_layer()
        if layer is None or time.monotonic() < self._rest_until:
            return
        for execution_id, committed in waiting.items():
            await layer.group_send(group_of(execution_id), _message(execution_id, committed))
        moved = [str(execution_id) for execution_id, committed in waiting.items() if _moves(committed)]
        if moved:
            await layer.group_send(group_of_all(), {"type": "moved", "executions": moved[:MOST_ENTRIES]})


class _Thread:
    """An event loop of the publisher's own, where the layer is shared by processes: many of them serve no sockets."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="publisher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        closing: Future[None] = asyncio.run_coroutine_threadsafe(_close_layer(), self.loop)
        with suppress(Exception):
            closing.result(REST_SECONDS)
        _ = self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(REST_SECONDS)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()


async def _close_layer() -> None:
    layer: Any = get_channel_layer()
    close = getattr(layer, "close_pools", None)
    if close is not None:
        work: Coroutine[Any, Any, None] = close()
        await work


def _message(execution_id: uuid.UUID, committed: Sequence[Committed] | None) -> dict[str, Any]:
    changed = {"type": "changed", "execution": str(execution_id)}
    if committed is None or len(committed) > MOST_ENTRIES:
        return changed
    chunk = Chunk.of(committed)
    if len(chunk.text) > MOST_CHARACTERS:
        return changed
    return {
        "type": "entries",
        "execution": str(execution_id),
        "first": chunk.first,
        "last": chunk.last,
        "end": chunk.end,
        "text": chunk.text,
    }


def _moves(committed: Sequence[Committed] | None) -> bool:
    """Whether the execution itself may have another status now."""
    return committed is None or any(one.entry.event.startswith("execution.") for one in committed)


publisher = Publisher()
