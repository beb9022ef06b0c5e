"""Whether an event loop still turns, seen from another thread."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from executions_app import measures


class Pulse:
    """Asks a loop for a sign of life, again whenever it gave one. For one thread beside the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._asked_at = time.monotonic()
        self._answered = True
        # A silence is spoken of once.
        self._noticed = False

    def silence(self) -> float:
        """Seconds for which the loop has not turned; 0 where it gave a sign since the last question."""
        now = time.monotonic()
        if self._answered:
            self._answered, self._asked_at, self._noticed = False, now, False
            # A loop that was closed has no runs any more.
            with suppress(RuntimeError):
                _ = self.loop.call_soon_threadsafe(self._answer)
            return 0.0
        return now - self._asked_at

    def notice(self, act: Callable[[], None]) -> None:
        """Do this once in a silence."""
        if not self._noticed:
            self._noticed = True
            act()

    def _answer(self) -> None:
        measures.loop_lag.observe(time.monotonic() - self._asked_at)
        self._answered = True
