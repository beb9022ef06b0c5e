"""What select, filter, sort, group_by and column do, held against plain Python."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Context, Decimal
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag import rows
from workflows_app.dag.expressions import (
    ExpressionError,
    ExpressionSyntaxError,
    LimitExceeded,
    Reference,
    compile_expression,
)
from workflows_app.dag.rendering import render


@dataclass(frozen=True, kw_only=True)
class Names:
    names: Mapping[str, object] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)

    def lookup(self, name: str) -> object:
        return self.names[name]


def evaluate(source: str, **names: object) -> object:
    return compile_expression(source).evaluate(Names(names=names))


TRADES = [
    {"symbol": "IBM", "qty": 3, "price": Decimal("10.50")},
    {"symbol": "AAPL", "qty": 1, "price": Decimal("20.10")},
    {"symbol": "IBM", "qty": 2, "price": Decimal("9.00")},
]
VALUES: list[tuple[str, object]] = [
    ("select(t, item.qty * 2)", [6, 2, 4]),
    ("select(t, {'s': item.symbol})", [{"s": "IBM"}, {"s": "AAPL"}, {"s": "IBM"}]),
    ("select([], item.qty)", []),
    ("select([[1, 2]], item[1])", [2]),
    ("filter(t, item.qty > 1 and item.symbol == 'IBM')", [TRADES[0], TRADES[2]]),
    ("filter([0, 1, '', 'a', null, []], item)", [1, "a"]),
    ("sort(t, item.price)", [TRADES[2], TRADES[0], TRADES[1]]),
    ("sort(t, item.qty, 'desc')", [TRADES[0], TRADES[2], TRADES[1]]),
    ("sort(t, item.symbol, 'asc')", [TRADES[1], TRADES[0], TRADES[2]]),
    ("sort(t, item.symbol, 'desc')", [TRADES[0], TRADES[2], TRADES[1]]),
    ("sort(t, item.symbol, way)", [TRADES[0], TRADES[2], TRADES[1]]),
    ("sort(sort(t, item.price), item.symbol)", [TRADES[1], TRADES[2], TRADES[0]]),
    ("sort(['2024-02-01', '2023-03-01T00:00:00Z'], date(item))", ["2023-03-01T00:00:00Z", "2024-02-01"]),
    ("sort([3, 1.5, 2], item)", [Decimal("1.5"), 2, 3]),
    ("group_by(t, item.symbol)", [
        {"key": "IBM", "items": [TRADES[0], TRADES[2]]}, {"key": "AAPL", "items": [TRADES[1]]},
    ]),
    ("group_by([1, 1.0, 2, '1'], item)", [
        {"key": 1, "items": [1, Decimal("1.0")]}, {"key": 2, "items": [2]}, {"key": "1", "items": ["1"]},
    ]),
    ("select(group_by(t, item.symbol), [item.key, len(item.items)])", [["IBM", 2], ["AAPL", 1]]),
    ("select(group_by(t, item.symbol), sum(column(item.items, 'qty')))", [5, 1]),
    ("[[g.key, avg(column(g.items, 'price'))] for g in group_by(t, item.symbol)]", [
        ["IBM", Decimal("9.75")], ["AAPL", Decimal("20.10")],
    ]),
    ("select(group_by(t, item.symbol), [min(column(item.items, 'qty')), max(column(item.items, 'qty'))])", [
        [2, 3], [1, 1],
    ]),
    ("select(group_by(t, item.symbol), [item.items[0].price, item.items[-1].price])", [
        [Decimal("10.50"), Decimal("9.00")], [Decimal("20.10"), Decimal("20.10")],
    ]),
    ("select([x for x in t if x.qty > 1], item.qty)", [3, 2]),
    ("[x.qty for x in filter(t, item.qty > 1)]", [3, 2]),
    ("{g.key: len(g.items) for g in group_by(t, item.symbol)}", {"IBM": 2, "AAPL": 1}),
    ("sum(x.qty for x in filter(t, item.symbol == 'IBM'))", 5),
    ("[item.qty for item in select(t, item)]", [3, 1, 2]),
    ("len(filter(t, true))", 3),
    ("default(select(t, item.gone), [])", []),
    ("select(t, default(item.gone, 0))", [0, 0, 0]),
    ("column(t, 'qty')", [3, 1, 2]),
    ("column([{'a': [{'b': 1}]}, {'a': [{'b': null}]}], 'a.0.b')", [1, None]),
    ("default(column(t, 'gone'), 'none')", "none"),
    ("avg([1, 2])", Decimal("1.5")),
    ("avg(x.qty for x in t)", Decimal(2)),
    ("select(t, item.qty) + select(t, item.qty)", [3, 1, 2, 3, 1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "value"), VALUES)
def test_a_form_gives_its_value_with_its_types(source: str, value: object) -> None:
    found = evaluate(source, t=TRADES, way="desc")
    assert repr(found) == repr(value)


MESSAGES: list[tuple[str, str]] = [
    ("select(t, item.gone)", "t[0]: item.gone is not there; there are symbol, qty, price."),
    ("filter(nodes.a.rows, item.x > 1)", "nodes.a.rows[1]: item.x is not there; there are y."),
    ("sort(filter(t, item.qty < 3), 1 / (item.qty - 2))", "filter(t, item.qty < 3)[1]: 1 / 0 divides by zero."),
    ("select(5, item)", "select() goes through a list; 5 is a number."),
    ("filter({}, item)", "filter() goes through a list; {} is an object."),
    ("group_by(null, item)", "group_by() goes through a list; null is null."),
    ("sort('abc', item)", "sort() goes through a list; 'abc' is text."),
    ("sort([1, 'a'], item)", "[1, 'a'][1]: sort() cannot order text among keys that are a number."),
    ("sort(['a', now()], item)", "[1]: sort() cannot order a time among keys that are text."),
    ("sort([1, null], item)", "[1]: sort() orders by numbers, text or times, not by null: default() says"),
    ("sort([null], item)", "[0]: sort() orders by numbers, text or times, not by null"),
    ("sort([true], item)", "not by a boolean"),
    ("sort([[]], item)", "not by a list"),
    ("sort([], item, 'up')", "sort() goes 'asc' or 'desc', not 'up'."),
    ("sort([], item, null)", "sort() goes 'asc' or 'desc', not null."),
    ("group_by([null], item)", "[null][0]: group_by() groups by text or numbers, not by null"),
    ("group_by([1, true], item)", "[1, true][1]: group_by() groups by text or numbers, not by a boolean"),
    ("group_by([[]], item)", "not by a list"),
    ("group_by([1], now())", "not by a time: default() says what an absent key counts as, str() makes text"),
    ("column(t, 'qty.x')", "items[0].qty.x is not there: items[0].qty is a number."),
    ("column([{'a': [1]}], 'a.1')", "items[0].a[1] is not there: the list has 1 items."),
    ("column([null], 'a')", "items[0].a is not there: items[0] is null."),
    ("column(5, 'a')", "column() needs a list, not a number."),
    ("column(t, 5)", "column() needs text, not a number."),
    ("avg([])", "avg() of an empty list"),
    ("avg(['a'])", "avg() takes numbers, not text."),
]


@pytest.mark.parametrize(("source", "sentence"), MESSAGES)
def test_an_error_names_the_row_or_what_is_misused(source: str, sentence: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source, t=TRADES, nodes={"a": {"rows": [{"x": 1}, {"y": 2}]}})
    assert sentence in str(caught.value)


def test_an_error_in_a_template_names_its_place_too() -> None:
    with pytest.raises(ExpressionError, match=r"^report\.rows: t\[2\]: item\.x is not there"):
        render({"report": {"rows": "${{ select(t, item.x) }}"}}, Names(names={"t": [{"x": 1}, {"x": 2}, {"y": 3}]}))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("select(t)", "select() takes 2 arguments, not 1."),
        ("sort(t, item, 'asc', 1)", "sort() takes 2 to 3 arguments, not 4."),
        ("select(t, select(item.rows, item.x))", "take one step after the other"),
        ("select(t, [x for x in item.rows])", "no comprehension inside"),
        ("[select(x, item) for x in t]", "take one step after the other"),
        ("[x for x in t if filter(x, item)]", "take one step after the other"),
        ("{x: sort(x, item) for x in t}", "take one step after the other"),
        ("[x for x in [y for y in t]]", "no comprehension inside"),
        ("[x for x in select([y for y in t], item)]", "no comprehension inside"),
        ("t.select(item)", "Only functions can be called, no methods"),
        ("selekt(t, item)", "Did you mean select()?"),
    ],
)
def test_a_form_that_is_misspelled_is_refused_when_it_is_saved(source: str, sentence: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(source)
    assert sentence in caught.value.reason


def test_item_is_the_row_in_the_second_argument_and_an_ordinary_name_elsewhere() -> None:
    expression = compile_expression("sort(item.rows, item.x + vars.y, item.way) + [item for item in input.rows]")
    assert [reference.path for reference in expression.references] == [
        ("item", "rows"), ("vars", "y"), ("item", "way"), ("input", "rows"),
    ]  # fmt: skip
    guarded = compile_expression("default(select(nodes.a.rows, item.x), vars.b)").references
    assert guarded == (
        Reference(path=("nodes", "a", "rows"), guarded=True, position=15),
        Reference(path=("vars", "b"), guarded=False, position=38),
    )
    assert evaluate("select(item, item + 1)", item=[1, 2]) == [2, 3]


def test_every_row_costs_a_step_and_chained_forms_share_one_budget() -> None:
    many = list(range(3000))
    assert evaluate("len(filter(filter(filter(rows, true), true), true))", rows=many) == 3000
    with pytest.raises(LimitExceeded, match="takes more than 10000 steps"):
        evaluate("len(filter(filter(filter(filter(rows, true), true), true), true))", rows=many)
    with pytest.raises(LimitExceeded):
        evaluate("sort(rows, item)", rows=many)


def test_a_data_error_does_not_hide_that_the_budget_is_spent() -> None:
    with pytest.raises(LimitExceeded, match=r"^The expression takes more than 10000 steps"):
        evaluate("select(rows, sum(rows))", rows=list(range(900)))


# Numbers whose hashes are the same in every process: 2 ** 61 - 1 is the modulus of Python's.
COLLIDING = [number * (2**61 - 1) for number in range(1, 1500)]


class Watched(int):
    """A number that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Watched.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_groups_of_numbers_are_not_found_by_hashes_that_a_sender_can_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "is_number", lambda value: isinstance(value, int))
    watched = [Watched(number) for number in COLLIDING]
    groups = evaluate("group_by(rows, item)", rows=watched)
    assert Watched.compared == 0
    assert [int(group["key"]) for group in groups] == COLLIDING
    # The control: a dict of the numbers themselves compares each with all before it.
    assert len(dict.fromkeys(watched)) == len(COLLIDING)
    assert Watched.compared > 100 * len(COLLIDING)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
