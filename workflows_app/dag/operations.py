"""What the operators of the expression language do, under a budget: numbers, text, lists, objects, times.

A subset of Python's meaning over JSON values. Booleans are no numbers. Arithmetic has 64 digits, half-even; `/`
gives a Decimal; `//` and `%` floor for all numbers alike, as Python's do for integers.
"""

from collections.abc import Mapping
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
from typing import cast, override

from workflows_app.dag import jsontext

MAX_SOURCE_BYTES = 2 * 1024
MAX_DEPTH = 50
MAX_STEPS = 10_000
MAX_TEXT = 64 * 1024
# So many characters of a text cost as much as one item of a list.
TEXT_PER_STEP = 32
_LONGEST_QUOTED = 60

NUMBERS = Context(
    prec=64,
    rounding=ROUND_HALF_EVEN,
    Emin=-jsontext.MAX_EXPONENT,
    Emax=jsontext.MAX_EXPONENT,
    traps=[DivisionByZero, InvalidOperation, Overflow, Subnormal, Underflow],
)


class ExpressionError(Exception):
    """Raised when an expression cannot be evaluated.

    `reason` is a sentence, `position` counts characters of `source` from 0.
    """

    code = "expression_error"

    def __init__(self, reason: str, source: str = "", position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = source
        self.position = position
        # Where in a template the expression stands, outermost step first.
        self.path = ""

    def at(self, step: str) -> None:
        """Tell the step of a template in which the error came up."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        self.path = f"{step}{joint}{self.path}"

    @override
    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        if not self.source:
            return f"{where}{self.reason}"
        place = "" if self.position is None else f", at character {self.position + 1}"
        return f"{where}{self.reason} (in `{shortened(self.source, 200)}`{place})"


class ExpressionSyntaxError(ExpressionError):
    """Raised for source that is no expression of this language."""


class LimitExceeded(ExpressionError):
    """Raised when an evaluation takes more steps, text or digits than an expression may."""


class Absent(ExpressionError):
    """Raised for a name, key or index that is not there, and for access into null."""


class Budget:
    """Counts what an evaluation costs."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise LimitExceeded(f"The expression takes more than {MAX_STEPS} steps: work on less data at once.")

    def spend_on(self, value: object) -> None:
        """The size of an operand: its items, or its text by the line."""
        if isinstance(value, str):
            self.spend(len(value) // TEXT_PER_STEP)
        elif isinstance(value, (list, Mapping)):
            self.spend(len(value))  # pyright: ignore[reportUnknownArgumentType]


def shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def quoted(text: str) -> str:
    """Data within a message: whole, so that a secret in it is found and hidden, or not at all."""
    return f"'{text}'" if len(text) <= _LONGEST_QUOTED else f"a text of {len(text)} characters"


def shown(value: object) -> str:
    """An operand within a message."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return f"the number {value}"
        case str():
            return f"the text {quoted(value)}" if len(value) <= _LONGEST_QUOTED else quoted(value)
        case _:
            return kind_of(value)


def kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | Decimal():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case datetime():
            return "a time"
        case _:
            return "an object"


def is_number(value: object) -> bool:
    return type(value) is int or type(value) is Decimal


def within_bounds(value: object) -> object:
    """The value, if it is a number or text that an expression may make."""
    if type(value) is int:
        if not -jsontext.MAX_INTEGER < value < jsontext.MAX_INTEGER:
            raise LimitExceeded("The result is an integer of more than 256 bits.")
    elif isinstance(value, str) and is_too_long(value):
        raise LimitExceeded(f"The result is text of more than {MAX_TEXT} bytes.")
    return value


def is_too_long(text: str, limit: int = MAX_TEXT) -> bool:
    """Whether a text has more bytes in UTF-8 than it may have."""
    # Most text is short or ASCII: it needs no encoding.
    return len(text) > limit or (len(text) * 4 > limit and not text.isascii() and len(text.encode()) > limit)


def to_decimal(value: object) -> Decimal:
    """A number as a Decimal of at most 64 digits."""
    assert isinstance(value, (int, Decimal))
    return NUMBERS.plus(Decimal(value))


def binary(sign: str, left: object, right: object, budget: Budget) -> object:
    """`left sign right` for + - * / // %. Raises `ExpressionError` that names both operands' kinds."""
    try:
        if is_number(left) and is_number(right):
            return within_bounds(_ARITHMETIC[sign](left, right))
        result = _other_binary(sign, left, right, budget)
    except ZeroDivisionError:
        raise ExpressionError(f"{left} {sign} {right} divides by zero.") from None
    except DecimalException:
        raise LimitExceeded(f"The result of {sign} is no number within 64 digits and 1e+-308.") from None
    if result is None:
        raise ExpressionError(f"{sign} does not work on {shown(left)} and {shown(right)}.")
    return result


def _other_binary(sign: str, left: object, right: object, budget: Budget) -> object:
    if isinstance(left, datetime):
        return _time_binary(sign, left, right)
    if isinstance(right, datetime) and sign == "+":
        return _time_binary(sign, right, left)
    if sign != "+" or type(left) is not type(right):
        return None
    budget.spend_on(left)
    budget.spend_on(right)
    if isinstance(left, str):
        return within_bounds(left + right)  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType]
    if isinstance(left, list):
        return left + right  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
    return None


def _time_binary(sign: str, left: datetime, right: object) -> object:
    """A time plus or minus seconds is a time; the difference of two is a number of seconds."""
    try:
        if sign == "-" and isinstance(right, datetime):
            span = utc(left) - utc(right)
            microseconds = span.days * 86_400_000_000 + span.seconds * 1_000_000 + span.microseconds
            return Decimal(microseconds).scaleb(-6).normalize(NUMBERS) + 0
        if sign in "+-" and is_number(right):
            span = timedelta(microseconds=int(to_decimal(right) * 1_000_000))
            return utc(left) + span if sign == "+" else utc(left) - span
    except (OverflowError, ValueError, DecimalException):
        raise LimitExceeded(f"{left:%Y-%m-%d} {sign} {right} seconds is outside the years 1 to 9999.") from None
    return None


def _add(left: object, right: object) -> object:
    if type(left) is int and type(right) is int:
        return left + right
    return NUMBERS.add(to_decimal(left), to_decimal(right))


def _subtract(left: object, right: object) -> object:
    if type(left) is int and type(right) is int:
        return left - right
    return NUMBERS.subtract(to_decimal(left), to_decimal(right))


def _multiply(left: object, right: object) -> object:
    if type(left) is int and type(right) is int:
        return left * right
    return NUMBERS.multiply(to_decimal(left), to_decimal(right))


def _divide(left: object, right: object) -> object:
    if not right:
        raise ZeroDivisionError
    return NUMBERS.divide(to_decimal(left), to_decimal(right))


def _floor_divide(left: object, right: object) -> object:
    if type(left) is int and type(right) is int:
        return left // right
    return _floor(to_decimal(left), to_decimal(right))[0]


def _modulo(left: object, right: object) -> object:
    if type(left) is int and type(right) is int:
        return left % right
    return _floor(to_decimal(left), to_decimal(right))[1]


def _floor(left: Decimal, right: Decimal) -> tuple[Decimal, Decimal]:
    """Quotient rounded down, and what remains with the divisor's sign; `decimal` itself truncates."""
    if not right:
        raise ZeroDivisionError
    quotient, remainder = NUMBERS.divmod(left, right)
    if remainder and (remainder < 0) != (right < 0):
        quotient = NUMBERS.subtract(quotient, Decimal(1))
        remainder = NUMBERS.add(remainder, right)
    return quotient, remainder


_ARITHMETIC = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "//": _floor_divide,
    "%": _modulo,
}


