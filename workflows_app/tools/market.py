"""Market data and indicators: daily closes from a CSV file, and the relative strength index by TA-Lib."""

import csv
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from threading import Lock
from typing import TypedDict

from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.errors import MissingPackage, NodeConfigurationError, NodeInputError
from workflows_app.tools.registry import tool

_COLUMNS = ("Ticker", "Date", "Close")
# What TA-Lib accepts as a period.
_PERIODS = range(2, 100_001)


def _bundled() -> Path:
    return Path(__file__).parent / "data" / "closes.csv"


# Where the prices are: a CSV file with the columns Ticker, Date and Close. To be replaced by the application.
data_path: Callable[[], Path] = _bundled


class UnknownSymbol(NodeInputError):
    """Raised when there are no prices of a symbol."""

    def __init__(self, symbol: str, known: list[str]) -> None:
        super().__init__(f"There are no prices of {quoted(symbol)}: the symbols are {listed(known, 'and')}.")


class TooFewCloses(NodeInputError):
    """Raised when an indicator needs more prices than it got."""

    def __init__(self, period: int, given: int) -> None:
        super().__init__(
            f"An RSI over {period} days needs at least {period + 1} closes, but there are {given}: "
            + "take a longer time or a shorter period."
        )


class PricesUnreadable(NodeConfigurationError):
    """Raised when the file of prices is missing or is not what it should be."""


class Prices(TypedDict):
    symbol: str
    closes: list[Decimal]
    dates: list[str]


class Rsi(TypedDict):
    value: float


@tool("market.prices", effect="none")
def prices(symbol: str, until: str | None = None) -> Prices:
    """Daily closing prices of a symbol, oldest first, up to and including the day `until` (an ISO date)."""
    last = None if until is None else _day(until)
    series = _all_series(data_path())
    if symbol not in series:
        raise UnknownSymbol(symbol, sorted(series))
    dates, closes = series[symbol].dates, series[symbol].closes
    # ISO dates sort as text.
    end = len(dates) if last is None else bisect_right(dates, last.isoformat())
    return {"symbol": symbol, "closes": list(closes[:end]), "dates": list(dates[:end])}


@tool("market.rsi", effect="none")
def rsi(closes: list[float], period: int = 14) -> Rsi:
    """The last relative strength index, 0 to 100, of closing prices, oldest first, with Wilder's smoothing."""
    if period not in _PERIODS:
        raise NodeInputError(
            f"The input 'period' of tool 'market.rsi' is {period}: use a number of days from "
            + f"{_PERIODS.start} to {_PERIODS.stop - 1}."
        )
    if len(closes) <= period:
        raise TooFewCloses(period, len(closes))
    try:
        import numpy as np  # noqa: PLC0415 - both are slow to import and come with an extra
        import talib  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackage("market.rsi", "TA-Lib", "trading") from error
    return {"value": float(talib.RSI(np.asarray(closes, dtype=np.float64), timeperiod=period)[-1])}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """The closes of one symbol by ascending date; dates as `YYYY-MM-DD`."""

    dates: tuple[str, ...]
    closes: tuple[Decimal, ...]


# The latest file that was read: its path, time of change and size, and what was in it.
_latest: tuple[tuple[Path, int, int], dict[str, _Series]] | None = None
_reading = Lock()


def _all_series(path: Path) -> dict[str, _Series]:
    """The series of a file by symbol; read again only when the file has changed."""
    global _latest
    # Nodes that ask at the same time wait for one reading.
    with _reading:
        try:
            status = path.stat()
            version = (path, status.st_mtime_ns, status.st_size)
            if _latest is None or _latest[0] != version:
                _latest = version, _read(path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise PricesUnreadable(
                f"The prices in {path.name} cannot be read ({error}): check the path of the market data."
            ) from error
        return _latest[1]


def _read(path: Path) -> dict[str, _Series]:
    rows: dict[str, list[tuple[str, Decimal]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [column for column in _COLUMNS if column not in (reader.fieldnames or ())]:
            raise PricesUnreadable(
                f"The prices in {path.name} lack the column {listed(missing, 'and')}: "
                + f"its first line must name {listed(_COLUMNS, 'and')}."
            )
        for row in reader:
            price = _price(row)
            if price is None:
                raise PricesUnreadable(
                    f"Line {reader.line_num} of {path.name} is no price: it needs an ISO date and a number."
                )
            rows.setdefault(row["Ticker"], []).append(price)
    for days in rows.values():
        days.sort()
    return {
        symbol: _Series(dates=tuple(day for day, _ in days), closes=tuple(close for _, close in days))
        for symbol, days in rows.items()
    }


def _price(row: dict[str, str]) -> tuple[str, Decimal] | None:
    """The day and the close of a line; None where it has none. A line that is too short has nulls."""
    try:
        day, close = date.fromisoformat(row["Date"]), Decimal(row["Close"])
    except (ValueError, TypeError, InvalidOperation):
        return None
    return (day.isoformat(), close) if close.is_finite() else None


def _day(text: str) -> date:
    """A date, also of a full RFC 3339 time, as it is written."""
    try:
        return datetime.fromisoformat(text).date()
    except ValueError as error:
        raise NodeInputError("The input 'until' of tool 'market.prices' is no date: write it as YYYY-MM-DD.") from error
