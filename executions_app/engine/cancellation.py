"""Asking a run to end: a token with a reason, set once, heard by whoever waits."""

import asyncio
from collections.abc import Callable

from executions_app.engine.states import Reason


class CancelToken:
    """The first request counts; later ones change nothing.

    `request` and `hand_back` may be called from the run's own event loop only; use `loop.call_soon_threadsafe`
    elsewhere.
    """

    __slots__ = ("_event", "_hander", "handing_back", "reason")

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: Reason | None = None
        # The run is to stop here and to go on elsewhere.
        self.handing_back = False
        self._hander: Callable[[], None] | None = None

    @property
    def requested(self) -> bool:
        return self.reason is not None

    def request(self, reason: Reason = Reason.USER) -> None:
        if self.reason is None:
            self.reason = reason
            self._event.set()

    def hand_back(self) -> None:
        """Let the run go on in another engine: nothing starts any more, and what runs may end within the grace."""
        if not self.handing_back:
            self.handing_back = True
            if self._hander is not None:
                self._hander()

    def when_handed_back(self, hander: Callable[[], None]) -> None:
        """Call this once, now or later, when the run is handed back."""
        self._hander = hander
        if self.handing_back:
            hander()

    async def wait(self) -> Reason:
        _ = await self._event.wait()
        assert self.reason is not None
        return self.reason
