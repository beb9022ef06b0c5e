"""Turns at tools that have a rate: those who wait in one event loop ask the database together, for all of them at once.

They ask when a call may be there, not before. What they are given is shared out in the order in which they came, and
given back where nobody is left to take it. Where several processes want the same calls, each is as late as chance has
it, among as many as there seem to be: all have the same part of them, and none asks for nothing for long.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakKeyDictionary

from django.db import InterfaceError, OperationalError

from executions_app.engine.ports import Turn
from executions_app.models.rate import Grant
from workflows_app.tools.rates import LATE_SECONDS, Rate
from workflows_app.tools.registry import rate_of

logger = logging.getLogger(__name__)

# Nobody asks again sooner; half of what may be caught up.
SOONEST_SECONDS = 0.05
# Nor later than that: a clock may have been set, or a row deleted.
LATEST_SECONDS = 60.0
# More than clocks differ in that time: who comes too early would wait twice.
_ROUNDING = 0.001
# Between questions that the database did not answer.
_UNANSWERED_SECONDS = 1.0

type Take = Callable[[str, Rate, int], Awaitable[Grant]]


class Pacer:
    """The turns of one event loop. `take` asks the database; `chance()` is uniform in [0, 1)."""

    def __init__(self, take: Take, chance: Callable[[], float] = random.random) -> None:
        self._take = take
        self._chance = chance
        self._lines: dict[str, _Line] = {}

    def turns(self, tools: Sequence[str]) -> Sequence[Turn]:
        """Of these names, as the engine's port `pace` has it.

        The slowest comes last: what was waited for before it is not called more often than that.
        """
        limits = [(rate.per_second, tool, rate) for tool in tools if (rate := rate_of(tool)) is not None]
        limits.sort(key=lambda limit: limit[0], reverse=True)
        return [Turn(rate.sentence(tool), self._line(tool).wait) for _, tool, rate in limits]

    def _line(self, tool: str) -> "_Line":
        line = self._lines.get(tool)
        if line is None:
            line = self._lines[tool] = _Line(tool, self._take, self._chance)
        return line


class _Line:
    """Those who wait for one tool."""

    def __init__(self, tool: str, take: Take, chance: Callable[[], float]) -> None:
        self._tool = tool
        self._take = take
        self._chance = chance
        self._waiting: deque[asyncio.Future[None]] = deque()
        # Asks for them, while there are any.
        self._asking: asyncio.Task[None] | None = None
        self._rate: Rate | None = None
        # Before this nothing is there, by the loop's time.
        self._ask_at = float("-inf")
        # While nobody asks because it is not time yet.
        self._paused: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        """Raises whatever kept the database from answering, but for its being away."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name=f"turns at {self._tool}")
        try:
            await turn
        finally:
            if turn.cancelled() and self._paused is not None and not self._paused.done() and not self._anybody():
                self._paused.set_result(None)

    def _anybody(self) -> bool:
        while self._waiting and self._waiting[0].done():
            _ = self._waiting.popleft()
        return bool(self._waiting)

    async def _ask(self) -> None:
        try:
            while self._anybody():
                await self._ask_once()
        except Exception as error:  # noqa: BLE001 - those who wait are to know
            _ = self._serve(len(self._waiting), error)
        finally:
            self._asking = None

    async def _ask_once(self) -> None:
        rate, now = rate_of(self._tool), asyncio.get_running_loop().time()
        if rate is None:
            _ = self._serve(len(self._waiting))
            return
        if rate != self._rate:
            self._rate, self._ask_at = rate, now
        if self._ask_at > now:
            await self._pause(self._ask_at - now)
            return
        wanted = min(len(self._waiting), int(rate.capacity))
        try:
            grant = await self._take(self._tool, rate, wanted)
            if (left := grant.granted - self._serve(grant.granted)) > 0:
                grant = await self._take(self._tool, rate, -left)
        except (OperationalError, InterfaceError) as error:
            logger.warning("Calls of %s wait for the database: %s", self._tool, str(error).strip())
            self._ask_at = asyncio.get_running_loop().time() + _UNANSWERED_SECONDS
        else:
            self._ask_at = asyncio.get_running_loop().time() + self._until_next(rate, grant)

    def _until_next(self, rate: Rate, grant: Grant) -> float:
        missing = max(0.0, 1 - grant.left)
        if not missing:
            return 0.0
        soonest = max(missing / rate.per_second + _ROUNDING, SOONEST_SECONDS)
        others = (grant.crowd - 1) * min(max(1 / rate.per_second, SOONEST_SECONDS), LATE_SECONDS)
        return min(soonest + self._chance() * (others + SOONEST_SECONDS / 2), LATEST_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Until it is time, or nobody waits any more."""
        self._paused = asyncio.get_running_loop().create_future()
        try:
            _ = await asyncio.wait({self._paused}, timeout=seconds)
        finally:
            self._paused = None

    def _serve(self, number: int, error: Exception | None = None) -> int:
        """Let so many go on who came first; how many there were."""
        served = 0
        while served < number and self._anybody():
            turn = self._waiting.popleft()
            if error is None:
                turn.set_result(None)
            else:
                turn.set_exception(error)
            served += 1
        return served


_pacers: WeakKeyDictionary[asyncio.AbstractEventLoop, Pacer] = WeakKeyDictionary()


def pacer(take: Take) -> Pacer:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _pacers.get(loop)
    if found is None:
        found = _pacers[loop] = Pacer(take)
    return found
