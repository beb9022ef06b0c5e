"""Prices in a CSV file with the columns Ticker, Date and Close, and perhaps Open, High, Low and Volume."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import cast

from workflows_app.dag.wording import listed, quoted
from workflows_app.tools import threads
from workflows_app.tools.context import ToolContext
from workflows_app.tools.market.bars import COLUMNS, NO_BARS, Bars, Days, price_of
from workflows_app.tools.market.errors import PricesUnreadable

_REQUIRED = ("Ticker", "Date", "Close")

type Row = tuple[str, tuple[Decimal, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvSource:
    """Reads the whole file, once for as long as it does not change."""

    path: Path

    async def bars(self, symbol: str, days: Days, context: ToolContext) -> Bars:
        del days
        return (await self._all(context)).get(symbol, NO_BARS)

    async def symbols(self, until: str | None, context: ToolContext) -> Sequence[str]:
        everything = await self._all(context)
        return sorted(symbol for symbol, bars in everything.items() if bars.up_to(until).dates)

    async def _all(self, context: ToolContext) -> Mapping[str, Bars]:
        return cast("Mapping[str, Bars]", await threads.pool.call(lambda: _latest(self.path), context))


# The latest file that was read: its path, time of change and size, and what was in it.
_read: tuple[tuple[Path, int, int], Mapping[str, Bars]] | None = None
_reading = Lock()


def _latest(path: Path) -> Mapping[str, Bars]:
    """The bars of a file by symbol; read again only when the file has changed. Raises `PricesUnreadable`."""
    global _read
    # Nodes that ask at the same time wait for one reading.
    with _reading:
        try:
            status = path.stat()
            version = (path, status.st_mtime_ns, status.st_size)
            if _read is None or _read[0] != version:
                _read = version, _parsed(path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise PricesUnreadable(
                f"The prices in {path.name} cannot be read ({error}): check the path of the market data."
            ) from error
        return _read[1]


def _parsed(path: Path) -> Mapping[str, Bars]:
    rows: dict[str, list[Row]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or ()
        if missing := [column for column in _REQUIRED if column not in header]:
            raise PricesUnreadable(
                f"The prices in {path.name} lack the column {listed(missing, 'and')}: "
                + f"its first line must name {listed(_REQUIRED, 'and')}."
            )
        columns = [name for name in COLUMNS if name.capitalize() in header]
        for line in reader:
            row = _row(line, columns)
            if row is None:
                raise PricesUnreadable(
                    f"Line {reader.line_num} of {path.name} is no price: it needs an ISO date and "
                    + f"a number for {listed([name.capitalize() for name in columns], 'and')}."
                )
            rows.setdefault(line["Ticker"], []).append(row)
    return {symbol: _bars(symbol, days, columns, path.name) for symbol, days in rows.items()}


def _row(line: dict[str, str], columns: Sequence[str]) -> Row | None:
    """The day and the values of a line; None where it has none. A line that is too short has nulls."""
    try:
        day = date.fromisoformat(line["Date"]).isoformat()
    except (ValueError, TypeError):
        return None
    values = tuple(price_of(line[name.capitalize()]) for name in columns)
    return None if None in values else (day, cast("tuple[Decimal, ...]", values))


def _bars(symbol: str, rows: list[Row], columns: Sequence[str], file: str) -> Bars:
    rows.sort()
    for (day, _), (following, _) in pairwise(rows):
        if day == following:
            raise PricesUnreadable(f"{file} has two lines for {quoted(symbol)} on {day}: remove one.")
    by_column = zip(*(values for _, values in rows), strict=True)
    return Bars(
        dates=tuple(day for day, _ in rows),
        columns=dict(zip(columns, by_column, strict=True)),
    )
