"""The one JSON codec: integers are `int`, everything with a fraction or an exponent is a `Decimal`, digit for digit.

Built on msgspec. What JSON text may hold and what Python values may become is bounded the same way in both
directions: integers up to 256 bits, 64 significant digits, exponents within +-308, no NaN, no U+0000, no lone
surrogates, at most 200 levels.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

import msgspec

from workflows_app.dag.types import JsonValue

MAX_DEPTH = 200
# What interfaces put around a value: `{"items": [{"output": ...}]}` and the like.
LEVELS_AROUND = 10
MAX_INTEGER = 2**256
MAX_DIGITS = 64
MAX_EXPONENT = 308

# An integer of more than 256 bits has at least 78 digits.
_LONG_NUMBER = re.compile(r"\d{78}")
_SURROGATE = re.compile("[\ud800-\udfff]")


# Modules of values that have a spelling, and nothing else that JSON could have of them.
_WRITTEN_AS_TEXT = frozenset({"ipaddress", "pydantic.networks"})


class JsonError(ValueError):
    """Raised for text that is not JSON and for values that cannot become JSON; a whole sentence."""


def loads(text: str | bytes) -> JsonValue:
    """The value of JSON text. Raises `JsonError` that says what is wrong and, where it is known, where."""
    value = _decode(_DECODER, text)
    _refuse_what_msgspec_reads(value, text)
    return cast(JsonValue, value)


def loads_as[T](kind: type[T], text: str | bytes) -> T:
    """Decode text that we wrote ourselves, or have read with `loads`, straight into a msgspec type."""
    return cast(T, _decode(_decoder(kind), text))


def clean(value: object) -> JsonValue:
    """A canonical copy of any value that has a JSON form.

    Floats become the Decimal of their shortest repr, tuples lists, enumerations their value, dates RFC 3339 text
    in UTC, paths and addresses text, dataclasses, structs and Pydantic models objects, these by their aliases.
    Raises `JsonError` with the path of what has none.
    """
    return _clean(value, 0)


def dumps(value: object, *, around: int = 0) -> str:
    """Compact JSON text of any value that `clean` accepts, with all digits and keys in their order.

    `around` is how many levels an answer may have around values that are themselves as deep as they may be.
    """
    return _ENCODER.encode(_clean(value, -around)).decode()


def is_longer(value: object, limit: int) -> bool:
    """Whether a value's JSON text is certainly longer than `limit` characters, without making that text.

    A lower bound of texts and containers, found without a copy of them: for refusing a huge value before it is
    encoded.
    """
    length = 0
    level: list[object] = [value]
    # A value that is nested deeper, or contains itself, is refused when it is encoded.
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            inside: Collection[object] = ()
            if isinstance(item, str):
                length += len(item)
            elif isinstance(item, dict):
                inside = cast("dict[str, object]", item).values()
                # Per entry at least a key of two quotes, a colon, a value and a comma.
                length += 5 * len(inside)
            elif isinstance(item, (list, tuple)):
                inside = cast("Sequence[object]", item)
                length += 2 * len(inside)
            if length > limit:
                return True
            below.extend(inside)
        if not below:
            return False
        level = below
    return False


def dumps_struct(value: object) -> str:
    """JSON text of a msgspec struct, or of a value that is canonical already."""
    return _ENCODER.encode(value).decode()


def pretty(value: object) -> str:
    """JSON text for people: two spaces a level. It may be an answer around values."""
    return msgspec.json.format(dumps(value, around=LEVELS_AROUND), indent=2)


def number(text: str) -> Decimal:
    """A Decimal within the bounds, from its JSON spelling."""
    try:
        value = Decimal(text)
    except DecimalException:
        raise JsonError(f"The number {text[:60]} has an exponent outside of +-{MAX_EXPONENT}.") from None
    _check_decimal(value)
    return value


_DECODER = msgspec.json.Decoder(float_hook=number)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@lru_cache(maxsize=16)
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, float_hook=number)


def _decode(decoder: msgspec.json.Decoder[Any], text: str | bytes) -> object:
    try:
        return decoder.decode(text)
    except RecursionError:
        raise JsonError(f"The JSON is nested too deeply: keep to {MAX_DEPTH} levels.") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _unreadable(text, error) from error


def _refuse_what_msgspec_reads(value: object, text: str | bytes) -> None:
    """Hold a decoded value to the bounds that its decoder does not know; cheap tests of the text come first."""
    source = text if isinstance(text, str) else text.decode()
    if "\\u" in source or _LONG_NUMBER.search(source) is not None:
        _ = _clean(value, 0)
    elif source.count("[") + source.count("{") > MAX_DEPTH and is_deeper(value):
        raise JsonError(f"The JSON is nested too deeply: keep to {MAX_DEPTH} levels.")


def is_deeper(value: object, levels: int = MAX_DEPTH) -> bool:
    """Whether a value has more levels. Walks containers level by level; scalars cost nothing."""
    level = [value]
    for _ in range(levels):
        level = [item for container in level for item in _items(container) if type(item) is dict or type(item) is list]
        if not level:
            return False
    return True


def _items(container: object) -> Iterable[object]:
    if isinstance(container, dict):
        return cast("dict[str, object]", container).values()
    return cast("list[object]", container)


def _unreadable(text: str | bytes, error: Exception) -> JsonError:
    source = text if isinstance(text, str) else text.decode("utf-8", "replace")
    if not source.strip():
        return JsonError("The text is empty: JSON needs a value, such as {}.")
    if isinstance(error.__cause__, JsonError):
        return error.__cause__
    reason = str(error).removeprefix("JSON is malformed: ")
    if "truncated" in reason and re.search(r"\\u[dD][89a-fA-F]", source):
        return JsonError("The text holds a lone surrogate, which is no character, or ends too early.")
    at = re.search(r"\(byte (\d+)\)", reason)
    if at is None:
        return JsonError(f"The text is no valid JSON: {reason}.")
    before = source.encode("utf-8", "replace")[: int(at[1])].decode("utf-8", "replace")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return JsonError(f"The text is no valid JSON at line {line}, column {column}: {reason[: at.start()].strip()}.")


def _clean(value: object, depth: int) -> JsonValue:
    kind = type(value)
    if value is None or kind is bool:
        return cast(JsonValue, value)
    if kind is str:
        return _text(cast(str, value))
    if kind is int:
        return _integer(cast(int, value))
    if kind is Decimal:
        return _decimal(cast(Decimal, value))
    if depth >= MAX_DEPTH:
        raise JsonError(f"It is nested deeper than {MAX_DEPTH} levels, or contains itself.")
    if kind is dict:
        return _object(cast("dict[object, object]", value), depth + 1)
    if kind is list or kind is tuple:
        return _array(cast("Sequence[object]", value), depth + 1)
    return _other(value, depth)


def _object(value: "dict[object, object]", depth: int) -> JsonValue:
    result: dict[str, JsonValue] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise JsonError(f"The key {key!r} is not text: an object's keys are.")
        try:
            result[_text(str(key))] = _clean(item, depth)
        except JsonError as error:
            raise _within(key, error) from None
    return result


def _array(value: Sequence[object], depth: int) -> JsonValue:
    result: list[JsonValue] = []
    for position, item in enumerate(value):
        try:
            result.append(_clean(item, depth))
        except JsonError as error:
            raise _within(position, error) from None
    return result


def printable(text: str) -> str:
    """The text with what no JSON text may hold, U+0000 and lone surrogates, as people write it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")


