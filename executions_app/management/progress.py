"""A run as the terminal shows it: a live table of nodes, or one plain line per event."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from executions_app.engine.journal import Entry
from executions_app.live.events import Committed
from executions_app.live.wire import Piece, newest_line, progress_in, text_in

if TYPE_CHECKING:
    from rich.table import Table

# Never colour alone: a shape and a word as well.
SHAPES = {
    "pending": ("○", "bright_black"),
    "running": ("▶", "blue"),
    "retrying": ("↻", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✕", "bold red"),
    "skipped": ("⤼", "bright_black"),
    "cancelled": ("⊘", "bright_black"),
}
# A table that is higher than the terminal flickers: of more nodes only the busy and the failed are shown.
ROWS_SHOWN = 40
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class PlainProgress:
    """One line per event, for logs and pipes; of what a node writes, each line once it is whole."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # What nodes have written of lines that are not whole.
        self._begun: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def observe(self, committed: Sequence[Committed]) -> None:
        for one in committed:
            for line in self._lines(one.entry):
                _ = self._stream.write(f"{one.at:%H:%M:%S.%f} {_harmless(line)}\n")
        self._stream.flush()

    def _lines(self, entry: Entry) -> Sequence[str]:
        """What an entry says; where it is a part of a text, the lines that are whole with it."""
        begun = self._begun.pop(entry.node, "")
        if (piece := text_in(entry.data)) is None:
            marker = SHAPES.get(entry.event.partition(".")[2], ("·", ""))[0]
            return [*_written(entry.node, [begun]), f"{marker} {entry.message}"]
        *whole, self._begun[entry.node] = (begun + piece.delta).split("\n")
        return _written(entry.node, whole)


def _written(node: str, lines: Sequence[str]) -> Sequence[str]:
    return [f"· {node}: {line}" for line in lines if line.strip()]


@dataclass(slots=True)
class _Row:
    type: str
    state: str = "pending"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    note: str = ""
    line: Piece | None = None

    def write(self, piece: Piece) -> None:
        before = self.line.delta if self.line is not None and self.line.call == piece.call else ""
        self.note = newest_line(before + piece.delta)
        self.line = Piece(piece.call, self.note)


class LiveProgress:
    """A table that follows the run, redrawn at most ten times a second."""

    def __init__(self, nodes: Sequence[tuple[str, str]], stream: TextIO) -> None:
        """`nodes` are pairs of key and type, in the order in which they are shown."""
        from rich.console import Console  # noqa: PLC0415 - slow to import, needed on a terminal only
        from rich.live import Live  # noqa: PLC0415

        self._rows = {key: _Row(type=kind) for key, kind in nodes}
        self._live = Live(console=Console(file=stream), get_renderable=self._table, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def observe(self, committed: Sequence[Committed]) -> None:
        for one in committed:
            row = self._rows.get(one.entry.node)
            if row is not None and (told := progress_in(one.entry.data, one.entry.message)):
                row.note = f"{told['fraction']:>4.0%} {told['text']}"
            if row is not None and (piece := text_in(one.entry.data)):
                row.write(piece)
            if row is None or not one.entry.event.startswith("node."):
                continue
            row.state = one.entry.event.removeprefix("node.")
            if row.state == "running":
                row.started_at = row.started_at or one.at
            elif row.started_at is not None:
                row.ended_at = one.at
            # The row says which node it is: what follows the colon is the reason.
            reason = one.entry.message.partition(": ")[2] or one.entry.message
            row.note = reason if row.state in ("failed", "retrying", "skipped") else ""
            row.line = None

    def _table(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        counts = Counter(row.state for row in self._rows.values())
        caption = "  ".join(f"{count} {state}" for state, count in counts.items())
        table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
        # Only the reason gives way where the terminal is narrow.
        table.add_column("node", no_wrap=True, min_width=min(40, max(4, *map(len, self._rows))))
        table.add_column("type", no_wrap=True, min_width=10)
        table.add_column("state", no_wrap=True, min_width=11)
        table.add_column("ms", no_wrap=True, min_width=8, justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True)
        for key, row in self._shown():
            shape, style = SHAPES.get(row.state, ("·", ""))
            table.add_row(
                Text(key),
                row.type,
                Text(f"{shape} {row.state}", style=style),
                _span(row),
                Text(_harmless(row.note.strip())),
            )
        return table

    def _shown(self) -> list[tuple[str, _Row]]:
        rows = list(self._rows.items())
        if len(rows) <= ROWS_SHOWN:
            return rows
        busy = [row for row in rows if row[1].state in ("running", "retrying", "failed")]
        return busy[:ROWS_SHOWN]


def _harmless(text: str) -> str:
    """Without what a terminal would obey: a model may write anything."""
    return _CONTROLS.sub("\ufffd", text)


def _span(row: _Row) -> str:
    if row.started_at is None or row.ended_at is None:
        return ""
    return f"{(row.ended_at - row.started_at).total_seconds() * 1000:.1f}"
