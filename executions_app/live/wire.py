"""The wire format, version 1: journal entries as the JSON text that sockets send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Self

from executions_app.engine.states import TERMINAL_EXECUTION
from executions_app.live.events import Committed
from workflows_app.dag import jsontext

VERSION = 1
# Of the text that a node writes, so much stands in one line.
LONGEST_LINE = 80
_ENDS = {f"execution.{status}": str(status) for status in TERMINAL_EXECUTION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Consecutive entries of one execution as a finished message. `end` is its status where the last one ends it."""

    first: int
    last: int
    end: str | None
    text: str

    @classmethod
    def of(cls, committed: Sequence[Committed]) -> Self:
        """Of entries as the recorder committed them; at least one."""
        items = [
            entry_json(
                one.seq, one.entry.event, one.entry.level, one.entry.node, one.entry.message, one.at, one.entry.data
            )
            for one in committed
        ]
        return cls.of_items(items)

    @classmethod
    def of_items(cls, items: Sequence[Mapping[str, Any]]) -> Self:
        """Of entries that `entry_json` made; at least one."""
        return cls(
            first=items[0]["seq"],
            last=items[-1]["seq"],
            end=_ENDS.get(items[-1]["event"]),
            text=message("events", items=items),
        )


def entry_json(
    seq: int, event: str, level: str, node: str, text: str, at: datetime, data: Mapping[str, Any] | None
) -> dict[str, Any]:
    """One entry. Tracebacks tell of the server: they stay with those who may ask for them."""
    if data and data.get("traceback"):
        data = {**data, "traceback": None}
    return {
        "seq": seq,
        "event": event,
        "node": node or None,
        "at": at,
        "data": data or None,
        "level": level,
        "message": text,
    }


def progress_in(data: Mapping[str, Any] | None, text: str) -> dict[str, Any] | None:
    """How far the node of a log entry is with its work, `{fraction, text}`; None where the entry does not say it."""
    fraction = (data or {}).get("progress")
    if isinstance(fraction, int | Decimal) and not isinstance(fraction, bool) and 0 <= fraction <= 1:
        return {"fraction": fraction, "text": text}
    return None


class Piece(NamedTuple):
    """A part of what a call of a node writes, as it came."""

    call: int
    delta: str


def text_in(data: Mapping[str, Any] | None) -> Piece | None:
    """What the node of a log entry writes; None where the entry is none of a text."""
    match (data or {}).get("text"):
        case {"call": int(call), "delta": str(delta)}:
            return Piece(call, delta)
        case _:
            return None


def newest_line(text: str) -> str:
    """The last line of a text that says something, its end where it is long; what follows stays, for more to come."""
    end = text[-LONGEST_LINE:]
    said = end.rstrip()
    return said.rpartition("\n")[2].lstrip() + end[len(said) :]


def message(kind: str, **fields: Any) -> str:
    """The text of a message; its fields may hold canonical JSON of the greatest depth."""
    return jsontext.dumps({"v": VERSION, "type": kind, **fields}, around=jsontext.LEVELS_AROUND)
