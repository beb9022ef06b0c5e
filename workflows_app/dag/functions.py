"""The functions of the expression language. Each takes its arguments and the budget, and nothing else."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, DecimalException
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.conversions import (
    as_bool,
    as_decimal,
    as_int,
    as_str,
    as_time,
    number_of,
    read_json,
    text_of,
    whole,
    write_json,
)
from workflows_app.dag.evaluation import item_of
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
    quoted,
    shortened,
    to_decimal,
    utc,
    within_bounds,
)
from workflows_app.dag.paths import index_of
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
    least, most = SPECIAL_FUNCTIONS[name] if name in SPECIAL_FUNCTIONS else FUNCTIONS[name][1:]
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


def _avg(arguments: list[Any], budget: Budget) -> object:
    items = _list("avg", arguments[0], budget)
    if not items:
        raise ExpressionError("avg() of an empty list: use default() for what it should be.")
    for item in items:
        if not is_number(item):
            raise ExpressionError(f"avg() takes numbers, not {kind_of(item)}.")
    return binary("/", _sum(arguments, budget), len(items), budget)


def _column(arguments: list[Any], budget: Budget) -> object:
    """What stands at a dotted path in every item; a number in it counts the items of a list from 0."""
    items = _list("column", arguments[0], budget)
    steps = text_of("column", arguments[1], budget).split(".")
    budget.spend(len(items) * len(steps))
    return [_at(steps, item, f"items[{position}]") for position, item in enumerate(items)]


def _at(steps: list[str], item: object, path: str) -> object:
    value = item
    for step in steps:
        if type(value) is list and (index := index_of(step)) is not None:
            value, path = item_of(cast("object", value), index, path), f"{path}[{step}]"
        else:
            value, path = item_of(cast("object", value), step, path), f"{path}.{step}"
    return value


def _abs(arguments: list[Any], _budget: Budget) -> object:
    return NUMBERS.abs(value) if isinstance(value := number_of("abs", arguments[0]), Decimal) else abs(value)


def _round(arguments: list[Any], _budget: Budget) -> object:
    value = number_of("round", arguments[0])
    places = arguments[1] if len(arguments) > 1 else 0
    if type(places) is not int or not -jsontext.MAX_EXPONENT <= places <= jsontext.MAX_DIGITS:
        raise ExpressionError("round() takes a whole number of places.")
    if len(arguments) == 1:
        return value if isinstance(value, int) else whole(value.to_integral_value(ROUND_HALF_EVEN))
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
    return text_of("lower", arguments[0], budget).lower()


def _upper(arguments: list[Any], budget: Budget) -> object:
    return text_of("upper", arguments[0], budget).upper()


def _startswith(arguments: list[Any], budget: Budget) -> object:
    text, part = (text_of("startswith", value, budget) for value in arguments)
    return text.startswith(part)


def _endswith(arguments: list[Any], budget: Budget) -> object:
    text, part = (text_of("endswith", value, budget) for value in arguments)
    return text.endswith(part)


def _contains(arguments: list[Any], budget: Budget) -> object:
    return contains(arguments[0], arguments[1], budget)


def _matches(arguments: list[Any], budget: Budget) -> object:
    """Whether the pattern is found anywhere in the text; RE2, which takes linear time."""
    text, pattern = (text_of("matches", value, budget) for value in arguments)
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


# Name: function, least and most arguments.
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
    "str": (as_str, 1, 2),
    "int": (as_int, 1, 1),
    "decimal": (as_decimal, 1, 1),
    "startswith": (_startswith, 2, 2),
    "endswith": (_endswith, 2, 2),
    "contains": (_contains, 2, 2),
    "matches": (_matches, 2, 2),
    "date": (as_time, 1, 2),
    "bool": (as_bool, 1, 1),
    "from_json": (read_json, 1, 1),
    "to_json": (write_json, 1, 1),
    "avg": (_avg, 1, 1),
    "column": (_column, 2, 2),
}
# Take a comprehension without brackets.
OF_GENERATORS = frozenset({"min", "max", "sum", "avg", "any", "all", "sorted"})
# Least and most arguments of those that evaluate their arguments themselves.
SPECIAL_FUNCTIONS = {
    "default": (2, 2),
    "has": (1, 1),
    "now": (0, 0),
    "select": (2, 2),
    "filter": (2, 2),
    "sort": (2, 3),
    "group_by": (2, 2),
}
