"""What a tool may know of the attempt that it runs in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey

type LogLevel = Literal["debug", "info", "warning", "error"]
# (level, message, data); may be called from any thread.
type JournalWriter = Callable[[str, str, JsonObject | None], None]
# What became of code whose try was interrupted: it had not begun, it was stopped, or nothing can stop it.
type Remains = Literal["never began", "stopped", "goes on"]
# (why, remains); see `ToolContext.interrupted`.
type InterruptionReport = Callable[[str, Remains], None]
# (progress, journal); see `ToolContext.heartbeat`.
type Beat = Callable[[JsonValue, JournalWriter], None]


def _unheard(_why: str, _remains: Remains) -> None:
    pass


def note_progress(progress: JsonValue, journal: JournalWriter) -> None:
    """Write a tool's progress to the journal."""
    if progress is not None:
        journal("debug", "Progress.", {"progress": progress})


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
    beat: Beat = note_progress

    def log(self, message: str, /, level: LogLevel = "info", **data: object) -> None:
        """Write a line to the execution's journal. Raises `JsonError` where `data` is not JSON."""
        self.journal(level, message, cast(JsonObject, jsontext.clean(data)) if data else None)

    def heartbeat(self, progress: object = None, /) -> None:
        """To be called from time to time by code that works for long, above all in a thread.

        `progress`, any JSON value, goes to the journal, once a second at most. Raises `AttemptEnded` where the try
        was cancelled or its time is up: nobody waits for the code any more, and it should end. Raises `JsonError`.
        """
        self.beat(None if progress is None else jsontext.clean(progress), self.journal)
