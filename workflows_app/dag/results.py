"""Fresh canonical copies of what expressions give, of bounded size."""

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from workflows_app.dag import jsontext
from workflows_app.dag.operations import TEXT_PER_STEP, Budget, ExpressionError, LimitExceeded
from workflows_app.dag.types import JsonValue

# Elements and characters: JSON of a value is longer, and an output may have 16 MiB of JSON.
MAX_SIZE = 16 * 2**20
# A text of this length and longer counts when one result holds it again.
_LONG_TEXT = 256
_ATOMS = frozenset({type(None), bool, int, Decimal})


class ResultCopy:
    """Copies the results of one template: lazy mappings become objects, times RFC 3339 text.

    All of them have `MAX_SIZE` together. What one result holds several times costs steps from the second time on:
    a short expression must not multiply its data.
    """

    __slots__ = ("_left", "_repeats", "_seen")

    def __init__(self) -> None:
        self._left: int = MAX_SIZE
        self._seen: set[int] = set()
        self._repeats: Budget = Budget()

    def of(self, value: object) -> JsonValue:
        """A copy of one result. Raises `ExpressionError` for one that is too large or no JSON."""
        self._seen.clear()
        self._repeats = Budget()
        return self._copy(value, 0)

    def _copy(self, value: object, depth: int) -> JsonValue:
        kind = type(value)
        if kind in _ATOMS:
            return cast(JsonValue, value)
        if kind is str:
            return self._text(cast(str, value))
        if depth >= jsontext.MAX_DEPTH:
            raise LimitExceeded(f"The result is nested deeper than {jsontext.MAX_DEPTH} levels.")
        if isinstance(value, list):
            items = cast("list[object]", value)
            self._count(items, len(items), 1 + len(items))
            return [cast(JsonValue, item) if type(item) in _ATOMS else self._copy(item, depth + 1) for item in items]
        if isinstance(value, Mapping):
            fields = cast("Mapping[str, object]", value)
            self._count(fields, len(fields) + sum(map(len, fields)), 1 + len(fields))
            return {key: self._copy(fields[key], depth + 1) for key in fields}
        try:
            return jsontext.clean(value)
        except jsontext.JsonError as error:
            raise ExpressionError(f"The result is not JSON: {error}") from None

    def _text(self, text: str) -> str:
        if len(text) < _LONG_TEXT:
            self._take(len(text))
        else:
            self._count(text, len(text), len(text) // TEXT_PER_STEP)
        return text

    def _count(self, value: object, size: int, cost_of_repetition: int) -> None:
        self._take(size)
        # What a result holds lives as long as it does, so that ids are unique.
        if id(value) in self._seen:
            self._repeats.spend(cost_of_repetition)
        else:
            self._seen.add(id(value))

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise LimitExceeded("The results have more than 16 MiB: hand over less data.")
