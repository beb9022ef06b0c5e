"""The functions of the expression language. Each takes its arguments and the budget, and nothing else."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, DecimalException
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.jsontext import MAX_DIGITS
from workflows_app.dag.operations import (
    MAX_TEXT,
    NUMBERS,
    Budget,
    ExpressionError,
    LimitExceeded,
    binary,
    contains,
    is_number,
    is_too_long,
    kind_of,
    order,
    plain,
    quoted,
    shortened,
    to_decimal,
    utc,
    within_bounds,
)
from workflows_app.dag.patterns import PatternError, matcher

# A pattern must be ready and must be searched for within a few milliseconds.
_PATTERN_MEMORY = 1 << 18
_STEPS_PER_PATTERN = 100

type Function = Callable[[list[Any], Budget], object]


def call(name: str, arguments: list[object], budget: Budget) -> object:
    """Call a function with as many arguments as it takes. Raises `ExpressionError` for a wrong kind of them."""
    return within_bounds(FUNCTIONS[name][0](arguments, budget))


def wrong_count(name: str, count: int) -> str | None:
    """What is wrong with the number of arguments; a sentence, or None."""
    _, least, most = FUNCTIONS[name]
    if least <= count <= most:
        return None
    expected = str(least) if least == most else f"{least} to {most}"
    many = "argument" if most == 1 else "arguments"
    return f"{name}() takes {expected} {many}, not {count}."


def unknown(name: str) -> str:
    """That there is no such function, and which may be meant; a sentence."""
    known = sorted({*FUNCTIONS, *SPECIAL_FUNCTIONS})
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}()?" if near else f"There are {', '.join(known)}."
    return f"There is no function '{shortened(name)}'(). {hint}"


def _len(arguments: list[Any], _budget: Budget) -> object:
    (value,) = arguments
    if not isinstance(value, (str, list, Mapping)):
        raise ExpressionError(f"len() does not work on {kind_of(value)}.")
    return len(cast("str", value))


def _items(name: str, arguments: list[Any], budget: Budget) -> list[object]:
    """The one list that a function gets, or its arguments."""
    if len(arguments) > 1:
        return arguments
    return _list(name, arguments[0], budget)


def _list(name: str, value: object, budget: Budget) -> list[object]:
    if not isinstance(value, list):
        raise ExpressionError(f"{name}() needs a list, not {kind_of(value)}.")
    items = cast("list[object]", value)
    budget.spend(len(items))
    return items


def _extreme(name: str, sign: str) -> Function:
    def extreme(arguments: list[Any], budget: Budget) -> object:
        items = _items(name, arguments, budget)
        if not items:
            raise ExpressionError(f"{name}() of an empty list: use default() for what it should be.")
        best = items[0]
        if len(items) == 1:
            _ = order(sign, best, best, budget)
        for item in items[1:]:
            if order(sign, item, best, budget):
                best = item
        return best

    return extreme


def _sum(arguments: list[Any], budget: Budget) -> object:
    total: object = 0
    for item in _list("sum", arguments[0], budget):
        if not is_number(item):
            raise ExpressionError(f"sum() adds numbers, not {kind_of(item)}.")
        total = binary("+", total, item, budget)
    return total


def _abs(arguments: list[Any], _budget: Budget) -> object:
    return NUMBERS.abs(value) if isinstance(value := _number("abs", arguments[0]), Decimal) else abs(value)


def _round(arguments: list[Any], _budget: Budget) -> object:
    value = _number("round", arguments[0])
    places = arguments[1] if len(arguments) > 1 else 0
    if type(places) is not int or not -jsontext.MAX_EXPONENT <= places <= jsontext.MAX_DIGITS:
        raise ExpressionError("round() takes a whole number of places.")
    if len(arguments) == 1:
        return value if isinstance(value, int) else _whole(value.to_integral_value(ROUND_HALF_EVEN))
    number = to_decimal(value)
    try:
        rounded = number.quantize(Decimal(1).scaleb(-places), context=NUMBERS)
        # 1200, not 1.2E+3.
        return rounded.quantize(Decimal(1), context=NUMBERS) if places < 0 else rounded
    except DecimalException:
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and -exponent <= places:
            return number
        raise LimitExceeded(f"round() to {places} places has more than 64 digits.") from None


def _whole(number: Decimal) -> int:
    """Towards zero. Checked before the conversion, which takes time and space for a high exponent."""
    if number.adjusted() > 77:
        raise LimitExceeded("The result is an integer of more than 256 bits.")
    return int(number)


def _any(arguments: list[Any], budget: Budget) -> object:
    return any(_list("any", arguments[0], budget))


def _all(arguments: list[Any], budget: Budget) -> object:
    return all(_list("all", arguments[0], budget))


def _sorted(arguments: list[Any], budget: Budget) -> object:
    items = _list("sorted", arguments[0], budget)

    # Python's own sort, for what can be compared: neighbours that can, all can.
    for one, other in pairwise(items):
        _ = order("<", one, other, budget)
    budget.spend(len(items) * len(items).bit_length() // 4)
    if items and isinstance(items[0], datetime):
        return sorted(items, key=lambda time: utc(cast(datetime, time)))
    return sorted(cast("list[Any]", items))


def _lower(arguments: list[Any], budget: Budget) -> object:
    return _text("lower", arguments[0], budget).lower()


def _upper(arguments: list[Any], budget: Budget) -> object:
    return _text("upper", arguments[0], budget).upper()


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
            copy = plain(value, budget)
            _spend_on_all(copy, budget)
            try:
                return jsontext.dumps(copy)
            except jsontext.JsonError as error:
                raise ExpressionError(f"The value has no text: {error}") from None


def _str(arguments: list[Any], budget: Budget) -> object:
    return to_text(arguments[0], budget)


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


def _int(arguments: list[Any], _budget: Budget) -> object:
    """Towards zero, as Python's; as there, text with a fraction or an exponent is no integer."""
    value = arguments[0]
    number = _parsed("int", value) if isinstance(value, str) else _number("int", value)
    if isinstance(number, int):
        return number
    if isinstance(value, str):
        raise ExpressionError(f"int() does not read {quoted(value)}: convert it with int(decimal(x)).")
    return _whole(number)


