"""The operators of expressions over JSON values and times: access, arithmetic, comparison."""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    Subnormal,
    Underflow,
)
from itertools import islice
from typing import cast

from workflows_app.dag.evaluation import MAX_TEXT_BYTES, Evaluation, Place, within_text_limit
from workflows_app.dag.expression_errors import Absent, ExpressionError, LimitExceeded
from workflows_app.dag.jsontext import MAX_DIGITS, MAX_EXPONENT, MAX_INTEGER
from workflows_app.dag.values import is_number, kind_of, shown

# Every result has at most 64 digits and an exponent within +-308; what would not is an error.
ARITHMETIC = Context(
    prec=MAX_DIGITS,
    rounding=ROUND_HALF_EVEN,
    Emin=-MAX_EXPONENT,
    Emax=MAX_EXPONENT,
    traps=[InvalidOperation, DivisionByZero, Overflow, Underflow, Subnormal],
)
_LISTED_KEYS = 8
_LONGEST_KEY = 60
_ATOMS = frozenset({type(None), bool, int, Decimal, datetime})
_SECOND = timedelta(seconds=1)
# Seconds: more than lie between the first and the last year of a datetime.
_LONGEST_SPAN = 10**12

type Binary = Callable[[Evaluation, object, object, Place], object]
type _Number = int | Decimal


# Access


def member(value: object, key: object, place: Place) -> object:
    """`value[key]`; `value` is the operand of `place`. Raises `Absent` for what is not there."""
    if isinstance(value, Mapping):
        return _field(cast("Mapping[str, object]", value), key, place)
    if value is None:
        raise place.error(f"{place.text}: {place.operand(0)} is null, so {_name_of(key)} is not there.", Absent)
    if not isinstance(value, list | str):
        raise place.error(f"{place.text}: {place.operand(0)} is {kind_of(value)}, which has no {_name_of(key)}.")
    if type(key) is not int:
        advice = "it has no keys" if isinstance(key, str) else f"its index is a whole number, not {shown(key)}"
        raise place.error(f"{place.text}: {place.operand(0)} is {kind_of(value)}: {advice}.")
    items = cast("list[object] | str", value)
    if -len(items) <= key < len(items):
        return items[key]
    unit = "items" if isinstance(items, list) else "characters"
    raise place.error(f"{place.text}: index {key} is not there; {place.operand(0)} has {len(items)} {unit}.", Absent)


def _field(value: Mapping[str, object], key: object, place: Place) -> object:
    if not isinstance(key, str):
        raise place.error(f"{place.text}: {place.operand(0)} is an object: its keys are text, not {shown(key)}.")
    try:
        return value[key]
    except KeyError:
        keys = [_short(known) for known in islice(value, _LISTED_KEYS + 1)]
    listed = ", ".join(keys[:_LISTED_KEYS]) + (", ..." if len(keys) > _LISTED_KEYS else "")
    raise place.error(f"{place.text}: {_name_of(key)} is not there; it has {listed or 'no keys'}.", Absent)


def _name_of(key: object) -> str:
    return repr(_short(str(key))) if isinstance(key, str) else f"index {key}"


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 3]}..."


def iterable(value: object, place: Place) -> Iterable[object]:
    """What a comprehension walks through: the items of a list, the keys of an object."""
    if isinstance(value, list | Mapping):
        return cast("Iterable[object]", value)
    if value is None:
        raise place.error(f"{place.operand(0)} is null: there is nothing to walk through.", Absent)
    raise place.error(f"{place.operand(0)} is {kind_of(value)}: only lists and objects can be walked through.")


# Arithmetic


def whole(value: int, place: Place) -> int:
    """The integer itself. Raises `LimitExceeded` where it has more than 256 bits."""
    if -MAX_INTEGER < value < MAX_INTEGER:
        return value
    raise place.error(f"{place.text}: the result has more than 256 bits.", LimitExceeded)


def calculate[T](operation: Callable[..., T], place: Place, *operands: object) -> T:
    """A decimal operation, whose signals become errors."""
    try:
        return operation(*operands)
    except (Overflow, Underflow, Subnormal):
        reason = f"{place.text}: the result is beyond the exponents +-{MAX_EXPONENT}."
    except DecimalException:
        reason = f"{place.text}: the result has more than {MAX_DIGITS} digits."
    raise place.error(reason, LimitExceeded)