def negate(value: object) -> object:
    if type(value) is int:
        return -value
    if type(value) is Decimal:
        return NUMBERS.minus(value)
    raise ExpressionError(f"- does not work on {shown(value)}.")


def plus(value: object) -> object:
    if is_number(value):
        return value
    raise ExpressionError(f"+ does not work on {shown(value)}.")


def equal(left: object, right: object, budget: Budget) -> bool:
    """Equality of JSON values: numbers by value, a boolean equals booleans only. Never raises for kinds."""
    if type(left) is int and type(right) is int:
        return left == right
    if isinstance(left, list) and isinstance(right, list):
        return _equal_lists(cast("list[object]", left), cast("list[object]", right), budget)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return _equal_objects(cast("_Object", left), cast("_Object", right), budget)
    if isinstance(left, str) and isinstance(right, str):
        # Texts of different length are different at once; a text may also be a member of an enumeration.
        budget.spend_on(left if len(left) == len(right) else "")
        return left == right
    if isinstance(left, datetime) and isinstance(right, datetime):
        return utc(left) == utc(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    one: object = cast("int", left)
    other = right
    if is_number(one) and is_number(other):
        return one == other
    return type(one) is type(other) and one == other


type _Object = Mapping[str, object]

_ORDINARY = frozenset({type(None), bool, int, Decimal, str, list, dict, datetime})


def _equal_lists(left: list[object], right: list[object], budget: Budget) -> bool:
    budget.spend(1 + min(len(left), len(right)))
    pairs = zip(left, right, strict=False)
    return len(left) == len(right) and all(equal(one, other, budget) for one, other in pairs)


def _equal_objects(left: _Object, right: _Object, budget: Budget) -> bool:
    budget.spend(1 + min(len(left), len(right)))
    return left.keys() == right.keys() and all(equal(left[key], right[key], budget) for key in left)


def order(sign: str, left: object, right: object, budget: Budget) -> bool:
    """`<`, `<=`, `>` and `>=` between numbers, between texts or between times."""
    if not (is_number(left) and is_number(right)):
        if isinstance(left, datetime) and isinstance(right, datetime):
            left, right = utc(left), utc(right)
        elif isinstance(left, str) and isinstance(right, str):
            budget.spend_on(left)
        else:
            raise ExpressionError(f"{sign} does not compare {shown(left)} with {shown(right)}.")
    match sign:
        case "<":
            return left < right  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
        case "<=":
            return left <= right  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
        case ">":
            return left > right  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
        case _:
            return left >= right  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]


def contains(container: object, item: object, budget: Budget) -> bool:
    """`item in container`: a part of a text, an item of a list, a key of an object."""
    match container:
        case str() if isinstance(item, str):
            budget.spend_on(container)
            return item in container
        case list():
            items = cast("list[object]", container)
            budget.spend(len(items))
            return any(equal(one, item, budget) for one in items)
        case Mapping():
            return isinstance(item, str) and item in container
        case _:
            raise ExpressionError(f"in does not look for {shown(item)} in {shown(container)}.")


def plain(value: object, budget: Budget) -> object:
    """A lazy object as an ordinary one."""
    if type(value) in _ORDINARY:
        return value
    if not isinstance(value, Mapping) or isinstance(value, dict):
        return cast("object", value)
    lazy = cast("_Object", value)
    budget.spend_on(lazy)
    return {key: plain(lazy[key], budget) for key in lazy}


def utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
