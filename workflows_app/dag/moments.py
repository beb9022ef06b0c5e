"""Times as a pattern spells them: `%d.%m.%Y`. Six directives, all numbers, the same on every machine."""

import re
from datetime import UTC, datetime
from functools import lru_cache

MAX_PATTERN = 100
# Directive: the argument of `datetime`, and its digits.
_PARTS = {
    "Y": ("year", 4),
    "m": ("month", 2),
    "d": ("day", 2),
    "H": ("hour", 2),
    "M": ("minute", 2),
    "S": ("second", 2),
}
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)


class PatternError(ValueError):
    """Raised for a pattern that cannot be used; a phrase that says why."""


def instant(text: object) -> datetime:
    """What a text says that is a time with its zone, in UTC. Raises `ValueError` for anything else."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("A time is written with its zone, as 2026-01-02T03:04:05Z")


def write(moment: datetime, pattern: str) -> str:
    """A time in UTC as text. Raises `PatternError`."""
    return "".join(
        f"{getattr(moment, _PARTS[piece][0]):0{_PARTS[piece][1]}}" if directive else piece
        for piece, directive in _pieces(pattern)
    )


def read(text: str, pattern: str) -> datetime:
    """A time in UTC, midnight where the pattern has no time of day. Raises `PatternError`, or `ValueError`."""
    expression, names = _reader(pattern)
    found = expression.fullmatch(text)
    if found is None:
        raise ValueError
    parts = {name: int(digits) for name, digits in zip(names, found.groups(), strict=True)}
    return datetime(
        parts["year"], parts["month"], parts["day"],
        parts.get("hour", 0), parts.get("minute", 0), parts.get("second", 0), tzinfo=UTC,
    )  # fmt: skip


@lru_cache(maxsize=64)
def _reader(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """What finds the digits, and what they are. Every part has a fixed length: nothing is tried twice."""
    names = tuple(_PARTS[piece][0] for piece, directive in _pieces(pattern) if directive)
    if len(set(names)) < len(names) or not {"year", "month", "day"} <= set(names):
        raise PatternError("it must have %Y, %m and %d, and each directive once")
    parts = (rf"(\d{{{_PARTS[piece][1]}}})" if directive else re.escape(piece) for piece, directive in _pieces(pattern))
    return re.compile("".join(parts), re.ASCII), names


@lru_cache(maxsize=64)
def _pieces(pattern: str) -> tuple[tuple[str, bool], ...]:
    """Directives, and the text between them."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"it has more than {MAX_PATTERN} characters")
    pieces: list[tuple[str, bool]] = []
    at = 0
    for match in _DIRECTIVE.finditer(pattern):
        letter = match[1]
        if letter != "%" and letter not in _PARTS:
            raise PatternError(f"its directives are {', '.join(f'%{known}' for known in _PARTS)} and %%")
        pieces += [(pattern[at : match.start()], False), (letter, letter != "%")]
        at = match.end()
    return (*pieces, (pattern[at:], False))
