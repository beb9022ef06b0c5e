"""Technical indicators by TA-Lib, which counts in floats."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

from workflows_app.tools.errors import MissingPackage, NodeInputError
from workflows_app.tools.market.errors import TooFewCloses
from workflows_app.tools.registry import tool

# What TA-Lib accepts as a period.
_LONGEST = 100_000
_MOST_DEVIATIONS = 100

# A whole line: null where the indicator is not defined yet.
type Line = list[float | None]


class Value(TypedDict):
    value: float
    series: NotRequired[Line]


class MacdLines(TypedDict):
    macd: Line
    signal: Line
    histogram: Line


class Macd(TypedDict):
    macd: float
    signal: float
    histogram: float
    series: NotRequired[MacdLines]


class BollingerLines(TypedDict):
    upper: Line
    middle: Line
    lower: Line


class Bollinger(TypedDict):
    upper: float
    middle: float
    lower: float
    series: NotRequired[BollingerLines]


@tool("market.sma", effect="none")
def sma(closes: list[float], period: int = 20, series: bool = False) -> Value:
    """The last simple moving average of closing prices, oldest first; with `series` also the one of every day."""
    return _value(_Asked("market.sma", {"period": period}, needed=period), "SMA", [closes], series)


@tool("market.ema", effect="none")
def ema(closes: list[float], period: int = 20, series: bool = False) -> Value:
    """The last exponential moving average of closing prices, oldest first; with `series` also the one of every day."""
    return _value(_Asked("market.ema", {"period": period}, needed=period), "EMA", [closes], series)


@tool("market.rsi", effect="none")
def rsi(closes: list[float], period: int = 14, series: bool = False) -> Value:
    """The last relative strength index, 0 to 100, of closing prices, oldest first, with Wilder's smoothing."""
    return _value(_Asked("market.rsi", {"period": period}, needed=period + 1), "RSI", [closes], series)


@tool("market.atr", effect="none")
def atr(highs: list[float], lows: list[float], closes: list[float], period: int = 14, series: bool = False) -> Value:
    """The last average true range of daily prices, oldest first, with Wilder's smoothing."""
    if not len(highs) == len(lows) == len(closes):
        raise NodeInputError(
            f"The inputs of tool 'market.atr' belong to the same days, but there are {len(highs)} highs, "
            + f"{len(lows)} lows and {len(closes)} closes."
        )
    asked = _Asked("market.atr", {"period": period}, needed=period + 1, shortest=1)
    return _value(asked, "ATR", [highs, lows, closes], series)


@tool("market.macd", effect="none")
def macd(closes: list[float], fast: int = 12, slow: int = 26, signal: int = 9, series: bool = False) -> Macd:
    """The last moving average convergence/divergence of closing prices, oldest first, its signal line and histogram."""
    if fast >= slow:
        raise NodeInputError(f"The input 'fast' of tool 'market.macd' is {fast}: it must be less than 'slow', {slow}.")
    periods = {"fast": fast, "slow": slow, "signal": signal}
    asked = _Asked("market.macd", periods, needed=slow + signal - 1)
    parameters = {"fastperiod": fast, "slowperiod": slow, "signalperiod": signal}
    lines = _lines(asked, "MACD", [closes], parameters)
    found = Macd(macd=_last(lines[0]), signal=_last(lines[1]), histogram=_last(lines[2]))
    if series:
        found["series"] = MacdLines(macd=lines[0], signal=lines[1], histogram=lines[2])
    return found


@tool("market.bollinger", effect="none")
def bollinger(closes: list[float], period: int = 20, deviations: float = 2.0, series: bool = False) -> Bollinger:
    """The last Bollinger bands of closing prices, oldest first: an average, and so many standard deviations around."""
    if not 0 < deviations <= _MOST_DEVIATIONS:
        raise NodeInputError(
            f"The input 'deviations' of tool 'market.bollinger' is {deviations:g}: "
            + f"use a number above 0 and up to {_MOST_DEVIATIONS}."
        )
    asked = _Asked("market.bollinger", {"period": period}, needed=period)
    parameters = {"timeperiod": period, "nbdevup": deviations, "nbdevdn": deviations}
    lines = _lines(asked, "BBANDS", [closes], parameters)
    found = Bollinger(upper=_last(lines[0]), middle=_last(lines[1]), lower=_last(lines[2]))
    if series:
        found["series"] = BollingerLines(upper=lines[0], middle=lines[1], lower=lines[2])
    return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """The periods that a tool was given, by input, and how many prices they need at least."""

    tool: str
    periods: dict[str, int]
    needed: int
    shortest: int = 2


def _value(asked: _Asked, function: str, columns: Sequence[list[float]], series: bool) -> Value:
    (line,) = _lines(asked, function, columns, {"timeperiod": asked.periods["period"]})
    return Value(value=_last(line), series=line) if series else Value(value=_last(line))


def _last(line: Line) -> float:
    value = line[-1]
    assert value is not None
    return value


def _lines(asked: _Asked, function: str, columns: Sequence[list[float]], parameters: dict[str, Any]) -> list[Line]:
    """What TA-Lib computes, a value for every day. Raises `NodeInputError`, `MissingPackage`."""
    for name, period in asked.periods.items():
        if not asked.shortest <= period <= _LONGEST:
            raise NodeInputError(
                f"The input '{name}' of tool '{asked.tool}' is {period}: use a number of days from "
                + f"{asked.shortest} to {_LONGEST}."
            )
    if len(columns[0]) < asked.needed:
        raise TooFewCloses(asked.tool, tuple(asked.periods.values()), asked.needed, len(columns[0]))
    try:
        import numpy as np  # noqa: PLC0415 - both are slow to import and come with an extra
        import talib  # noqa: PLC0415
    except ImportError as error:
        raise MissingPackage(asked.tool, "TA-Lib", "trading") from error
    found = getattr(talib, function)(*(np.asarray(column, dtype=np.float64) for column in columns), **parameters)
    lines = cast("Sequence[Any]", found) if isinstance(found, tuple) else [found]
    if not all(np.isfinite(line[asked.needed - 1 :]).all() for line in lines):
        raise NodeInputError(f"The prices that tool '{asked.tool}' got are too large to count with as floats.")
    # Before it is defined a line holds NaN.
    return [[None if value != value else value for value in line.tolist()] for line in lines]
