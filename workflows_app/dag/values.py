"""What expressions know of a value: its kind, its text, and a canonical copy of it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import cast

from workflows_app.dag import jsontext
from workflows_app.dag.evaluation import Evaluation, within_text_limit
from workflows_app.dag.expression_errors import ExpressionError, LimitExceeded
from workflows_app.dag.types import JsonValue

# Elements and characters of one rendered template: an output may have 16 MiB of JSON.
MAX_RESULT_SIZE = 16 * 2**20
# A text of this length and longer is counted when it occurs again in one result.
_LONG_TEXT = 256
_ATOMS = frozenset({type(None), bool, int, Decimal})
_SHOWN_DIGITS = 40
_SHOWN_TEXT = 40


def is_number(value: object) -> bool:
    """Integers and Decimals; a boolean is no number."""
    return type(value) is int or type(value) is Decimal


def kind_of(value: object) -> str:
    """`null`, `a boolean`, `a number`, `text`, `a list`, `an object` or `a time`."""
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
        case Mapping():
            return "an object"
        case datetime():
            return "a time"
        case _:
            return f"a value of type {type(value).__name__}"


def shown(value: object) -> str:
    """A value within an error. Text is whole or not there at all: a secret must not show in parts."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            digits = str(value)
            return f"the number {digits}" if len(digits) <= _SHOWN_DIGITS else f"a number of {len(digits)} digits"
        case str():
            return f"the text {value!r}" if len(value) <= _SHOWN_TEXT else f"a text of {len(value)} characters"
        case _:
            return kind_of(value)


def plain(number: Decimal) -> str:
    """All digits of a Decimal, without an exponent."""
    # A zero may have any exponent: it must not become a text of that length.
    return format(number, "f") if number or -64 <= number.adjusted() <= 0 else "0"


def text_of(value: object, evaluation: Evaluation) -> str:
    """The text of a value, at most 64 KiB: texts as they are, numbers without exponent, the rest as JSON."""
    match value:
        case str():
            return within_text_limit(str(value))
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Decimal():
            return plain(value)
        case int():
            return str(value)
        case datetime():
            return jsontext.rfc3339(value)
        case _:
            charge_size(value, evaluation)
            return within_text_limit(jsontext.dumps(Copy().of(value)))


def charge_size(value: object, evaluation: Evaluation) -> None:
    """Pay for every element and every character of a value, however deep."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            evaluation.charge_text(len(item))
        elif isinstance(item, list):
            items = cast("list[object]", item)
            evaluation.charge(1 + len(items))
            stack += items
        elif isinstance(item, Mapping):
            fields = cast("Mapping[str, object]", item)
            evaluation.charge(1 + len(fields))
            for key in fields:
                evaluation.charge_text(len(key))
                stack.append(fields[key])


class Copy:
    """Makes canonical copies of results: lazy mappings become objects, times RFC 3339 text.

    All copies of one `Copy` have `MAX_RESULT_SIZE` together. What one result holds several times costs steps from the
    second time on: a short expression must not multiply its data.
    """

    __slots__ = ("_evaluation", "_left", "_seen")

    def __init__(self) -> None:
        self._left = MAX_RESULT_SIZE
        self._seen: set[int] = set()
        self._evaluation: Evaluation | None = None

    def result(self, value: object, evaluation: Evaluation) -> JsonValue:
        """A copy of what an expression gave."""
        self._seen.clear()
        self._evaluation = evaluation
        return self.of(value)

    def of(self, value: object, depth: int = 0) -> JsonValue:
        kind = type(value)
        if kind in _ATOMS:
            return cast(JsonValue, value)
        if kind is str:
            text = cast(str, value)
            self._take(len(text))
            if len(text) >= _LONG_TEXT:
                self._notice(text, len(text) // 32)
            return text
        if depth >= jsontext.MAX_DEPTH:
            raise LimitExceeded(f"The result is nested deeper than {jsontext.MAX_DEPTH} levels.")
        if isinstance(value, list):
            items = cast("list[object]", value)
            self._take(len(items))
            self._notice(items, 1 + len(items))
            return [cast(JsonValue, item) if type(item) in _ATOMS else self.of(item, depth + 1) for item in items]
        if isinstance(value, Mapping):
            fields = cast("Mapping[str, object]", value)
            self._take(sum(map(len, fields)) + len(fields))
            self._notice(fields, 1 + len(fields))
            return {key: self.of(fields[key], depth + 1) for key in fields}
        try:
            return jsontext.clean(value)
        except jsontext.JsonError as error:
            raise ExpressionError(f"The result is not JSON: {error}") from None

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise LimitExceeded("The result has more than 16 MiB: hand over less data.")

    def _notice(self, value: object, cost: int) -> None:
        # The values are alive as long as the result is: their ids are their own.
        if id(value) not in self._seen:
            self._seen.add(id(value))
        elif self._evaluation is not None:
            self._evaluation.charge(cost)