NUMBERS = st.integers(-(2**70), 2**70) | st.decimals(-50, 50, places=2) | st.integers(-3, 3).map(Decimal)
KEYS = st.lists(NUMBERS, max_size=30) | st.lists(TEXTS, max_size=30)


def rows_of(keys: list[object]) -> list[dict[str, object]]:
    return [{"k": key, "n": number} for number, key in enumerate(keys)]


def same(one: object, other: object) -> bool:
    return repr(one) == repr(other)


@given(KEYS)
def test_select_and_column_are_a_comprehension(keys: list[object]) -> None:
    rows = rows_of(keys)
    expected = [row["k"] for row in rows]
    for source in ("select(rows, item.k)", "column(rows, 'k')", "[row.k for row in rows]"):
        assert same(evaluate(source, rows=rows), expected)


@given(st.lists(NUMBERS, max_size=30), NUMBERS)
def test_filter_keeps_what_is_true_in_its_order(keys: list[object], bound: Decimal) -> None:
    rows = rows_of(keys)
    found = evaluate("filter(rows, item.k < bound)", rows=rows, bound=bound)
    assert same(found, [row for row in rows if row["k"] < bound])


@pytest.mark.parametrize(("way", "reverse"), [("", False), (", 'asc'", False), (", 'desc'", True)])
@given(keys=KEYS)
def test_sort_is_pythons_stable_sort_either_way(way: str, reverse: bool, keys: list[object]) -> None:
    rows = rows_of(keys)
    found = evaluate(f"sort(rows, item.k{way})", rows=rows)
    assert same(found, sorted(rows, key=lambda row: row["k"], reverse=reverse))


