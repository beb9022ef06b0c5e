"""The text of an answer as it comes: into the journal in pieces, a few each second, without secrets."""

import asyncio
from collections.abc import Callable

from workflows_app.tools.masking import Mask
from workflows_app.tools.stream_masking import MaskedStream

# So often a piece goes to the journal.
SECONDS = 0.25


class Writing:
    """Collects deltas of one call and hands them on to `tell`: the first at once, then every `SECONDS` at most."""

    __slots__ = ("_loop", "_pieces", "_silent_until", "_stream", "_tell", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, mask: Mask | None, tell: Callable[[str], None]) -> None:
        self._loop = loop
        self._stream = MaskedStream(mask)
        self._tell = tell
        self._pieces: list[str] = []
        self._silent_until = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def take(self, delta: str) -> None:
        self._pieces.append(delta)
        if self._timer is not None:
            return
        if self._loop.time() >= self._silent_until:
            self._flush()
        else:
            self._timer = self._loop.call_at(self._silent_until, self._flush)

    def end(self) -> None:
        """Hand on what is left."""
        self._hand_on(self._collected() + self._stream.end())

    def _flush(self) -> None:
        self._hand_on(self._collected())

    def _collected(self) -> str:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pieces, self._pieces = "".join(self._pieces), []
        return self._stream.take(pieces)

    def _hand_on(self, text: str) -> None:
        if text:
            self._silent_until = self._loop.time() + SECONDS
            self._tell(text)
