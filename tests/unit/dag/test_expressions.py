"""What the expression language means."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag.expressions import (
    ExpressionError,
    ExpressionSyntaxError,
    LimitExceeded,
    Reference,
    compile_expression,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Names:
    names: Mapping[str, object] = field(default_factory=dict)
    now: datetime = NOW

    def lookup(self, name: str) -> object:
        return self.names[name]


class Lazy(Mapping[str, object]):
    """A mapping that counts what is read of it."""

    def __init__(self, **values: object) -> None:
        self.values_by_key = values
        self.read: list[str] = []

    def __getitem__(self, key: str) -> object:
        self.read.append(key)
        return self.values_by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)


def evaluate(source: str, **names: object) -> object:
    return compile_expression(source).evaluate(Names(names=names))


def message(source: str, **names: object) -> str:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source, **names)
    return str(caught.value)


VALUES: list[tuple[str, object]] = [
    ("null", None), ("None", None), ("true", True), ("False", False), ("1", 1), ("'a'", "a"), ('"é\\n"', "é\n"),
    ("[1, 'a', null]", [1, "a", None]), ("{'a': {'b': 1}}", {"a": {"b": 1}}), ("{}", {}), ("[]", []),
    ("0.1 + 0.2 == 0.3", True), ("7 / 2", Decimal("3.5")), ("6 / 3", Decimal(2)), ("2 * 3.50", Decimal("7.00")),
    ("-7 // 2", -4), ("-7.0 // 2", Decimal(-4)), ("7 // -2.0", Decimal(-4)), ("-7 % 2", 1),
    ("-7.5 % 2", Decimal("0.5")), ("7 % -2.5", Decimal("-0.5")), ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20),
    ("-(-3)", 3), ("+2.50", Decimal("2.50")), ("'a' + 'b'", "ab"), ("[1] + [2]", [1, 2]), ("1 < 2 < 3", True),
    ("1 < 3 < 2", False), ("'a' < 'b'", True), ("1 == 1.0", True), ("true == 1", False), ("'1' == 1", False),
    ("null == false", False), ("[1, {'a': 2.0}] == [1.0, {'a': 2}]", True), ("1 in [true]", False),
    ("1.0 in [1]", True), ("'b' in 'abc'", True), ("'a' in {'a': 1}", True), ("1 not in {'a': 1}", True),
    ("0 or 'x'", "x"), ("1 and ''", ""), ("null or 0", 0), ("not []", True), ("1 if [] else 2", 2),
    ("[x * 2 for x in [1, 2, 3] if x > 1 if x < 3]", [4]), ("[a + b for a, b in [[1, 2], [3, 4]]]", [3, 7]),
    ("{k: v for k, v in [['a', 1]]}", {"a": 1}), ("[k for k in {'a': 1, 'b': 2}]", ["a", "b"]),
    ("sum(x for x in [1, 2.5])", Decimal("3.5")), ("sum([])", 0), ("max(1, 2.5)", Decimal("2.5")),
    ("min(['b', 'a'])", "a"), ("any(1 / x > 0 for x in [1, 0])", True), ("all(1 / x > 1 for x in [1, 0])", False),
    ("any([0, ''])", False), ("all([])", True), ("sorted([3, 1.5, 2])", [Decimal("1.5"), 2, 3]), ("sorted([])", []),
    ("len('né')", 2), ("len({'a': 1})", 1), ("abs(-2.50)", Decimal("2.50")), ("round(2.5)", 2), ("round(3.5)", 4),
    ("round(-0.5)", 0), ("round(2.675, 2)", Decimal("2.68")), ("round(1.5, 3)", Decimal("1.500")),
    ("lower('ÀB')", "àb"), ("upper('straße')", "STRASSE"), ("startswith('abc', 'ab')", True),
    ("endswith('abc', 'ab')", False), ("contains('abc', 'b')", True), ("contains([1], 1.0)", True),
    ("contains({'a': 1}, 'b')", False), ("matches('abc123', '[0-9]+$')", True), ("matches('abc', '^b')", False),
    (r"matches('a1', '\d')", True), (r"matches('a1', r'\d$')", True), ("int('42')", 42), ("int(' -007 ')", -7),
    ("int(-2.9)", -2), ("int('9' + '9')", 99), ("decimal('1.10')", Decimal("1.10")), ("decimal(2)", Decimal(2)),
    ("str(null)", "null"), ("str(true)", "true"), ("str(1e3)", "1000"), ("str(1e-3)", "0.001"), ("str('a')", "a"),
    ("str([1, 'a', 1.50])", '[1,"a",1.50]'), ("str(now())", "2026-01-02T03:04:05.000006Z"),
    ("str(date('2024-02-29'))", "2024-02-29T00:00:00.000000Z"),
    ("date('2024-01-01T01:00:00+02:00') == date('2023-12-31T23:00:00Z')", True),
    ("date('2024-01-02') - date('2024-01-01')", Decimal(86400)),
    ("date('2024-01-01') + 1.5 > date('2024-01-01')", True),
    ("str(date('2024-01-02') - 86400)", "2024-01-01T00:00:00.000000Z"), ("date(now()) == now()", True),
    ("now() == '2026'", False), ("default(null, 1)", 1), ("default(0, 1)", 0), ("has(null)", False),
    ("has(0)", True), (" 1 +\n\t2 ", 3), ("'a\tb'", "a\tb"), ("2 <= 2", True), ("2 >= 3", False), ("max([3])", 3),
    ("1 != 1.0", False), ("5 - 2", 3), ("5.0 - 2", Decimal("3.0")), ("7.5 // 2.5", Decimal(3)),
    ("max(2.5, 1)", Decimal("2.5")),
    ("round(1e60, 10)", Decimal("1E+60")), ("round(1250, -2)", Decimal(1200)), ("round(7, -1)", Decimal(10)),
    ("str(5 + date('2024-01-01'))", "2024-01-01T00:00:05.000000Z"),
    ("str(sorted([now(), date('2024-01-01')])[0])", "2024-01-01T00:00:00.000000Z"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "value"), VALUES)
def test_an_expression_gives_its_value_with_its_type(source: str, value: object) -> None:
    found = evaluate(source)
    assert found == value
    assert type(found) is type(value)


def test_numbers_keep_every_digit_and_round_half_even_at_64() -> None:
    assert str(evaluate("12345678901234567890.123456789 + 0")) == "12345678901234567890.123456789"
    assert str(evaluate("1 / 3")) == "0." + "3" * 64
    assert evaluate("9 * 1000000000000000000000000000000000000000000000000000000000000000000000000") == 9 * 10**72
    assert str(evaluate("2 / 3"))[-1] == "7"


def test_texts_and_names_may_contain_what_looks_like_code() -> None:
    assert evaluate("'__class__ && # x = 1' + a", a="!") == "__class__ && # x = 1!"
    assert evaluate('a["__class__"]', a={"__class__": 1}) == 1
    assert evaluate("sum", sum=3) == 3


def test_an_enumerations_member_is_its_text() -> None:
    kind = StrEnum("Kind", ["manual"])
    assert evaluate("x == 'manual' and 'manual' in [x] and {'manual': 1}[x]", x=kind.manual) == 1


def test_lists_are_read_from_both_ends() -> None:
    assert evaluate("a[0] + a[-1] + a[i]", a=[1, 2, 4], i=1) == 7


MESSAGES: list[tuple[str, str]] = [
    ("nodes.rsi.value", "nodes.rsi.value is not there; there are closes, dates."),
    ("nodes['rsi'].value", "nodes['rsi'].value is not there"),
    ("nodes.rsi.closes[3]", "nodes.rsi.closes[3] is not there: the list has 2 items."),
    ("nodes.gone.value", "nodes.gone.value is not there: nodes.gone is null."),
    ("nodes.gone[0]", "nodes.gone[0] is not there: nodes.gone is null."),
    ("other.x", "The name 'other' is not there."),
    ("wide.x", "there are k0, k1, k2, k3, k4, k5, k6, k7, ..."),
    ("nodes.rsi.closes.a", "nodes.rsi.closes is a list"),
    ("nodes.rsi[0]", "nodes.rsi is an object: its keys are text, not a number."),
    ("nodes.rsi.closes[true]", "its index is a whole number, not a boolean."),
    ("1 < 'a'", "< does not compare the number 1 with the text 'a'."),
    ("[1] < [2]", "< does not compare a list with a list."),
    ("null > 1", "> does not compare null with the number 1."),
    ("true + 1", "+ does not work on true and the number 1."),
    ("'a' + 1", "+ does not work on the text 'a' and the number 1."),
    ("'a' * 3", "* does not work on the text 'a' and the number 3."),
    ("-'a'", "- does not work on the text 'a'."),
    ("7 / 0", "7 / 0 divides by zero."),
    ("7.5 % 0.0", "7.5 % 0.0 divides by zero."),
    ("7 // 0", "7 // 0 divides by zero."),
    ("1 in 5", "in does not look for the number 1 in the number 5."),
    ("sum(['a'])", "sum() adds numbers, not text."),
    ("max([])", "max() of an empty list"),
    ("len(5)", "len() does not work on a number."),
    ("int('1.5')", "int() does not read '1.5'"),
    ("int('x')", "int() does not read 'x' as a number."),
    ("decimal('NaN')", "decimal() does not read 'NaN' as a number."),
    ("date('2024-02-30')", "date() does not read '2024-02-30'"),
    ("date('2024-01-01T00:00:00')", "date() does not read"),
    ("date('0001-01-01T00:00:00+23:00')", "date() does not read"),
    ("now() + 1e300", "is outside the years 1 to 9999."),
    ("matches('a', '(')", "matches() cannot use the pattern '('"),
    ("{wide.k0: 1}", "An object's key is text, not a number."),
    ("[a for a, b in [[1]]]", "a, b need a list of 2 items, not one of 1."),
    ("[x for x in 'abc']", "'abc' is text: a comprehension goes through a list or an object."),
    ("sum(5)", "sum() needs a list, not a number."),
    ("{} + {}", "+ does not work on an object and an object."),
    ("+'a'", "+ does not work on the text 'a'."),
    ("now() * 2", "* does not work on a time and the number 2."),
    ("max([null])", "> does not compare null with null."),
    ("abs(now())", "abs() needs a number, not a time."),
    ("abs({})", "abs() needs a number, not an object."),
    ("lower(5)", "lower() needs text, not a number."),
    ("round(1.5, 'a')", "round() takes a whole number of places."),
    ("round(123456e65, -66)", "round() to -66 places has more than 64 digits."),
    ("matches(long, 'x')", "matches() searches text of at most 65536 bytes."),
    ("matches('a', pattern)", "matches() cannot use the pattern a text of 2000 characters: it has more than 1024"),
]
DATA = {
    "nodes": {"rsi": {"closes": [1, 2], "dates": []}, "gone": None},
    "wide": {f"k{number}": number for number in range(20)},
    "long": "a" * 70_000,
    "pattern": "a" * 2000,
}


@pytest.mark.parametrize(("source", "sentence"), MESSAGES)
def test_an_error_names_the_path_or_the_operands(source: str, sentence: str) -> None:
    assert sentence in message(source, **DATA)


SYNTAX: list[tuple[str, str]] = [
    ("", "The expression is empty."), ("  ", "The expression is empty."), ("a = 1", "compare with `==`, not `=`"),
    ("a && b", "write `and`, not `&&`"), ("a || b", "write `or`, not `||`"), ("!a", "write `not`, not `!`"),
    ("a ? b : c", "write `x if condition else y`"), ("a is null", "Compare with == and !=, not with `is`."),
    ("lenn(a)", "There is no function 'lenn'(). Did you mean len()?"),
    ("eval('1')", "There is no function 'eval'()."),
    ("a.lower()", "Only functions can be called, no methods: write lower(x), not x.lower()."),
    ("len(a, b)", "len() takes 1 argument, not 2."), ("round()", "round() takes 1 to 2 arguments, not 0."),
    ("default(a)", "default() takes 2 arguments, not 1."),
    ("sorted(a, reverse=true)", "sorted() takes no named arguments."),
    ("a.class", "'class' is a reserved word: write [\"class\"] instead of .class."),
    ("a[1:2]", "A slice is not part of the language."), ("a ** 2", "** is not part of the language."),
    ("1 # one", "An expression has no comments"), ("(1, 2)", "A tuple is not JSON"), ("{1, 2}", "A set is not JSON"),
    ("f'{a}'", "An f-string is not part of the language"), ("b'a'", "is no JSON value"), ("...", "is no JSON value"),
    ("1_000", "is no number in JSON's spelling"), ("0x10", "is no number in JSON's spelling"),
    ("1j", "is no JSON value"), ("(x for x in a)", "A comprehension stands in brackets"),
    ("len(x for x in a)", "A comprehension stands in brackets"),
    ("[[y for y in x] for x in a]", "no comprehension inside"),
    ("[x for x in [y for y in a]]", "no comprehension inside"),
    ("[x for x in a for y in b]", "A comprehension has one `for`"), ("[x for x.y in a]", "target is a name"),
    ("[1 for null in a]", "target is a new name"), ("'a\nb'", "A text ends on the line on which it begins"),
    ("1e400", "exponent outside of +-308"), ("9" * 78, "more than 256 bits"),
    ("0." + "1" * 65, "more than 64 significant digits"), ("x" * 2049, "more than 2048 bytes"),
    ("é" * 1025, "more than 2048 bytes"), ("not " * 60 + "a", "nested deeper than 50 levels"),
    ("(" * 60 + "1" + ")" * 60 + "+", "This is no expression"), ("a.b +", "This is no expression"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "sentence"), SYNTAX)
def test_what_is_no_expression_is_refused_with_advice(source: str, sentence: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(source)
    assert sentence in caught.value.reason


def test_an_error_knows_its_source_and_its_place() -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression("  'é' + lenn(a)")
    assert caught.value.source == "  'é' + lenn(a)"
    assert caught.value.position == 8
    assert caught.value.code == "expression_error"
    assert str(caught.value) == (
        "There is no function 'lenn'(). Did you mean len()? (in `  'é' + lenn(a)`, at character 9)"
    )
    assert str(ExpressionError("A sentence.")) == "A sentence."


def test_data_in_a_message_is_whole_or_not_there_so_that_a_secret_can_be_hidden() -> None:
    secret = "s3cr3t-" * 20
    for source in ("int(x)", "date(x)", "x + 1", "x < 1", "matches('a', '(' + x)", "a[x]", "-x"):
        assert "s3cr3t" not in message(source, x=secret, a={})


def test_default_and_has_catch_absence_and_nothing_else() -> None:
    for source in ("gone", "nodes.x.y", "nodes.rsi.closes[9]", "nodes.gone.value", "nodes.gone", "nodes.rsi['x'] + 1"):
        assert evaluate(f"default({source}, 'd')", **DATA) == "d"
        assert evaluate(f"has({source})", **DATA) is False
    for source in ("1 / 0", "nodes.rsi.closes.a", "'a' + 1", "int('x')"):
        message(f"default({source}, 1)", **DATA)
        message(f"has({source})", **DATA)
    assert evaluate("default(1, gone)") == 1
    with pytest.raises(LimitExceeded):
        evaluate("has([x for x in a])", a=[0] * 10_001)


def test_only_what_is_used_of_a_lazy_mapping_is_read_and_once() -> None:
    nodes = Lazy(a={"x": 1, "y": 2}, b=2)
    assert evaluate("nodes.a.x + nodes.a.y + nodes['a'].x", nodes=nodes) == 4
    assert nodes.read == ["a"]
    assert evaluate(
        "has(nodes.b) and 'b' in nodes and len(nodes) == 2 and [k for k in nodes] == ['a', 'b']", nodes=nodes
    )
    assert evaluate("nodes", nodes=nodes) == {"a": {"x": 1, "y": 2}, "b": 2}
    assert evaluate("not nodes", nodes=Lazy()) is True


def test_references_are_the_constant_beginnings_of_paths() -> None:
    source = 'a.b["c"][0].d + x[i.j].k + [y.z + w for y in rows if y]'
    assert [reference.path for reference in compile_expression(source).references] == [
        ("a", "b", "c"), ("x",), ("i", "j"), ("rows",), ("w",),
    ]  # fmt: skip


def test_references_inside_has_and_the_first_argument_of_default_are_guarded() -> None:
    references = compile_expression("default(a.b, c.d) if has(e[f]) else g").references
    assert {reference.path: reference.guarded for reference in references} == {
        ("e",): True, ("f",): True, ("a", "b"): True, ("c", "d"): False, ("g",): False,
    }  # fmt: skip
    assert compile_expression(" a.b").references == (Reference(path=("a", "b"), guarded=False, position=1),)


NUMBERS = st.integers(-50, 50).map(str) | st.decimals(-50, 50, places=2, allow_nan=False).map(lambda d: f"({d:f})")
ARITHMETIC = st.recursive(
    NUMBERS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*"]), inner)
        | st.builds("(-{})".format, inner)
        | st.builds(
            "({} if {} {} {} else {})".format, inner, inner, st.sampled_from(["<", "==", ">=", "!="]), inner, inner
        )
        | st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("max([{}, {}])".format, inner, inner)
        | st.builds("sum([x * 2 for x in [{}, {}] if x > 0])".format, NUMBERS, NUMBERS)
    ),
    max_leaves=8,
)


@given(ARITHMETIC)
def test_arithmetic_agrees_with_python_on_fractions_of_two_digits(source: str) -> None:
    # The same source, with its numbers written as Decimals; 64 digits hold every product of 8 of them.
    python = re.sub(r"\d+\.\d+|\d+", lambda number: f"D('{number[0]}')", source)
    with localcontext(prec=64):
        expected = eval(python, {"__builtins__": {"max": max, "sum": sum}, "D": Decimal})  # noqa: S307
    found = evaluate(source)
    assert found == expected


@given(st.integers(-(10**20), 10**20), st.integers(-(10**6), 10**6).filter(bool), st.booleans())
def test_division_and_remainder_floor_as_with_pythons_integers(left: int, right: int, is_decimal: bool) -> None:
    a, b = (Decimal(left), Decimal(right)) if is_decimal else (left, right)
    assert evaluate("[a // b, a % b]", a=a, b=b) == [left // right, left % right]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)


@given(JSON, JSON)
def test_equality_is_that_of_json_and_never_raises(left: object, right: object) -> None:
    def typed(value: object) -> object:
        if isinstance(value, list):
            return [typed(item) for item in value]
        if isinstance(value, dict):
            return {key: typed(item) for key, item in value.items()}
        return (isinstance(value, bool), value)

    assert evaluate("a == b", a=left, b=right) is (typed(left) == typed(right))
    assert evaluate("a != b", a=left, b=right) is (typed(left) != typed(right))
    assert evaluate("a in [b]", a=left, b=right) is (typed(left) == typed(right))
    assert evaluate("not a", a=left) is (not left)
