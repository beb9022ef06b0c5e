"""Asking a run to end: a token with a reason, set once, heard by whoever waits."""

import asyncio

from executions_app.engine.states import Reason


class CancelToken:
    """The first request counts; later ones change nothing.

    `request` may be called from the run's own event loop only; use `loop.call_soon_threadsafe` elsewhere.
    """

    __slots__ = ("_event", "reason")

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: Reason | None = None

    @property
    def requested(self) -> bool:
        return self.reason is not None

    def request(self, reason: Reason = Reason.USER) -> None:
        if self.reason is None:
            self.reason = reason
            self._event.set()

    async def wait(self) -> Reason:
        _ = await self._event.wait()
        assert self.reason is not None
        return self.reason
