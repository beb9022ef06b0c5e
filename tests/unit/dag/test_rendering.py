"""What becomes of templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag import jsontext
from workflows_app.dag.expressions import ExpressionError, ExpressionSyntaxError, LimitExceeded
from workflows_app.dag.rendering import FoundExpression, evaluate_condition, find_expressions, render
from workflows_app.dag.types import JsonValue

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Names:
    names: Mapping[str, object] = field(default_factory=dict)
    now: datetime = NOW
    asked: list[str] = field(default_factory=list)

    def lookup(self, name: str) -> object:
        self.asked.append(name)
        return self.names[name]


def rendered(template: JsonValue, **names: object) -> JsonValue:
    return render(template, Names(names=names))


TEXTS: list[tuple[str, object]] = [
    ("${{ 1 }}", 1), ("${{1}}", 1), ("${{ 1.50 }}", Decimal("1.50")), ("${{ null }}", None), ("${{ [1] }}", [1]),
    ("${{ now() }}", "2026-01-02T03:04:05.000000Z"), ("${{ [now()] }}", ["2026-01-02T03:04:05.000000Z"]),
    (" ${{ 1 }}", " 1"), ("${{ 1 }} ", "1 "), ("${{ 1 }}${{ 2 }}", "12"), ("a ${{ 'b' }} c", "a b c"),
    ("a ${{ null }}", "a null"), ("${{ 1e3 }}!", "1000!"), ("${{ 1e-7 }}!", "0.0000001!"), ("${{ 1.10 }}!", "1.10!"),
    ("${{ true }}!", "true!"), ("${{ [1, 'a', 0.50] }}!", '[1,"a",0.50]!'), ("${{ {'a': null} }}!", '{"a":null}!'),
    ("at ${{ now() }}", "at 2026-01-02T03:04:05.000000Z"), ("$${{ x }}", "${{ x }}"),
    ("a $${{ b ${{ 1 }}", "a ${{ b 1"), ("$$${{ 1 }}", "$${{ 1 }}"), ("$ {{ }} }}", "$ {{ }} }}"), ("", ""),
    ("${{ '}}' }}", "}}"), ('${{ "}}" + \'"}}\' }}', '}}"}}'), ("${{ '\\'}}' }}", "'}}"),
    ("${{ {'a': {'b': 1}}}}", {"a": {"b": 1}}), ("${{ {'a': {}} }}", {"a": {}}), ("${{ '${{ 1 }}' }}", "${{ 1 }}"),
    ("${{ '$${{ 1 }}' }}", "$${{ 1 }}"), ("${{\n1 +\n1 }}", 2),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), TEXTS)
def test_a_text_that_is_one_expression_keeps_its_type_and_any_other_is_text(text: str, value: object) -> None:
    found = rendered(text)
    assert found == value
    assert type(found) is type(value)


def test_a_template_is_rendered_everywhere_but_in_its_keys() -> None:
    template: JsonValue = {"${{ x }}": ["${{ x }}", {"a": "<${{ x }}>"}, 1, None, Decimal("1.0")]}
    assert rendered(template, x=5) == {"${{ x }}": [5, {"a": "<5>"}, 1, None, Decimal("1.0")]}
    assert template == {"${{ x }}": ["${{ x }}", {"a": "<${{ x }}>"}, 1, None, Decimal("1.0")]}


def test_values_are_never_rendered_again() -> None:
    assert rendered(["${{ x }}", "a${{ x }}"], x="${{ 1 / 0 }}") == ["${{ 1 / 0 }}", "a${{ 1 / 0 }}"]


def test_a_result_is_a_copy_of_its_own() -> None:
    data = {"rows": [{"a": [1]}]}
    found = rendered(["${{ x }}", "${{ x.rows }}", "${{ x }}"], x=data)
    assert isinstance(found, list)
    found[0]["rows"][0]["a"].append(2)
    assert data == {"rows": [{"a": [1]}]}
    assert found[1:] == [[{"a": [1]}], {"rows": [{"a": [1]}]}]


def test_every_name_is_looked_up_once_for_a_template() -> None:
    scope = Names(names={"x": {"a": 1, "b": 2}})
    assert render(["${{ x.a }}", "${{ x.b + x.a }}"], scope) == [1, 3]
    assert scope.asked == ["x"]


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ({"prices": [{"symbol": "${{ x.gone }}"}]}, "prices[0].symbol"),
        ([["a", "b ${{ x.gone }}"]], "[0][1]"),
        ({"a": "${{ lenn(x) }}"}, "a"),
        ({"a": ["${{ 1"]}, "a[0]"),
        ("${{ x.gone }}", ""),
    ],
)
def test_an_error_says_where_in_the_template_it_is(template: JsonValue, path: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rendered(template, x={})
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: " if path else "x.gone is not there")


@pytest.mark.parametrize("text", ["${{ 1", "a ${{ 1 }", "${{ '}}", "${{ {'a': 1 }}", "${{ 1 }} ${{"])
def test_an_expression_that_does_not_end_is_refused_with_its_place(text: str) -> None:
    for attempt in (rendered, find_expressions):
        with pytest.raises(ExpressionSyntaxError, match="A \\$\\{\\{ has no closing \\}\\}") as caught:
            attempt(text)
        assert caught.value.position == text.rindex("${{")


def test_expressions_are_found_in_order_with_their_paths() -> None:
    template: JsonValue = {"a": ["${{ x }} and ${{y}}", 1, {"b": "${{ lenn( }}"}], "${{ key }}": "$${{ no }}"}
    assert find_expressions(template) == [
        FoundExpression(path="a[0]", source="x"),
        FoundExpression(path="a[0]", source="y"),
        FoundExpression(path="a[2].b", source="lenn("),
    ]
    assert find_expressions("${{ 1 }}") == [FoundExpression(path="", source="1")]


@pytest.mark.parametrize(
    ("source", "result"),
    [("x > 1", True), ("x", True), ("0.0", False), ("''", False), ("null", False), ("[0]", True), ("{}", False)],
)
def test_a_condition_is_true_as_python_counts_truth(source: str, result: bool) -> None:
    assert evaluate_condition(source, Names(names={"x": 2})) is result


def test_a_condition_that_cannot_be_evaluated_is_an_error_and_not_false() -> None:
    with pytest.raises(ExpressionError, match="The name 'x' is not there"):
        evaluate_condition("x > 1", Names())


def test_a_long_list_and_a_long_text_pass_unchanged() -> None:
    rows: list[JsonValue] = list(range(100_000))
    assert rendered("${{ x }}", x=rows) == rows
    assert rendered("${{ x }}", x="a" * 200_000) == "a" * 200_000


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("<${{ x }}>", "more than 65536 bytes"),
        ("<${{ rows }}>", "more than 10000 steps"),
        ("${{ [" + "rows," * 300 + "] }}", "more than 10000 steps"),
        ("${{ {'a': {'b': rows}, 'c': [rows]} }}", "more than 10000 steps"),
        ("${{ [" + "x," * 300 + "] }}", "more than 10000 steps"),
        ("${{ [rows for i in rows] }}", "more than 10000 steps"),
        (["${{ rows }}"] * 2000, "more than 16 MiB"),
    ],
)
def test_a_short_template_does_not_multiply_its_data(template: JsonValue, reason: str) -> None:
    with pytest.raises(LimitExceeded, match=reason):
        rendered(template, x="é" * 40_000, rows=[0] * 20_000)


def test_the_templates_own_text_may_be_long() -> None:
    assert rendered("a" * 100_000 + "${{ 1 }}") == "a" * 100_000 + "1"
    with pytest.raises(LimitExceeded):
        rendered("a" * 100_000 + "${{ x }}", x="b" * 50)


@given(st.lists(st.sampled_from(["$", "{", "}", "${{", "}}", "'", '"', "\\", " 1 ", "a"]), max_size=14).map("".join))
def test_any_text_is_rendered_or_refused(text: str) -> None:
    try:
        found = rendered(text, a=[1])
    except ExpressionError:
        return
    assert jsontext.clean(found) == found


@given(st.text("ab ${}'\"\\", max_size=20).filter(lambda text: "${{" not in text))
def test_a_text_without_expressions_is_itself(text: str) -> None:
    assert rendered(text) == text
    assert rendered(text.replace("$", "$ ") + "$${{") == text.replace("$", "$ ") + "${{"