@given(keys=st.lists(NUMBERS | TEXTS, max_size=30))
def test_sort_of_keys_of_several_kinds_is_an_error_in_whatever_order_they_come(keys: list[object]) -> None:
    mixed = len({isinstance(key, str) for key in keys}) > 1
    if mixed:
        with pytest.raises(ExpressionError, match="cannot order"):
            evaluate("sort(rows, item.k)", rows=rows_of(keys))
    else:
        assert len(evaluate("sort(rows, item.k)", rows=rows_of(keys))) == len(keys)


@given(st.lists(NUMBERS | TEXTS, max_size=40))
def test_groups_hold_every_row_once_by_equal_keys_in_order_of_appearance(keys: list[object]) -> None:
    rows = rows_of(keys)
    expected: list[dict[str, object]] = []
    for row in rows:
        for group in expected:
            if group["key"] == row["k"]:
                group["items"].append(row)
                break
        else:
            expected.append({"key": row["k"], "items": [row]})
    assert same(evaluate("group_by(rows, item.k)", rows=rows), expected)


AGGREGATES: dict[str, Callable[[list[int]], object]] = {
    "len(item.items)": len,
    "sum(column(item.items, 'n'))": sum,
    "min(column(item.items, 'n'))": min,
    "max(column(item.items, 'n'))": max,
    "item.items[0].n": lambda values: values[0],
    "item.items[-1].n": lambda values: values[-1],
    "avg(column(item.items, 'n'))": lambda values: Context(prec=64).divide(sum(values), len(values)),
}


@pytest.mark.parametrize("aggregate", AGGREGATES)
@given(keys=st.lists(st.sampled_from("abc"), max_size=20))
def test_an_aggregate_of_each_group_is_pythons(aggregate: str, keys: list[object]) -> None:
    rows = rows_of(keys)
    found = evaluate(f"select(group_by(sort(rows, item.k), item.k), {{'k': item.key, 'v': {aggregate}}})", rows=rows)
    grouped = groupby(sorted(rows, key=lambda row: row["k"]), key=lambda row: row["k"])
    of_values = AGGREGATES[aggregate]
    expected = [{"k": key, "v": of_values([row["n"] for row in group])} for key, group in grouped]
    assert same(found, expected)
