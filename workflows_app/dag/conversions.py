"""Conversions of the expression language: to and from text, numbers, booleans, times and JSON."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from workflows_app.dag import jsontext, moments
from workflows_app.dag.jsontext import MAX_DIGITS
from workflows_app.dag.operations import (
    MAX_TEXT,
    Budget,
    ExpressionError,
    LimitExceeded,
    is_number,
    is_too_long,
    kind_of,
    plain,
    quoted,
    shown,
    to_decimal,
    utc,
)

# So many characters of JSON may be an item.
_JSON_PER_STEP = 16
_STEPS_PER_PATTERN = 10


def number_of(name: str, value: object) -> int | Decimal:
    if not is_number(value):
        raise ExpressionError(f"{name}() needs a number, not {kind_of(value)}.")
    return cast("int | Decimal", value)


def text_of(name: str, value: object, budget: Budget) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"{name}() needs text, not {kind_of(value)}.")
    budget.spend_on(value)
    return value


def whole(number: Decimal) -> int:
    """Towards zero. Checked before the conversion, which takes time and space for a high exponent."""
    if number.adjusted() > 77:
        raise LimitExceeded("The result is an integer of more than 256 bits.")
    return int(number)


def to_text(value: object, budget: Budget) -> str:
    """Text as it is, Decimals without an exponent, times in RFC 3339, the rest as JSON."""
    match value:
        case str():
            return str(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            # A zero may have any exponent: it must not become a text of that length.
            return f"{value:f}" if value or -MAX_DIGITS <= value.adjusted() <= 0 else "0"
        case datetime():
            return jsontext.rfc3339(value)
        case _:
            return _json_of(value, budget, "text")


def as_str(arguments: list[Any], budget: Budget) -> object:
    """A value's text; a time's also as a pattern says."""
    if len(arguments) == 1:
        return to_text(arguments[0], budget)
    value, pattern = arguments
    budget.spend(_STEPS_PER_PATTERN)
    if not isinstance(value, datetime):
        raise ExpressionError(f"str() with a pattern writes times, not {kind_of(value)}: make one with date().")
    try:
        return moments.write(utc(value), text_of("str", pattern, budget))
    except moments.PatternError as error:
        raise ExpressionError(f"str() cannot use the pattern {quoted(pattern)}: {error}.") from None


def write_json(arguments: list[Any], budget: Budget) -> object:
    """JSON text of any value: a text in quotes, unlike `str`."""
    return _json_of(arguments[0], budget, "JSON")


def read_json(arguments: list[Any], budget: Budget) -> object:
    text = text_of("from_json", arguments[0], budget)
    if is_too_long(text):
        raise LimitExceeded(f"from_json() reads text of at most {MAX_TEXT} bytes.")
    budget.spend(len(text) // _JSON_PER_STEP)
    try:
        return jsontext.loads(text)
    except jsontext.JsonError as error:
        raise ExpressionError(f"from_json() does not read {quoted(text)}: {error}") from None


def _json_of(value: object, budget: Budget, what: str) -> str:
    copy = plain(value, budget)
    _spend_on_all(copy, budget)
    try:
        return jsontext.dumps(copy)
    except jsontext.JsonError as error:
        raise ExpressionError(f"The value has no {what}: {error}") from None


def _spend_on_all(value: object, budget: Budget) -> None:
    """A value is written whole, with all that is inside."""
    budget.spend_on(value)
    if isinstance(value, list):
        for item in cast("list[object]", value):
            if isinstance(item, (str, list, dict)):
                _spend_on_all(cast("object", item), budget)
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            budget.spend_on(key)
            _spend_on_all(item, budget)


def as_int(arguments: list[Any], _budget: Budget) -> object:
    """Towards zero, as Python's; as there, text with a fraction or an exponent is no integer."""
    value = arguments[0]
    number = _parsed("int", value) if isinstance(value, str) else number_of("int", value)
    if isinstance(number, int):
        return number
    if isinstance(value, str):
        raise ExpressionError(f"int() does not read {quoted(value)}: convert it with int(decimal(x)).")
    return whole(number)


def as_decimal(arguments: list[Any], _budget: Budget) -> object:
    value = arguments[0]
    if isinstance(value, str):
        value = _parsed("decimal", value)
    return to_decimal(number_of("decimal", value))


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def _parsed(name: str, text: str) -> int | Decimal:
    spelling = text.strip()
    if len(spelling) > 400 or not _NUMBER.fullmatch(spelling):
        raise ExpressionError(f"{name}() does not read {quoted(text)} as a number.")
    try:
        if spelling.lstrip("+-").isdigit():
            return int(spelling)
        return jsontext.number(spelling)
    except jsontext.JsonError as error:
        raise LimitExceeded(str(error)) from None


_BOOLEANS = {"true": True, "false": False}


def as_bool(arguments: list[Any], budget: Budget) -> object:
    """What means true or false: these, their JSON spelling, 1 and 0. `bool("false")` is false."""
    value = arguments[0]
    if isinstance(value, bool):
        return value
    if is_number(value) and value in (0, 1):
        return value == 1
    if isinstance(value, str) and text_of("bool", value, budget).strip().lower() in _BOOLEANS:
        return _BOOLEANS[value.strip().lower()]
    raise ExpressionError(f"bool() does not read {shown(value)}: it takes true, false, 'true', 'false', 1 and 0.")


_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))?", re.ASCII)


def as_time(arguments: list[Any], budget: Budget) -> object:
    value = arguments[0]
    if isinstance(value, datetime):
        return utc(value)
    text = text_of("date", value, budget)
    if len(arguments) > 1:
        budget.spend(_STEPS_PER_PATTERN)
        return _time_as(text, text_of("date", arguments[1], budget))
    try:
        moment = utc(datetime.fromisoformat(text.upper())) if _DATE.fullmatch(text) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise ExpressionError(f"date() does not read {quoted(text)}: write 2026-01-02 or 2026-01-02T03:04:05Z.")
    return moment


def _time_as(text: str, pattern: str) -> datetime:
    try:
        return moments.read(text, pattern)
    except moments.PatternError as error:
        raise ExpressionError(f"date() cannot use the pattern {quoted(pattern)}: {error}.") from None
    except ValueError:
        raise ExpressionError(f"date() does not read {quoted(text)} as {quoted(pattern)}.") from None