def _decimal(arguments: list[Any], _budget: Budget) -> object:
    value = arguments[0]
    if isinstance(value, str):
        value = _parsed("decimal", value)
    return to_decimal(_number("decimal", value))


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


def _number(name: str, value: object) -> int | Decimal:
    if not is_number(value):
        raise ExpressionError(f"{name}() needs a number, not {kind_of(value)}.")
    return cast("int | Decimal", value)


def _text(name: str, value: object, budget: Budget) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"{name}() needs text, not {kind_of(value)}.")
    budget.spend_on(value)
    return value


def _startswith(arguments: list[Any], budget: Budget) -> object:
    text, part = (_text("startswith", value, budget) for value in arguments)
    return text.startswith(part)


def _endswith(arguments: list[Any], budget: Budget) -> object:
    text, part = (_text("endswith", value, budget) for value in arguments)
    return text.endswith(part)


def _contains(arguments: list[Any], budget: Budget) -> object:
    return contains(arguments[0], arguments[1], budget)


def _matches(arguments: list[Any], budget: Budget) -> object:
    """Whether the pattern is found anywhere in the text; RE2, which takes linear time."""
    text, pattern = (_text("matches", value, budget) for value in arguments)
    budget.spend(_STEPS_PER_PATTERN + len(pattern))
    if is_too_long(text):
        raise LimitExceeded(f"matches() searches text of at most {MAX_TEXT} bytes.")
    try:
        compiled = matcher(pattern, _PATTERN_MEMORY)
    except PatternError as error:
        # RE2 goes on with a part of the pattern, in which a secret could not be found and hidden.
        reason = str(error).partition(":")[0]
        raise ExpressionError(f"matches() cannot use the pattern {quoted(pattern)}: {reason}.") from None
    # The slowest search takes time for every pair of a byte and an instruction.
    budget.spend(len(text.encode()) * cast("int", compiled.programsize) // 64)
    return compiled.search(text) is not None


_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))?", re.ASCII)


def _date(arguments: list[Any], budget: Budget) -> object:
    value = arguments[0]
    if isinstance(value, datetime):
        return utc(value)
    text = _text("date", value, budget)
    try:
        moment = utc(datetime.fromisoformat(text.upper())) if _DATE.fullmatch(text) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise ExpressionError(f"date() does not read {quoted(text)}: write 2026-01-02 or 2026-01-02T03:04:05Z.")
    return moment


# Name: function, least and most arguments. `default`, `has` and `now` are the interpreter's own.
FUNCTIONS: dict[str, tuple[Function, int, int]] = {
    "len": (_len, 1, 1),
    "min": (_extreme("min", "<"), 1, 100),
    "max": (_extreme("max", ">"), 1, 100),
    "sum": (_sum, 1, 1),
    "abs": (_abs, 1, 1),
    "round": (_round, 1, 2),
    "any": (_any, 1, 1),
    "all": (_all, 1, 1),
    "sorted": (_sorted, 1, 1),
    "lower": (_lower, 1, 1),
    "upper": (_upper, 1, 1),
    "str": (_str, 1, 1),
    "int": (_int, 1, 1),
    "decimal": (_decimal, 1, 1),
    "startswith": (_startswith, 2, 2),
    "endswith": (_endswith, 2, 2),
    "contains": (_contains, 2, 2),
    "matches": (_matches, 2, 2),
    "date": (_date, 1, 1),
}
# Take a comprehension without brackets.
OF_GENERATORS = frozenset({"min", "max", "sum", "any", "all", "sorted"})
SPECIAL_FUNCTIONS = {"default": (2, 2), "has": (1, 1), "now": (0, 0)}
