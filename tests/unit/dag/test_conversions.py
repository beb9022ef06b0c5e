"""Conversions: booleans, JSON text, and times as a pattern spells them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dag.json_values import VALUES, same
from workflows_app.dag.expressions import ExpressionError, LimitExceeded, compile_expression


@dataclass(frozen=True, kw_only=True)
class Names:
    names: Mapping[str, object] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

    def lookup(self, name: str) -> object:
        return self.names[name]


def evaluate(source: str, **names: object) -> object:
    return compile_expression(source).evaluate(Names(names=names))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("bool(true)", True), ("bool('true')", True), ("bool(' False ')", False), ("bool(1)", True), ("bool(0)", False),
        ("bool(1.0)", True), ("bool('false')", False),
        ("from_json('{\"a\": [1, 1.50, null]}')", {"a": [1, Decimal("1.50"), None]}), ("from_json(' 5 ')", 5),
        ("to_json('a')", '"a"'), ("to_json({'a': [1.50, null]})", '{"a":[1.50,null]}'), ("to_json(true)", "true"),
        ("to_json(now())", '"2026-01-02T03:04:05.000006Z"'),
        ("str(now(), '%Y-%m-%d')", "2026-01-02"), ("str(now(), '%d/%m/%Y %H:%M:%S 100%%')", "02/01/2026 03:04:05 100%"),
        ("str(date('0007-01-02'), '%Y')", "0007"), ("str(date('2024-01-01T01:00:00+02:00'), '%d')", "31"),
        ("str(now(), '')", ""),
        ("str(date('02.01.2026', '%d.%m.%Y'))", "2026-01-02T00:00:00.000000Z"),
        ("str(date('20260102T030405', '%Y%m%dT%H%M%S'))", "2026-01-02T03:04:05.000000Z"),
        ("date(now(), '%Y') == now()", True),
    ],
)  # fmt: skip
def test_a_conversion_gives_its_value_with_its_type(source: str, value: object) -> None:
    found = evaluate(source)
    assert same(found, value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("bool('yes')", "bool() does not read the text 'yes': it takes true, false, 'true', 'false', 1 and 0."),
        ("bool(2)", "bool() does not read the number 2"), ("bool(null)", "bool() does not read null"),
        ("bool([])", "bool() does not read a list"),
        ("from_json('[1')", "from_json() does not read '[1': "),
        ("from_json(5)", "from_json() needs text, not a number."),
        ("from_json('NaN')", "from_json() does not read 'NaN'"),
        ("str(5, '%Y')", "str() with a pattern writes times, not a number: make one with date()."),
        ("str('2026-01-02', '%Y')", "str() with a pattern writes times, not text"),
        ("str(now(), 5)", "str() needs text, not a number."),
        ("str(now(), '%A')", "its directives are %Y, %m, %d, %H, %M, %S and %%."),
        ("str(now(), '%')", "its directives"),
        ("date('x', '%Y-%m-%d')", "date() does not read 'x' as '%Y-%m-%d'."),
        ("date('2026-02-30', '%Y-%m-%d')", "date() does not read '2026-02-30' as"),
        ("date('2026-01-02 ', '%Y-%m-%d')", "date() does not read"),
        ("date('2026', '%Y')", "it must have %Y, %m and %d, and each directive once."),
        ("date('2026 2026-01-02', '%Y %Y-%m-%d')", "each directive once."),
        ("date(5, '%Y-%m-%d')", "date() needs text, not a number."),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_told(source: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source)
    assert sentence in str(caught.value)


def test_data_in_a_message_is_whole_or_not_there() -> None:
    secret = "s3cr3t-" * 20
    for source in ("bool(x)", "from_json(x)", "date(x, '%Y-%m-%d')", "str(now(), '%' + x)", "date('1', x)"):
        with pytest.raises(ExpressionError) as caught:
            evaluate(source, x=secret)
        assert "s3cr3t" not in str(caught.value), source


def test_json_text_is_read_and_written_within_the_limit_of_text() -> None:
    short, long = '["' + "a" * 65_000 + '"]', '["' + "a" * 66_000 + '"]'
    assert evaluate("from_json(x)", x=short) == ["a" * 65_000]
    assert evaluate("to_json(x)", x=["a" * 65_000]) == short
    for source, given_value in (("from_json(x)", long), ("to_json(x)", ["a" * 66_000])):
        with pytest.raises(LimitExceeded, match="65536 bytes"):
            evaluate(source, x=given_value)


@given(VALUES)
def test_json_that_is_written_is_read_as_what_it_was(value: object) -> None:
    assert same(evaluate("from_json(to_json(x))", x=value), value)


MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
SEPARATORS = st.text(st.sampled_from(" -/.:T([*+?\\^$é|"), max_size=3)


@given(moment=MOMENTS, separators=st.lists(SEPARATORS, min_size=7, max_size=7), order=st.permutations("YmdHMS"))
def test_a_time_that_a_pattern_writes_is_read_by_it(moment: datetime, separators: list[str], order: list[str]) -> None:
    pieces = [f"{separator}%{letter}" for separator, letter in zip(separators, order, strict=False)]
    pattern = "".join(pieces) + separators[-1]
    assert evaluate("date(str(x, p), p) == x", x=moment, p=pattern) is True


@given(moment=MOMENTS.filter(lambda moment: moment.year >= 1000))
def test_a_pattern_means_what_it_means_to_python(moment: datetime) -> None:
    pattern = "%d.%m.%Y %H:%M:%S%%"
    assert evaluate("str(x, p)", x=moment, p=pattern) == moment.strftime(pattern)
