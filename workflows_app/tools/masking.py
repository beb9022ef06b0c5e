"""Secrets in text and in values become `***`, in whatever spelling they come back.

A value is found as it is and as common encoders spell it: URL-quoted, JSON-escaped, as Python's repr, HTML-escaped,
also mixed and twice, in hexadecimal, and in base64 wherever it stands in a longer text that was encoded. All spellings
of all values are one automaton of RE2 over UTF-8 bytes: linear in the text, and other threads run meanwhile.
"""

import base64
import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from html.entities import codepoint2name
from itertools import batched
from string import ascii_letters, digits
from typing import Any, Self, cast
from urllib.parse import quote, quote_plus

import re2

from workflows_app.dag.types import JsonValue

HIDDEN = "***"
# Longer values are looked for in whole spellings only: an automaton of every mixture would be too large.
_LONG = 4096
# Shorter ones are looked for as they are written: a few letters of base64 are in every text.
_SHORT = 4
# Bounds of the automaton: in less memory a large one is a hundred times slower. A usual secret's has 1500 states.
_AUTOMATON_BYTES = 1 << 28
_AUTOMATON_STATES = 800_000
_ALPHABET = f"{ascii_letters[26:]}{ascii_letters[:26]}{digits}+/"
_SHORT_ESCAPES = {"\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\0": "0"}
# No character is longer than this in any spelling, in bytes; a letter or digit is itself, or part of base64.
_LONGEST_SPELLING = 32
_LONGEST_PLAIN = 3
# So many hits that begin in one another are looked at. A value that resembles itself more than that is all one letter.
_MOST_INSIDE = 256


@dataclass(frozen=True, slots=True)
class Mask:
    """Hides values. Equal where the values are; says none of them in its repr."""

    _values: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, values: Iterable[str]) -> Self:
        """A mask of these values. What stands around one as white space need not be there."""
        return cls(frozenset(part for value in values for part in (value, value.strip()) if part))

    @property
    def is_empty(self) -> bool:
        return not self._values

    @property
    def has_space(self) -> bool:
        """Whether there is white space in a value."""
        return any(map(str.isspace, "".join(self._values)))

    @property
    def reach(self) -> int:
        """No spelling of a value has more characters."""
        return 0 if self.is_empty else _finder(self._values).reach

    def text(self, text: str) -> str:
        """The text with every value in every spelling replaced; the same object where there is none.

        JSON text is read first and masked as a value: what is replaced in it may leave no JSON.
        """
        return text if self.is_empty else _finder(self._values).masked(text)

    def value(self, value: JsonValue) -> JsonValue:
        """The value with its texts and keys masked; a number whose digits contain a value is hidden as a whole.

        The same object where there is nothing to hide.
        """
        if self.is_empty:
            return value
        finder = _finder(self._values)
        texts, numbers = _scalars(value)
        # One search for all: most values hold no secret.
        hidden = finder.finds("\0".join(texts)) or any(map(finder.hides_number, numbers))
        return _masked(value, finder) if hidden else value


def _scalars(value: JsonValue) -> tuple[list[str], list[int | Decimal]]:
    """The texts, keys among them, and the numbers inside of a value, in no order."""
    texts: list[str] = []
    numbers: list[int | Decimal] = []
    rest = [value]
    while rest:
        match rest.pop():
            case str() as text:
                texts.append(text)
            case dict() as items:
                texts.extend(items)
                rest.extend(items.values())
            case list() as items:
                rest.extend(items)
            case int() | Decimal() as number:
                numbers.append(number)
            case None:
                pass
    return texts, numbers


def _masked(value: JsonValue, finder: "_Finder") -> JsonValue:
    match value:
        case str():
            return finder.masked(value)
        case dict():
            result: dict[str, JsonValue] = {}
            for key, item in value.items():
                name = shown = finder.masked(key)
                # Two keys that are hidden are two keys still.
                while name in result:
                    name = f"{shown}{len(result)}"
                result[name] = _masked(item, finder)
            return result
        case list():
            return [_masked(item, finder) for item in value]
        case int() | Decimal():
            return HIDDEN if finder.hides_number(value) else value
        case None:
            return value


