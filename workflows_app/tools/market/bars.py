"""Daily bars of one symbol, and the days that may be seen of them."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from workflows_app.dag import jsontext
from workflows_app.tools.errors import NodeInputError

# What a bar may hold, in the order in which it is written; each as a column of its own.
COLUMNS = ("open", "high", "low", "close", "volume")

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """The first and the last day that a node asks for, both included, as `YYYY-MM-DD`; None: all of them."""

    since: str | None = None
    until: str | None = None

    @classmethod
    def read(cls, since: str | None, until: str | None) -> "Days":
        """Raises `NodeInputError`."""
        days = cls(since=_day("since", since), until=_day("until", until))
        if days.since is not None and days.until is not None and days.since > days.until:
            raise NodeInputError("The input 'since' of tool 'market.prices' is after 'until': exchange them.")
        return days


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Dates in ascending order, each once, as `YYYY-MM-DD`; `columns` by name, each as long. There is `close`."""

    dates: Sequence[str]
    columns: Mapping[str, Sequence[Decimal]]

    def up_to(self, until: str | None) -> "Bars":
        """What was known on a day: nothing after it."""
        return self if until is None else self._cut(0, bisect_right(self.dates, until))

    def since(self, day: str | None) -> "Bars":
        return self if day is None else self._cut(bisect_left(self.dates, day), len(self.dates))

    def _cut(self, start: int, end: int) -> "Bars":
        columns = {name: values[start:end] for name, values in self.columns.items()}
        return Bars(dates=self.dates[start:end], columns=columns)


NO_BARS = Bars(dates=(), columns={"close": ()})


def day_of(text: object) -> str | None:
    """The day of a date or a time in ISO 8601, as it is written; None for anything else."""
    try:
        return datetime.fromisoformat(text).date().isoformat() if isinstance(text, str) else None
    except ValueError:
        return None


def price_of(value: object) -> Decimal | None:
    """A number, or its text, with all its digits; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        return None
    try:
        return jsontext.number(value.strip())
    except jsontext.JsonError:
        return None


def _day(name: str, text: str | None) -> str | None:
    day = day_of(text)
    if text is not None and day is None:
        raise NodeInputError(f"The input '{name}' of tool 'market.prices' is no date: write it as YYYY-MM-DD.")
    return day
