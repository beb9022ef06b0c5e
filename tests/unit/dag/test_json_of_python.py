"""What libraries and subclasses hand over becomes plain JSON, or is refused with advice."""

import collections
from datetime import date
from decimal import Decimal

import numpy
import pytest
from pydantic import BaseModel

from tests.unit.dag.json_values import same
from workflows_app.dag import jsontext
from workflows_app.dag.jsontext import JsonError


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Share(BaseModel):
    symbol: str
    close: float
    day: date


Row = collections.namedtuple("Row", "symbol close")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Text("a"), "a"),
        (Count(5), 5),
        (collections.OrderedDict(b=1, a=0.5), {"b": 1, "a": Decimal("0.5")}),
        (Row("A", 1.5), ["A", Decimal("1.5")]),
        (
            Share(symbol="A", close=1.5, day=date(2026, 1, 2)),
            {"symbol": "A", "close": Decimal("1.5"), "day": "2026-01-02"},
        ),
        (numpy.int64(5), 5),
        (numpy.float64(0.1), Decimal("0.1")),
        (numpy.bool_(True), True),
        (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    ],
)
def test_a_relative_of_a_json_value_becomes_one(value, expected):
    assert same(jsontext.clean({"v": value}), {"v": expected})


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (Text("a\0"), "U+0000"),
        (Count(2**256), "256 bits"),
        (numpy.float64("nan"), "NaN"),
        (numpy.random, "A value of type module is not JSON"),
        (numpy.dtype("int64"), "is not JSON: return an object, a list, text or a number."),
        (Share, "is not JSON"),
        (Row, "A value of type type is not JSON"),
    ],
)
def test_a_relative_is_held_to_the_same_bounds(value, part):
    with pytest.raises(JsonError) as refused:
        jsontext.clean({"v": value})
    assert str(refused.value).startswith("At v: ")
    assert part in str(refused.value)


def test_a_text_may_have_many_lists_beside_each_other():
    assert jsontext.loads("[" + "[]," * 500 + "{}]") == [*[[]] * 500, {}]
