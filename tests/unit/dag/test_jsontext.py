"""The JSON codec: what goes in comes out, digit for digit, and nothing else goes in."""

import dataclasses
import enum
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dag.json_values import VALUES, same
from workflows_app.dag import jsontext
from workflows_app.dag.jsontext import JsonError


@settings(max_examples=500)
@given(VALUES)
def test_what_is_written_is_read_again(value):
    assert same(jsontext.loads(jsontext.dumps(value)), value)
    assert same(jsontext.loads(jsontext.pretty(value)), value)
    assert same(jsontext.loads(jsontext.dumps(value).encode()), value)


@given(VALUES)
def test_a_canonical_value_is_clean_and_its_copy_is_its_own(value):
    copy = jsontext.clean(value)
    assert same(copy, value)
    if isinstance(value, (dict, list)):
        assert copy is not value


@pytest.mark.parametrize(
    "text", ["1.10", "1234567890123456789.123456789", "0.30", "-0.0", "1E+5", "100000000000000000000000000000000000000"]
)
def test_numbers_keep_their_digits(text):
    assert jsontext.dumps(jsontext.loads(text)) == text


def test_a_fraction_is_a_decimal_and_never_passes_through_a_float():
    assert same(jsontext.loads("[0.1, 1e2, 3]"), [Decimal("0.1"), Decimal("1E+2"), 3])


class Colour(enum.StrEnum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Struct(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, Decimal("0.1")),
        (1e22, Decimal("1E+22")),
        ((1, 2), [1, 2]),
        (Colour.RED, "red"),
        (Point(1, 0.5), {"x": 1, "y": Decimal("0.5")}),
        (Struct("a"), {"name": "a"}),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00.000000Z"),
        (True, True),
        (Decimal("12"), 12),
        (5.0, Decimal("5.0")),
    ],
)
def test_what_python_has_beside_json_becomes_json(value, expected):
    assert same(jsontext.clean({"v": value}), {"v": expected})


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({1, 2}, "A set is not JSON: return a list"),
        (b"x", "base64"),
        (object(), "type object"),
        (float("nan"), "NaN"),
        (float("-inf"), "Infinity"),
        (Decimal("NaN"), "NaN"),
        (Decimal("1" * 65), "64"),
        (Decimal("1E+309"), "308"),
        (2**256, "256 bits"),
        ("a\0b", "U+0000"),
        ("\ud800", "surrogate"),
        ({1: 2}, "not text"),
        ({"\0": 2}, "U+0000"),
        (lambda: 1, "function"),
    ],
)
def test_what_has_no_json_form_is_refused_with_its_place(value, part):
    for wrapped, place in ((value, ""), ({"a": [0, {"b": value}]}, "At a[1].b")):
        with pytest.raises(JsonError) as refused:
            jsontext.dumps(wrapped)
        assert part in str(refused.value)
        assert str(refused.value).startswith(place)


def test_the_place_of_what_is_refused_can_be_printed_whatever_its_keys_are():
    for key in ("a\0b", "a\ud800b"):
        with pytest.raises(JsonError) as refused:
            jsontext.dumps({key: {"c": object()}})
        assert jsontext.loads(jsontext.dumps(str(refused.value))).startswith(("At a\\u0000b.c", "At a\\ud800b.c"))


def test_a_value_that_contains_itself_is_refused():
    value: list[object] = []
    value.append(value)
    with pytest.raises(JsonError, match="200 levels"):
        jsontext.dumps(value)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize(("depth", "fits"), [(200, True), (201, False), (5000, False), (100_000, False)])
def test_text_may_be_200_levels_deep(opening, depth, fits):
    text = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
    if fits:
        assert jsontext.dumps(jsontext.loads(text)) == text
    else:
        with pytest.raises(JsonError):
            jsontext.loads(text)


NO_JSON = """NaN|Infinity|{|[1,]|nul|1e309|01|'a'|"\\u0000"|"\\ud800"|1e99999999999999999999|{"a": 1} 2""".split("|")


@pytest.mark.parametrize("text", ["", " ", str(2**256), "0." + "1" * 65, b"\xff", '"a\0b"', *NO_JSON])
def test_text_that_is_no_json_is_refused_with_a_sentence(text):
    with pytest.raises(JsonError) as refused:
        jsontext.loads(text)
    assert str(refused.value).endswith(".")


def test_a_mistake_is_found_by_line_and_column():
    with pytest.raises(JsonError, match="line 2, column"):
        jsontext.loads('{"a": 1,\n "b" 2}')


@given(st.text(max_size=50) | st.binary(max_size=50))
def test_any_text_is_read_or_refused(text):
    try:
        value = jsontext.loads(text)
    except JsonError:
        return
    assert same(jsontext.loads(jsontext.dumps(value)), value)