def add(evaluation: Evaluation, left: object, right: object, place: Place) -> object:
    if type(left) is int and type(right) is int:
        return whole(left + right, place)
    if is_number(left) and is_number(right):
        return calculate(ARITHMETIC.add, place, left, right)
    if isinstance(left, str) and isinstance(right, str):
        size = len(left) + len(right)
        if size > MAX_TEXT_BYTES:
            raise place.error(f"{place.text}: the text has more than {MAX_TEXT_BYTES} bytes.", LimitExceeded)
        evaluation.charge_text(size)
        return within_text_limit(left + right)
    if isinstance(left, list) and isinstance(right, list):
        items, more = cast("list[object]", left), cast("list[object]", right)
        evaluation.charge(len(items) + len(more))
        return items + more
    if isinstance(left, datetime) and is_number(right):
        return _moved(left, cast(_Number, right), 1, place)
    if isinstance(right, datetime) and is_number(left):
        return _moved(right, cast(_Number, left), 1, place)
    advice = "'+' adds numbers, joins two texts or two lists, and moves a time by seconds; str() and decimal() convert"
    raise _unsuited(left, right, place, advice)


def subtract(_evaluation: Evaluation, left: object, right: object, place: Place) -> object:
    if type(left) is int and type(right) is int:
        return whole(left - right, place)
    if is_number(left) and is_number(right):
        return calculate(ARITHMETIC.subtract, place, left, right)
    if isinstance(left, datetime) and isinstance(right, datetime):
        span = utc(left) - utc(right)
        return Decimal(span // timedelta(microseconds=1)).scaleb(-6)
    if isinstance(left, datetime) and is_number(right):
        return _moved(left, cast(_Number, right), -1, place)
    raise _unsuited(left, right, place, "'-' takes numbers, two times, or a time and seconds")


def multiply(_evaluation: Evaluation, left: object, right: object, place: Place) -> object:
    if type(left) is int and type(right) is int:
        return whole(left * right, place)
    left, right = _numbers(left, right, place, "*")
    return calculate(ARITHMETIC.multiply, place, left, right)


def divide(_evaluation: Evaluation, left: object, right: object, place: Place) -> object:
    left, right = _divisible(left, right, place, "/")
    return calculate(ARITHMETIC.divide, place, left, right)


def floor_divide(_evaluation: Evaluation, left: object, right: object, place: Place) -> object:
    """Rounds down, as Python does with integers: -7 // 2 is -4, and -7.0 // 2 too."""
    left, right = _divisible(left, right, place, "//")
    if type(left) is int and type(right) is int:
        return whole(left // right, place)
    quotient = calculate(ARITHMETIC.divide_int, place, left, right)
    rest = calculate(ARITHMETIC.remainder, place, left, right)
    return calculate(ARITHMETIC.subtract, place, quotient, 1) if rest and (rest < 0) != (right < 0) else quotient


def modulo(_evaluation: Evaluation, left: object, right: object, place: Place) -> object:
    """Has the sign of the divisor, as with Python's integers: -7 % 2 is 1, and -7.0 % 2 too."""
    left, right = _divisible(left, right, place, "%")
    if type(left) is int and type(right) is int:
        return left % right
    rest = calculate(ARITHMETIC.remainder, place, left, right)
    return calculate(ARITHMETIC.add, place, rest, right) if rest and (rest < 0) != (right < 0) else rest


def negate(value: object, place: Place) -> object:
    if type(value) is int:
        return -value
    return calculate(ARITHMETIC.minus, place, _number(value, place, "-"))


def unchanged(value: object, place: Place) -> object:
    return _number(value, place, "+")


def _number(value: object, place: Place, symbol: str) -> _Number:
    if is_number(value):
        return cast(_Number, value)
    raise place.error(f"{place.text}: {place.operand(0)} is {kind_of(value)}, and {symbol!r} takes a number.")


def _numbers(left: object, right: object, place: Place, symbol: str) -> tuple[_Number, _Number]:
    if is_number(left) and is_number(right):
        return cast(_Number, left), cast(_Number, right)
    raise _unsuited(left, right, place, f"{symbol!r} takes two numbers")


def _divisible(left: object, right: object, place: Place, symbol: str) -> tuple[_Number, _Number]:
    dividend, divisor = _numbers(left, right, place, symbol)
    if divisor:
        return dividend, divisor
    raise place.error(f"{place.text}: division by zero: {shown(left)} {symbol} {shown(right)}.")


def _unsuited(left: object, right: object, place: Place, advice: str) -> ExpressionError:
    first, second = place.operand(0), place.operand(1)
    return place.error(f"{place.text}: {first} is {kind_of(left)}, and {second} is {kind_of(right)}: {advice}.")


# Times


def utc(time: datetime) -> datetime:
    """In UTC; a time without a zone is taken as UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _moved(time: datetime, seconds: _Number, sign: int, place: Place) -> datetime:
    """To the microsecond."""
    try:
        if not -_LONGEST_SPAN < seconds < _LONGEST_SPAN:
            raise OverflowError
        microseconds = seconds * 10**6 if isinstance(seconds, int) else int(ARITHMETIC.multiply(seconds, 10**6))
        return utc(time) + timedelta(microseconds=sign * microseconds)
    except (OverflowError, DecimalException):
        reason = f"{place.text}: {shown(seconds)} of seconds lead to no time between the years 1 and 9999."
    raise place.error(reason, LimitExceeded)


# Comparison


def equal(evaluation: Evaluation, left: object, right: object) -> bool:
    """Values of different kinds are different: 1 is not true, and a number is no text. 1 and 1.0 are equal."""
    kind = type(left)
    if kind is type(right) and kind in _ATOMS and kind is not datetime:
        return left == right
    if isinstance(left, str) and isinstance(right, str):
        evaluation.charge_text(len(left) if len(left) == len(right) else 0)
        return left == right
    if is_number(left) and is_number(right):
        return left == right
    if isinstance(left, list) and isinstance(right, list):
        return _equal_lists(evaluation, cast("list[object]", left), cast("list[object]", right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return _equal_objects(evaluation, cast("Mapping[str, object]", left), cast("Mapping[str, object]", right))
    if isinstance(left, datetime) and isinstance(right, datetime):
        return utc(left) == utc(right)
    return False


def _equal_lists(evaluation: Evaluation, left: list[object], right: list[object]) -> bool:
    if len(left) != len(right):
        return False
    for one, other in zip(left, right, strict=True):
        evaluation.charge(1)
        if not equal(evaluation, one, other):
            return False
    return True


def _equal_objects(evaluation: Evaluation, left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    if len(left) != len(right):
        return False
    for key in left:
        evaluation.charge(1)
        evaluation.charge_text(len(key))
        if key not in right or not equal(evaluation, left[key], right[key]):
            return False
    return True


def is_in(evaluation: Evaluation, item: object, container: object, place: Place) -> bool:
    """An item of a list, a key of an object, a part of a text."""
    if isinstance(container, list):
        for other in cast("list[object]", container):
            evaluation.charge(1)
            if equal(evaluation, item, other):
                return True
        return False
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    if isinstance(container, str) and isinstance(item, str):
        evaluation.charge_text(len(container) + len(item))
        return item in container
    if container is None:
        raise place.error(f"{place.text}: {place.operand(1)} is null, so nothing is in it.", Absent)
    raise _unsuited(item, container, place, "'in' looks for an item of a list, a key of an object or a part of a text")


def ordered(symbol: str, test: Callable[[object, object], bool]) -> Binary:
    """A comparison that needs two numbers, two texts or two times."""

    def compare(evaluation: Evaluation, left: object, right: object, place: Place) -> bool:
        if is_number(left) and is_number(right):
            return test(left, right)
        if isinstance(left, str) and isinstance(right, str):
            evaluation.charge_text(min(len(left), len(right)))
            return test(left, right)
        if isinstance(left, datetime) and isinstance(right, datetime):
            return test(utc(left), utc(right))
        raise _unsuited(left, right, place, f"{symbol!r} compares two numbers, two texts or two times")

    return compare


ARITHMETIC_OPERATORS: Mapping[str, Binary] = {
    "Add": add,
    "Sub": subtract,
    "Mult": multiply,
    "Div": divide,
    "FloorDiv": floor_divide,
    "Mod": modulo,
}
COMPARISONS: Mapping[str, Binary] = {
    "Eq": lambda evaluation, left, right, _place: equal(evaluation, left, right),
    "NotEq": lambda evaluation, left, right, _place: not equal(evaluation, left, right),
    "Lt": ordered("<", operator.lt),
    "LtE": ordered("<=", operator.le),
    "Gt": ordered(">", operator.gt),
    "GtE": ordered(">=", operator.ge),
    "In": is_in,
    "NotIn": lambda evaluation, left, right, place: not is_in(evaluation, left, right, place),
}
