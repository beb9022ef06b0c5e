"""What a tool may know of the attempt that it runs in."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Literal, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, NodeKey
from workflows_app.tools import threads

type LogLevel = Literal["debug", "info", "warning", "error"]
# (level, message, data); may be called from any thread.
type JournalWriter = Callable[[str, str, JsonObject | None], None]
# What became of code whose try was interrupted: it had not begun, it was stopped, or nothing can stop it.
type Remains = Literal["never began", "stopped", "goes on"]
# (why, remains); see `ToolContext.interrupted`.
type InterruptionReport = Callable[[str, Remains], None]
# (tell, is_last): tells, where there is something to tell and it is time for it; see `ToolContext.heartbeat`.
type Beat = Callable[[Callable[[], None] | None, bool], None]

# How often the progress of one attempt goes to the journal.
PROGRESS_SECONDS = 1.0
# Characters of what a tool says of its progress.
_TEXT = 500


def _unheard(_why: str, _remains: Remains) -> None:
    pass


class Pace:
    """A `Beat` that lets something through once in `PROGRESS_SECONDS`, and the last word at once."""

    __slots__ = ("_silent_until", "_time", "_was_last")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._silent_until = float("-inf")
        self._was_last = False

    def __call__(self, tell: Callable[[], None] | None, is_last: bool) -> None:
        now = self._time()
        if tell is None or (now < self._silent_until and (self._was_last or not is_last)):
            return
        self._silent_until, self._was_last = now + PROGRESS_SECONDS, is_last
        tell()


def _at_once(tell: Callable[[], None] | None, _is_last: bool) -> None:
    if tell is not None:
        tell()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """One try of a node. A tool gets it by declaring one parameter of this type.

    `attempt_id` is unique for every try, `idempotency_key` the same for all tries of the node. `number`
    counts from 1. `deadline` is the event loop's time at which the try is cancelled.

    `interrupted(why, remains)` is for what runs tools elsewhere, in a thread or a process: called in the event
    loop while a cancellation passes, it says in a sentence what the interruption met and what became of the code.
    """

    execution_id: str
    node: NodeKey
    attempt_id: str
    idempotency_key: str
    number: int
    deadline: float
    journal: JournalWriter
    interrupted: InterruptionReport = _unheard
    beat: Beat = _at_once

    def log(self, message: str, /, level: LogLevel = "info", **data: object) -> None:
        """Write a line to the execution's journal. Raises `JsonError` where `data` is not JSON."""
        self.journal(level, message, cast(JsonObject, jsontext.clean(data)) if data else None)

    def progress(self, fraction: Decimal | float, text: str = "", /) -> None:
        """Tell how much of the work is done, from 0 to 1, and in a few words what goes on; people see it live.

        It goes to the journal, once a second at most; that all is done, at once. What is below 0 or above 1 counts
        as these. To be called from async code, from threads and from processes of their own. Raises `AttemptEnded`
        as `heartbeat` does, `ValueError` for a fraction that is no number.
        """
        part = float(fraction)
        if math.isnan(part):
            raise ValueError("The progress is no number: give the part that is done, from 0 to 1.")
        # Ten thousandths are more than a bar shows.
        done = round(Decimal(min(max(part, 0.0), 1.0)), 4).normalize()
        data: JsonObject = {"progress": done}
        self.beat(partial(self.journal, "debug", text[:_TEXT] or f"{done:.0%}", data), done == 1)

    def heartbeat(self, progress: object = None, /) -> None:
        """To be called from time to time by code that works for long, above all in a thread.

        `progress`, any JSON value, goes to the journal, once a second at most. Raises `AttemptEnded` where the try
        was cancelled or its time is up: nobody waits for the code any more, and it should end. Raises `JsonError`.
        """
        told = None
        if progress is not None:
            told = partial(self.journal, "debug", "Progress.", {"progress": jsontext.clean(progress)})
        self.beat(told, False)

    async def call_sync[**P, R](self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a synchronous function, such as one that uses the ORM, in a thread, and wait for what it returns.

        It is a thread of those for synchronous tools, whose number is bounded; database connections are given back
        after the call. A cancel or the time limit ends the waiting at once; a function that has begun goes on.
        """
        # The tool itself has begun: a function that has not is no reason to think that nothing was done.
        begun = replace(self, interrupted=self._interrupted_at_work)
        return cast(R, await threads.pool.call(partial(function, *args, **kwargs), begun))

    def _interrupted_at_work(self, why: str, remains: Remains) -> None:
        self.interrupted(why, "stopped" if remains == "never began" else remains)