class _Located(JsonError):
    """An error with the path of the value at which it was found."""

    def __init__(self, path: str, sentence: str) -> None:
        super().__init__(f"At {path}: {sentence}")
        self.path = path
        self.sentence = sentence


def _within(step: str | int, error: JsonError) -> JsonError:
    here = f"[{step}]" if isinstance(step, int) else printable(step)
    if not isinstance(error, _Located):
        return _Located(here, str(error))
    if len(error.path) > 200:
        return error
    joint = "" if error.path.startswith("[") else "."
    return _Located(f"{here}{joint}{error.path}", error.sentence)


def _text(value: str) -> str:
    # Most text is ASCII without a NUL: two scans in C.
    if "\0" in value:
        raise JsonError("The text holds U+0000, which no database takes: remove it.")
    if not value.isascii() and _SURROGATE.search(value):
        raise JsonError("The text holds a lone surrogate, which is no character: decode it properly.")
    return value


def _integer(value: int) -> int:
    if -MAX_INTEGER < value < MAX_INTEGER:
        return value
    raise JsonError("The integer has more than 256 bits: send it as text.")


def _decimal(value: Decimal) -> Decimal | int:
    """A Decimal within the bounds; one that is written without fraction and exponent is read as an integer."""
    _check_decimal(value)
    return int(value) if not value.as_tuple().exponent else value


def _check_decimal(value: Decimal) -> None:
    if not value.is_finite():
        raise JsonError(f"{value} is no number that JSON has: return null or leave it out.")
    if len(value.as_tuple().digits) > MAX_DIGITS:
        raise JsonError(f"The number has more than {MAX_DIGITS} significant digits: round it.")
    if not -MAX_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        raise JsonError(f"The number {value} has an exponent outside of +-{MAX_EXPONENT}.")


def _other(value: object, depth: int) -> JsonValue:
    """Types beyond JSON's own, the frequent ones first."""
    match value:
        case float():
            return _float(value)
        case Enum():
            return _clean(value.value, depth)
        case str():
            return _text(str(value))
        case int():
            return _integer(int(value))
        case datetime():
            return rfc3339(value)
        case date() | time():
            return value.isoformat()
        case UUID() | PurePath():
            return _text(str(value))
        case dict():
            return _object(dict(cast("dict[object, object]", value)), depth + 1)
        case list() | tuple():
            return _array(cast("Sequence[object]", value), depth + 1)
        case msgspec.Struct():
            names = value.__struct_fields__
            return _object({name: getattr(value, name) for name in names}, depth + 1)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _object({field.name: getattr(value, field.name) for field in fields(value)}, depth + 1)
        case _:
            return _foreign(value, depth)


def _foreign(value: object, depth: int) -> JsonValue:
    """Values of libraries that are not imported here."""
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _clean(dump(mode="python", by_alias=True), depth)
    if type(value).__module__ in _WRITTEN_AS_TEXT:
        return _text(str(value))
    if type(value).__module__.partition(".")[0] == "numpy":
        to_list = getattr(value, "tolist", None)
        if callable(to_list):
            return _clean(to_list(), depth)
    if isinstance(value, (set, frozenset)):
        raise JsonError("A set is not JSON: return a list.")
    if isinstance(value, timedelta):
        raise JsonError("A span of time is not JSON: return its seconds.")
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise JsonError("Bytes are not JSON: return text, such as base64.")
    raise JsonError(f"A value of type {type(value).__name__} is not JSON: return an object, a list, text or a number.")


def _float(value: float) -> JsonValue:
    return _decimal(Decimal(repr(float(value))))


def rfc3339(value: datetime) -> str:
    """A time in UTC with exactly six fractional digits and `Z`; one without a zone is taken as UTC."""
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return f"{aware.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
