"""What nodes at work say of it, as the journal has it: how far they are, and the text that they write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from executions_app.engine.states import NodeStatus
from executions_app.live.wire import LONGEST_LINE, newest_line, progress_in, text_in
from executions_app.models import ExecutionLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executions_app.models import NodeExecution, WorkflowExecution

# So far back it is looked for what nodes said of their progress, which they may do every second.
_ENTRIES_WITH_PROGRESS = 5000
# Of a text, its end: so many characters.
MOST_CHARACTERS = 64 * 1024


def progress_json(execution: WorkflowExecution, nodes: Iterable[NodeExecution]) -> dict[str, dict[str, Any]]:
    """How far those nodes that are at work are, by their key, where they said it in the journal's last entries.

    Of one that writes it is the newest line of its text, with the fraction None.
    """
    told = {node.key: _Told() for node in nodes if node.status == NodeStatus.RUNNING}
    wanted = set(told)
    if not wanted:
        return {}
    last = ExecutionLog.objects.filter(execution=execution, seq__gt=execution.last_seq - _ENTRIES_WITH_PROGRESS)
    rows = last.filter(node__in=wanted, event__in=("log", "node.running")).order_by("-seq")
    for key, event, text, data in rows.values_list("node", "event", "message", "data").iterator(chunk_size=100):
        if key in wanted and told[key].is_all_with(event, text, data):
            wanted.discard(key)
        if not wanted:
            break
    return {key: one.progress for key, one in told.items() if one.progress is not None}


class _Told:
    """What one node says, put together from the newest entry back."""

    def __init__(self) -> None:
        self.progress: dict[str, Any] | None = None
        self._call: int = 0
        self._text: str = ""

    def is_all_with(self, event: str, message: str, data: Mapping[str, Any] | None) -> bool:
        """Take the entry before those that were taken. Whether no earlier one says more."""
        if event == "node.running":
            # What was said before its attempt began is of another one.
            return True
        piece = text_in(data)
        if piece is None:
            self.progress = self.progress or progress_in(data, message)
            return self.progress is not None and not self._text
        if self._text and piece.call != self._call:
            return True
        self._call, self._text = piece.call, piece.delta + self._text
        self.progress = {"fraction": None, "text": newest_line(self._text)}
        return len(self._text) > LONGEST_LINE or "\n" in self._text.strip()


def text_json(execution: WorkflowExecution, key: str) -> dict[str, Any] | None:
    """What the latest attempt of a node wrote up to now, its end: `{seq, call, text}`. None where it has not begun.

    Entries after `seq` go on from there. What each call wrote is a paragraph; `call` is the last.
    """
    rows = ExecutionLog.objects.annotate(data_text=Cast("data", TextField())).filter(
        Q(event="node.running") | Q(event="log", data_text__contains='"delta"'), execution=execution, node=key
    )
    written: dict[str, Any] | None = None
    first = length = 0
    parts: list[str] = []
    found = rows.order_by("-seq").values_list("seq", "event", "data")
    for seq, event, data in found.iterator(chunk_size=100):
        if event == "node.running":
            written = written or {"seq": seq, "call": 0}
            break
        if (piece := text_in(data)) is None:
            continue
        if written is None:
            written = {"seq": seq, "call": piece.call}
        elif piece.call != first:
            parts.append("\n\n")
        first = piece.call
        parts.append(piece.delta)
        length += len(piece.delta)
        if length >= MOST_CHARACTERS:
            break
    return written and {**written, "text": "".join(reversed(parts))[-MOST_CHARACTERS:]}
