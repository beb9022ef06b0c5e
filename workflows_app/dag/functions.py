"""The functions of the expression language. Each takes its arguments and the budget, and nothing else."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, DecimalException
from functools import cmp_to_key
from typing import Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.operations import (
    NUMBERS,
    Budget,
    ExpressionError,
    LimitExceeded,
    binary,
    contains,
    is_number,
    kind_of,
    order,
    plain,
    shortened,
    to_decimal,
    utc,
    within_bounds,
)
from workflows_app.dag.patterns import PatternError, matcher

type Function = Callable[[list[Any], Budget], object]


def call(name: str, arguments: list[object], budget: Budget) -> object:
    """Call a function. Raises `ExpressionError` for a wrong number or kind of arguments."""
    function, least, most = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        many = "argument" if most == 1 else "arguments"
        raise ExpressionError(f"{name}() takes {expected} {many}, not {len(arguments)}.")
    return within_bounds(function(arguments, budget))


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
    try:
        rounded = to_decimal(value).quantize(Decimal(1).scaleb(-places), context=NUMBERS)
    except DecimalException:
        raise LimitExceeded(f"round() to {places} places has more than 64 digits.") from None
    if len(arguments) == 1:
        return int(rounded)
    return int(rounded) if type(value) is int else rounded


def _any(arguments: list[Any], budget: Budget) -> object:
    return any(_list("any", arguments[0], budget))


def _all(arguments: list[Any], budget: Budget) -> object:
    return all(_list("all", arguments[0], budget))


def _sorted(arguments: list[Any], budget: Budget) -> object:
    items = _list("sorted", arguments[0], budget)

    def compare(one: object, other: object) -> int:
        budget.spend(1)
        return -1 if order("<", one, other, budget) else int(order(">", one, other, budget))

    return sorted(items, key=cmp_to_key(compare))


def _lower(arguments: list[Any], budget: Budget) -> object:
    return _text("lower", arguments[0], budget).lower()


def _upper(arguments: list[Any], budget: Budget) -> object:
    return _text("upper", arguments[0], budget).upper()


def to_text(value: object) -> str:
    """Text as it is, Decimals without an exponent, times in RFC 3339, the rest as JSON."""
    match value:
        case str():
            return value
        case Decimal():
            return f"{value:f}"
        case datetime():
            return jsontext.rfc3339(value)
        case _:
            return jsontext.dumps(value)


def _str(arguments: list[Any], budget: Budget) -> object:
    value = plain(arguments[0], budget)
    _spend_on_all(value, budget)
    return to_text(value)


def _spend_on_all(value: object, budget: Budget) -> None:
    """A value is written whole, with all that is inside."""
    budget.spend_on(value)
    if isinstance(value, list):
        for item in cast("list[object]", value):
            _spend_on_all(item, budget)
    elif isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            _spend_on_all(item, budget)


def _int(arguments: list[Any], _budget: Budget) -> object:
    """Towards zero, as Python's."""
    value = arguments[0]
    if isinstance(value, str):
        value = _parsed("int", value)
    number = _number("int", value)
    if isinstance(number, Decimal) and number.adjusted() > 77:
        raise LimitExceeded("The result is an integer of more than 256 bits.")
    return int(number)


def _decimal(arguments: list[Any], _budget: Budget) -> object:
    value = arguments[0]
    if isinstance(value, str):
        return Decimal(_parsed("decimal", value))
    return to_decimal(_number("decimal", value))


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def _parsed(name: str, text: str) -> int | Decimal:
    spelling = text.strip()
    if len(spelling) > 400 or not _NUMBER.fullmatch(spelling):
        raise ExpressionError(f"{name}() does not read '{shortened(text)}' as a number.")
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
    budget.spend(len(pattern))
    try:
        return matcher(pattern).search(text) is not None
    except PatternError as error:
        raise ExpressionError(f"matches() cannot use the pattern '{shortened(pattern)}': {error}.") from None


_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))?", re.ASCII)


def _date(arguments: list[Any], budget: Budget) -> object:
    value = arguments[0]
    if isinstance(value, datetime):
        return value
    text = _text("date", value, budget)
    try:
        moment = datetime.fromisoformat(text.upper()) if _DATE.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ExpressionError(f"date() does not read '{shortened(text)}': write 2026-01-02 or 2026-01-02T03:04:05Z.")
    return utc(moment)


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
SPECIAL_FUNCTIONS = {"default": (2, 2), "has": (1, 1), "now": (0, 0)}
