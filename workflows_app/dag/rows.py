"""What the collection forms do to the rows of a list: `select`, `filter`, `sort` and `group_by`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, cast

from workflows_app.dag.evaluation import Code, Frame
from workflows_app.dag.operations import (
    ExpressionError,
    LimitExceeded,
    is_number,
    kind_of,
    plain,
    quoted,
    shortened,
    utc,
)

# The row's name in what is computed of it.
ROW = "item"
_ORDERED = ("a number", "text", "a time")
_DIRECTIONS = {"asc": False, "desc": True}
# An integer has up to 78 digits.
_EXACT = Context(prec=100)
_STEPS_PER_NUMBER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A collection form in the source: `name(rows, of_each)`; `text` is the source of the rows, for messages."""

    name: str
    rows: Code
    text: str
    of_each: Code
    # sort only: which way.
    direction: Code | None = None

    def place(self, position: int) -> str:
        return f"{shortened(self.text)}[{position}]"


def _each(form: Form, frame: Frame) -> Iterator[tuple[object, object]]:
    """Every row with what is computed of it. A round costs a step, as in a comprehension."""
    rows = form.rows(frame)
    if not isinstance(rows, list):
        raise ExpressionError(f"{form.name}() goes through a list; {shortened(form.text)} is {kind_of(rows)}.")
    spend, of_each = frame.budget.spend, form.of_each
    for position, row in enumerate(cast("list[object]", rows)):
        spend(1)
        frame.names = {ROW: row}
        try:
            value = of_each(frame)
        except LimitExceeded:
            raise
        except ExpressionError as error:
            error.reason = f"{form.place(position)}: {error.reason}"
            raise
        yield row, value


def _select(form: Form, frame: Frame) -> object:
    return [plain(value, frame.budget) for _, value in _each(form, frame)]


def _filter(form: Form, frame: Frame) -> object:
    return [row for row, keep in _each(form, frame) if keep]


def _sort(form: Form, frame: Frame) -> object:
    """By the keys of all rows, which are of one kind; rows with equal keys stay in their order, either way."""
    direction = "asc" if form.direction is None else form.direction(frame)
    if not isinstance(direction, str) or direction not in _DIRECTIONS:
        spelled = quoted(direction) if isinstance(direction, str) else kind_of(direction)
        raise ExpressionError(f"sort() goes 'asc' or 'desc', not {spelled}.")
    rows: list[object] = []
    keys: list[Any] = []
    kind = None
    for row, key in _each(form, frame):
        found = kind_of(key)
        kind = kind or found
        if found not in _ORDERED:
            raise ExpressionError(
                f"{form.place(len(keys))}: sort() orders by numbers, text or times, not by {found}: "
                + "default() says what an absent key counts as."
            )
        if found != kind:
            raise ExpressionError(f"{form.place(len(keys))}: sort() cannot order {found} among keys that are {kind}.")
        frame.budget.spend_on(key)
        rows.append(row)
        keys.append(utc(key) if isinstance(key, datetime) else key)
    frame.budget.spend(len(keys) * len(keys).bit_length() // 4)
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=_DIRECTIONS[direction])
    return [rows[position] for position in order]


def _group_by(form: Form, frame: Frame) -> object:
    """`[{key, items}]` in the order in which the keys appear; a key is given as it first appears."""
    groups: dict[tuple[bool, str], tuple[object, list[object]]] = {}
    for position, (row, key) in enumerate(_each(form, frame)):
        frame.budget.spend_on(key)
        if isinstance(key, str):
            identity = (True, str(key))
        elif is_number(key):
            frame.budget.spend(_STEPS_PER_NUMBER)
            identity = (False, _canonical(cast("int | Decimal", key)))
        else:
            raise ExpressionError(
                f"{form.place(position)}: group_by() groups by text or numbers, not by {kind_of(key)}: "
                + "default() says what an absent key counts as, str() makes text of others."
            )
        groups.setdefault(identity, (key, []))[1].append(row)
    return [{"key": key, "items": items} for key, items in groups.values()]


def _canonical(number: int | Decimal) -> str:
    """The same text for equal numbers. Their own hashes are no secret: rows could be made to collide."""
    if isinstance(number, Decimal) and number:
        number = number.normalize(_EXACT)
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        if exponent < 0 or number.adjusted() >= _EXACT.prec:
            return f"{number:E}"
    return str(int(number))


FORMS: dict[str, Callable[[Form, Frame], object]] = {
    "select": _select,
    "filter": _filter,
    "sort": _sort,
    "group_by": _group_by,
}
