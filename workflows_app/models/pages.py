"""Lists in pages that stay right while rows come and go: a cursor says after which row to go on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q

from workflows_app.dag import jsontext

if TYPE_CHECKING:
    from django.db.models import QuerySet

MAX_LIMIT = 200
DEFAULT_LIMIT = 50


class InvalidCursor(ValueError):
    """Raised for a cursor that no page of this list gave."""

    def __init__(self) -> None:
        super().__init__("The cursor is none of this list: send the `next` of its last page as it is.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page[T]:
    """`next` is the cursor of the page after this one, None at the end."""

    items: Sequence[T]
    next: str | None


def page_of[M: Model](
    rows: QuerySet[M],
    order: Sequence[str],
    limit: int,
    cursor: str | None,
    choose: Callable[[QuerySet[M], int], QuerySet[M]] | None = None,
) -> Page[M]:
    """A page of rows in an order whose fields, together unique and never null, may begin with `-`.

    `choose` is given what comes after the cursor, in order, and how many of it are wanted; it says which are to be
    shown. Raises `InvalidCursor`.
    """
    names = [name.removeprefix("-") for name in order]
    if cursor is not None:
        rows = rows.filter(_after(order, _values(rows, names, cursor)))
    rows = rows.order_by(*order)
    # One more than asked for says whether there is another page.
    wanted = limit + 1
    found = list((rows if choose is None else choose(rows, wanted))[:wanted])
    items = found[:limit]
    more = len(found) > limit
    return Page(items=items, next=_cursor([getattr(items[-1], name) for name in names]) if more else None)


def _after(order: Sequence[str], values: Sequence[object]) -> Q:
    """What comes after these values: greater in a field while those before it are equal."""
    condition, equal = Q(), Q()
    for name, value in zip(order, values, strict=True):
        field = name.removeprefix("-")
        condition |= equal & Q(**{f"{field}__{'lt' if name.startswith('-') else 'gt'}": value})
        equal &= Q(**{field: value})
    return condition


def _cursor(values: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(jsontext.dumps(values).encode()).decode().rstrip("=")


def _values(rows: QuerySet[Any], names: Sequence[str], cursor: str) -> Sequence[object]:
    try:
        values = jsontext.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(names):
            raise InvalidCursor
        fields = [cast("Field[Any, Any]", rows.model._meta.get_field(name)) for name in names]
        return [_checked(field.to_python(value)) for field, value in zip(fields, values, strict=True)]
    except (binascii.Error, ValueError, TypeError, ValidationError) as error:
        raise InvalidCursor from error


def _checked(value: object) -> object:
    # A null, or a number beyond every column, is no value of a row.
    if value is None or (isinstance(value, int) and abs(value) >= 2**31):
        raise InvalidCursor
    return value
