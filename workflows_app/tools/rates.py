"""How often a tool may be called, by all processes of a site together."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast, override

# What was not called because whoever asks came late may be caught up for so long, in seconds.
LATE_SECONDS = 0.1
# More in a period, or at once, is no limit.
MOST = 1_000_000


class _Period(NamedTuple):
    seconds: int
    # As it stands in a sentence.
    word: str


_PERIODS = {"s": _Period(1, "a second"), "m": _Period(60, "a minute"), "h": _Period(3600, "an hour")}
_RATE = re.compile(r"([1-9][0-9]{0,6})/([smh])(?: burst ([1-9][0-9]{0,6}))?", re.ASCII)


class RateError(ValueError):
    """What is written is no rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many calls a period, evenly spaced; with `burst`, so many at once where none were made for a while.

    In any time of so many seconds there are at most `capacity + seconds * per_second` calls.
    """

    calls: int
    period: str
    burst: int | None = None

    @staticmethod
    def parse(text: str) -> "Rate":
        """From text such as `10/s`, `100/m` or `1000/h burst 50`. Raises `RateError`."""
        return _parsed(text)

    @property
    def per_second(self) -> float:
        return self.calls / _PERIODS[self.period].seconds

    @property
    def capacity(self) -> float:
        """How many calls may be made at once; what is beyond a whole number makes the next one come sooner."""
        return 1 + LATE_SECONDS * self.per_second if self.burst is None else float(self.burst)

    def sentence(self, tool: str) -> str:
        """What holds for a tool, to stand in a sentence."""
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        return f"at most {calls} of '{tool}' {_PERIODS[self.period].word}"

    @override
    def __str__(self) -> str:
        return f"{self.calls}/{self.period}" + ("" if self.burst is None else f" burst {self.burst}")


@lru_cache(maxsize=256)
def _parsed(text: str) -> Rate:
    found = _RATE.fullmatch(text)
    if found is None:
        raise RateError(f"{text[:40]!r} is no rate: write calls and a period, as in '10/s', '100/m', '5/h burst 2'.")
    calls, period, burst = found.groups()
    rate = Rate(calls=int(calls), period=period, burst=None if burst is None else int(burst))
    if max(rate.calls, rate.burst or 0) > MOST:
        raise RateError(f"{text!r} is more than {MOST} calls, which is no limit: leave it out.")
    return rate


def rates_of(setting: object) -> Mapping[str, Rate | None]:
    """What a setting says of tools by their names: a rate each, or None where there is to be none.

    Raises `RateError`.
    """
    if not isinstance(setting, Mapping):
        raise RateError(f"It is {setting!r}, and no names of tools with their rates.")
    rates: dict[str, Rate | None] = {}
    for name, text in cast("Mapping[object, object]", setting).items():
        if not isinstance(name, str) or not (text is None or isinstance(text, str)):
            raise RateError(f"It has {name!r}: {text!r}, and not the name of a tool with a text.")
        try:
            rates[name] = None if text is None else Rate.parse(text)
        except RateError as error:
            raise RateError(f"For {name!r}: {error}") from None
    return rates


NO_RATES: Mapping[str, Rate | None] = {}


def _unset() -> Mapping[str, Rate | None]:
    return NO_RATES


# What the settings say, which goes before what the makers of tools say; set where there are settings.
current: Callable[[], Mapping[str, Rate | None]] = _unset