class _Finder:
    """What finds the values of a mask."""

    __slots__ = ("_digits", "_exact", "_longest", "_pattern", "reach")

    def __init__(self, values: frozenset[str]) -> None:
        by_length = sorted(values, key=lambda value: (-len(value), value))
        short = [value for value in by_length if len(value) <= _LONG]
        self._longest = max(map(_longest, short), default=0)
        self._pattern: Any = None
        try:
            if short:
                self._pattern = _automaton("|".join(spelling for value in short for spelling in _spellings(value)))
        except ValueError:
            # Thousands of characters of which each has many spellings.
            short = []
        whole = {spelling for value in by_length if value not in short for spelling in _whole_spellings(value)}
        self._exact = sorted(whole, key=lambda spelling: (-len(spelling), spelling))
        self.reach: int = max(self._longest, *map(len, self._exact), 0)
        self._digits: tuple[str, ...] = tuple(filter(None, map(_digits, by_length)))

    def finds(self, text: str) -> bool:
        data = text.encode("utf-8", "surrogatepass")
        return (self._pattern is not None and self._pattern.search(data) is not None) or any(
            spelling in data for spelling in self._exact
        )

    def masked(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        hidden = self._without_found(self._without_exact(data))
        return text if hidden is data else hidden.decode("utf-8", "surrogatepass")

    def hides_number(self, number: int | Decimal) -> bool:
        if not self._digits or isinstance(number, bool):
            return False
        written = re.sub(r"\D", "", format(number, "f") if isinstance(number, Decimal) else str(number))
        return any(some in written for some in self._digits)

    def _without_exact(self, data: bytes) -> bytes:
        for spelling in self._exact:
            if spelling in data:
                data = data.replace(spelling, HIDDEN.encode())
        return data

    def _without_found(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        end = 0
        for start, stop in self._spans(data):
            pieces += [data[end:start], HIDDEN.encode()]
            end = stop
        return b"".join([*pieces, data[end:]]) if pieces else data

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where something is to be hidden. Of values that overlap nothing is left."""
        spans: list[tuple[int, int]] = []
        at = inside = 0
        while self._pattern is not None and (hit := self._pattern.search(data, at)) is not None:
            start, stop = cast("tuple[int, int]", hit.span())
            if spans and start < spans[-1][1]:
                inside += 1
                spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
            else:
                inside = 0
                spans.append((start, stop))
            # Another value may begin inside of this one. What begins further in front ends inside, too.
            at = max(start + 1, stop - self._longest + 1) if inside < _MOST_INSIDE else spans[-1][1]
        return spans


# For the executions that run at a time; several are made of the same values.
@lru_cache(maxsize=32)
def _finder(values: frozenset[str]) -> _Finder:
    return _Finder(values)


def _automaton(pattern: str) -> Any:
    """Raises `ValueError` where it would be too large."""
    engine = cast("Any", re2)
    options = engine.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _AUTOMATON_BYTES
    # Bytes, so that no text is invalid.
    options.encoding = engine.Options.Encoding.LATIN1
    try:
        # Hits that follow each other are one.
        automaton = engine.compile(f"(?:{pattern})+".encode("ascii"), options=options)
    except engine.error:
        automaton = None
    if automaton is None or automaton.programsize > _AUTOMATON_STATES:
        # Without the text of the engine's error, which repeats the pattern.
        raise ValueError("The values are too long.")
    return automaton


def _longest(value: str) -> int:
    return sum(_LONGEST_PLAIN if letter.isalnum() and letter.isascii() else _LONGEST_SPELLING for letter in value)


def _digits(value: str) -> str:
    """The digits of a value that is a number, "" for any other. Zeros in front get lost when it is read."""
    if re.fullmatch(r"[+-]?[0-9]+(?:\.[0-9]+)?", value) is None:
        return ""
    written = re.sub(r"\D", "", value)
    significant = written.lstrip("0")
    return significant if len(significant) >= 8 else written


def _spellings(value: str) -> list[str]:
    """Patterns: its characters, each in any spelling; its bytes in hexadecimal and base64."""
    data = value.encode("utf-8", "surrogatepass")
    found = ["".join(map(_spelled, value))]
    if len(data) >= _SHORT:
        found += [f"(?i:{data.hex()})", *(_base64(data, before) for before in range(3))]
    return found


@lru_cache(maxsize=1024)
def _spelled(character: str) -> str:
    """A pattern of the spellings of one character, the longest first."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    data = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass")
    ways = [
        "".join(f"%(?:25)?{_hexadecimal(byte, 2)}" for byte in data),
        "".join(rf"\\{{1,4}}x{_hexadecimal(byte, 2)}" for byte in data),
        "".join(rf"\\{{1,4}}u{_hexadecimal(256 * high + low, 4)}" for high, low in batched(units, 2)),
        rf"\\{{1,4}}U{_hexadecimal(code, 8)}",
        rf"&(?:amp;)?#0{{0,4}}{code};",
        rf"&(?:amp;)?#[xX]0{{0,4}}{_hexadecimal(code, 1)};",
    ]
    if 0x80 <= code <= 0xFF:
        ways.append(rf"\\{{1,4}}x{_hexadecimal(code, 2)}")
    if (name := "apos" if character == "'" else codepoint2name.get(code)) is not None:
        ways.append(f"&(?:amp;)?{name};")
    if character in _SHORT_ESCAPES:
        ways.append(rf"\\{{1,4}}{_SHORT_ESCAPES[character]}")
    if character == " ":
        ways.append(r"\+")
    ways.append(r"\\{1,4}" if character == "\\" else rf"\\{{0,3}}{_literal(data)}")
    return f"(?:{'|'.join(ways)})"


def _hexadecimal(number: int, width: int) -> str:
    return f"(?i:{number:0{width}x})"


def _literal(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _base64(data: bytes, before: int) -> str:
    """A pattern of what the bytes become behind so many others of a group of three, and of the letters at the ends
    that they share with their neighbours."""
    letters = base64.b64encode(bytes(before) + data).decode().rstrip("=")
    first = (0, 2, 3)[before]
    whole, rest = divmod((before + len(data)) * 8, 6)
    pattern = "".join(map(_letter, letters[first:whole]))
    if before:
        # The upper bits of the letter in front belong to the neighbour.
        own = _ALPHABET.index(letters[first - 1])
        step = 16 if before == 1 else 4
        pattern = f"{_any_letter(own + other for other in range(0, 64, step))}?{pattern}"
    if rest:
        own = _ALPHABET.index(letters[whole])
        padding = _spelled("=")
        pattern += f"(?:{_any_letter(own + other for other in range(1 << (6 - rest)))}{padding}{{0,2}})?"
    return pattern


def _any_letter(places: Iterable[int]) -> str:
    return f"(?:{'|'.join(_letter(_ALPHABET[place]) for place in places)})"


def _letter(letter: str) -> str:
    """One letter of base64, in the standard or the URL-safe alphabet, as encoders may spell it."""
    if letter == "+":
        return rf"(?:{_spelled('+')}|\-)"
    return f"(?:{_spelled('/')}|_)" if letter == "/" else letter


def _whole_spellings(value: str) -> set[bytes]:
    """What each of the usual encoders makes of a value."""
    quoted = {quote(value, safe="/"), quote(value, safe=""), quote_plus(value)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), text) for text in quoted}
    once = {_json(value, ascii_only) for ascii_only in (True, False)}
    twice = {_json(text, ascii_only) for text in once for ascii_only in (True, False)}
    escaped = {html.escape(value, quote=False), html.escape(value), html.escape(value).replace("&#x27;", "&#39;")}
    spelled = {value, repr(value)[1:-1], ascii(value)[1:-1], *quoted, *once, *twice, *escaped}
    data = value.encode("utf-8", "surrogatepass")
    found = {text.encode("utf-8", "surrogatepass") for text in spelled}
    found |= {data.hex().encode(), data.hex().upper().encode()}
    for before, first in enumerate((0, 2, 3)):
        whole = (before + len(data)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(bytes(before) + data)[first:whole])
    return found


def _json(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]
