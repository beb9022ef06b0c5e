"""What a tool may know of the attempt that it runs in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, NodeKey

type LogLevel = Literal["debug", "info", "warning", "error"]
# (level, message, data); may be called from any thread.
type JournalWriter = Callable[[str, str, JsonObject | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """One try of a node. A tool gets it by declaring one parameter of this type.

    `attempt_id` is unique for every try, `idempotency_key` the same for all tries of the node. `number`
    counts from 1. `deadline` is the event loop's time at which the try is cancelled.
    """

    execution_id: str
    node: NodeKey
    attempt_id: str
    idempotency_key: str
    number: int
    deadline: float
    journal: JournalWriter

    def log(self, message: str, /, level: LogLevel = "info", **data: object) -> None:
        """Write a line to the execution's journal. Raises `JsonError` where `data` is not JSON."""
        self.journal(level, message, cast(JsonObject, jsontext.clean(data)) if data else None)
