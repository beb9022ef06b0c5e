"""Attacks on the expression language: nothing of Python is reached, and nothing takes long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag import jsontext
from workflows_app.dag.expressions import ExpressionError, ExpressionSyntaxError, LimitExceeded, compile_expression
from workflows_app.dag.rendering import render

MAX_STEPS = 10_000


class Canary:
    """A Python object that should never be in a scope: it knows when something of it is used."""

    def __init__(self) -> None:
        self.touched: list[str] = []

    def __getattr__(self, name: str) -> object:
        self.touched.append(name)
        return self

    def __getitem__(self, key: object) -> object:
        self.touched.append(f"[{key}]")
        return self

    def __call__(self, *arguments: object) -> object:
        self.touched.append("()")
        return self


@dataclass(frozen=True, kw_only=True)
class Names:
    names: Mapping[str, object] = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 2, tzinfo=UTC)

    def lookup(self, name: str) -> object:
        return self.names[name]


# Where an attack begins. The language must refuse the way, whatever it begins with.
STARTS = ("canary", "''", "[]", "{}", "(1)", "len", "input", "input.text", "now()", "null", "true", "1.5")
WAYS = (
    "{}.__class__", "{}.__class__.__base__.__subclasses__()", "{}.__init__.__globals__['os']",
    "{}.__class__.__mro__[1]", "{}.__dict__", "{}.format({})", "{}.format_map({})", "{}.join({})", "{}.upper()",
    "{}.items()", "{}()()", "{}[0]()", "getattr({}, '__class__')", "type({})", "eval({})", "print({})", "f'{{{}}}'",
    "f'{{{}.__class__}}'", "(lambda: {})()", "[x for x in [{}] if x.__class__]", "{}.__reduce__()",
)  # fmt: skip
PYTHON = [
    way.replace("{}", start).replace("{{", "{").replace("}}", "}") for way in WAYS for start in STARTS
] + [
    "__import__('os').system('id')", "__builtins__", "__builtins__['eval']('1')", "__name__", "__debug__",
    "globals()", "locals()", "vars()", "dir()", "open('/etc/passwd')", "exec('x = 1')", "compile('1', '', 'eval')",
    "input()", "breakpoint()", "exit()", "help()", "object()", "super()", "staticmethod(len)", "memoryview('a')",
    "bytearray(9)", "setattr(canary, 'a', 1)", "delattr(canary, 'a')", "iter([1])", "next([1])", "range(9)",
    "map(len, [1])", "filter(len, [1])", "zip([1])", "enumerate([1])", "reversed([1])", "id(1)", "hash(1)",
    "repr(1)", "chr(1)", "ord('a')", "hex(1)", "bin(1)", "pow(2, 9)", "divmod(1, 2)", "set([1])", "dict(a=1)",
    "list('a')", "tuple('a')", "(x := 1)", "[x := 1]", "lambda: 1", "(lambda x: x)(1)", "[lambda: x for x in [1]]",
    "(yield)", "(yield from [1])", "await len", "[x async for x in [1]]", "x = 1", "x: int", "x += 1", "del x",
    "import os", "from os import path", "pass", "return 1", "raise len", "assert true", "global x", "nonlocal x",
    "if true: 1", "while true: 1", "for x in [1]: x", "with x: 1", "class A: 1", "def f(): 1", "@len", "try: 1",
    "1; 2", "1\n2", "match x: 1", "print 1", "exec 'a'", "*[1]", "[*[1]]", "{**{}}", "len(*[1])", "len(**{})",
    "len([1], key=1)", "sorted([1], key=len)", "{1, 2}", "{x for x in [1]}", "(1, 2)", "()", "[1][0:1]", "[1][:]",
    "[1][::2]", "[1][...]", "...", "Ellipsis.a", "NotImplemented.a", "1j", "0x10", "0b1", "0o7", "1_0", "b'a'",
    "rb'a'", "f'a'", "2 ** 9", "9 ** 9 ** 9", "1 << 9", "1 >> 1", "1 & 1", "1 | 1", "1 ^ 1", "~1", "1 @ 1", "1 is 1",
    "1 is not 1", "1 <> 2", "`1`", "$x", "x?", "x?.y", "a ?? b", "a && b", "a || b", "!a", "\uff41", "\uff43anary",
    "e\uff56al('1')", "\u212fval('1')", "\uff4cen([1])", "canary.\uff41", "canary.__\uff43lass__", "a\u200bb",
    "a\u00a0b", "\ufeff1", "1\0", "'\0'", "'\\0'", "'\\ud800'", "\ud800", "# x", "1 # x", "(1 # x\n)", "\\\n1",
    "1\\\n", "'a\nb'", "'''a\nb'''", "[x for x in [1] for y in [1]]", "[[y for y in x] for x in [[1]]]",
    "[x for x in [y for y in [1]]]", "(x for x in [1])", "str(x for x in [1])", "[x for x.y in [1]]",
    "[x for x[0] in [1]]", "[x for (x, (y, z)) in [1]]", "[x for *x in [1]]", "[__x for __x in [1]]",
    "[1 for true in [1]]", "[1 for () in [1]]", "{'a': 1}.a()", "len.__call__([1])", "(len)([1], 2)",
    "(len if 1 else max)([1])", "[len][0]([1])", "len([1])()", "{'f': len}.f([1])", "matches", "now.__self__",
    "date.today()", "str.format('a')", "decimal('1').as_tuple()", "now().year", "now().__class__",
    "input.text.upper", "1 .real", "(1).real", "1.5.real", "select([canary], item.__class__)",
    "select([canary], item())", "filter([canary], item.x)", "sort([canary], item)", "group_by([canary], item)",
    "select([1], lambda: item)", "select([1], [x for x in [item]])", "select([1], select([1], item))",
    "[select([1], item) for x in [1]]", "select([1], item for item in [1])", "column([canary], '__class__')",
    "column([canary], 'x')", "from_json(canary)", "bool(canary)", "date(canary, '%Y-%m-%d')", "str(now(), canary)",
    "str(now(), '%c')", "date('a', '%(year)s')", "select", "select.__self__", "(select)([1])", "select(*[1], 1)",
    "sort([1], item, reverse=true)", "item", "item.__class__", "select([1], __item)",
]  # fmt: skip


def scope() -> Names:
    return Names(names={"canary": Canary(), "input": {"text": "a", "rows": [1]}})


def test_no_payload_reaches_anything_of_python(record_property: Callable[[str, object], None]) -> None:
    executed: list[str] = []
    for source in PYTHON:
        names = scope()
        try:
            result = compile_expression(source).evaluate(names)
        except ExpressionError:
            result = None
        if result is not None or names.names["canary"].touched:
            executed.append(source)
    record_property("payloads", f"payloads={len(PYTHON)} executed={len(executed)}")
    assert len(set(PYTHON)) >= 300
    assert executed == []


def test_the_same_payloads_do_reach_python_without_the_language() -> None:
    """The control: what is harmless here is not harmless in itself."""
    reached = 0
    for way in WAYS[:2] + WAYS[4:6] + ("{}[0]()", "getattr({}, '__class__')", "type({})"):
        canary = Canary()
        result = eval(way.replace("{}", "canary"), {"canary": canary})  # noqa: S307
        reached += result is not None or bool(canary.touched)
    assert reached == 7


def test_payloads_are_refused_before_anything_is_evaluated_where_their_syntax_is_foreign() -> None:
    foreign = (
        "''.__class__",
        "len.__call__([1])",
        "(lambda: 1)()",
        "[x for x in [[y for y in z]]]",
        "a.b()",
        "\uff41",
        "2 ** 9",
    )
    for source in foreign:
        with pytest.raises(ExpressionSyntaxError):
            compile_expression(source)


DEEP: object = 1
for _ in range(45):
    DEEP = [DEEP]
DATA: dict[str, object] = {
    "rows": list(range(20_000)),
    "few": list(range(1000)),
    "text": "ab" * 32_768,
    "noise": "".join("ab"[(number * number // 7 + number) % 2] for number in range(65_536)),
    "wide": {f"k{number}": number for number in range(20_000)},
    "deep": [DEEP] * 5000,
    "numbers": [Decimal(number * 7919 % 10_007) / 7 for number in range(5000)],
    "long": "é" * 2_000_000,
    "zero": Decimal("0E-900000"),
}
COSTLY = [
    "[x for x in rows]", "[0 for x in few for y in few]", "[[x] * 9 for x in few]", "sorted(rows)",
    "sorted(numbers)", "sum(rows)", "min(rows)", "any([x == -1 for x in rows])", "all(x >= 0 for x in rows)",
    "rows == rows + []", "rows + rows", "-1 in rows", "contains(rows, -1)", "[x in rows for x in few]",
    "[rows for x in rows]", "[text + text for x in few]", "text + text", "[lower(text) for x in few]", "upper(long)",
    "lower(long)", "contains(long, 'x')", "'x' in long", "startswith(long, 'x')", "long == long + ''", "long < long",
    "str(rows)", "str(wide)", "str([text, text])", "[str(few) for x in few]", "matches(text, '(a|b)*a(a|b){100}c')",
    "matches(noise, '(a|b)*a(a|b){100}c')", "matches(noise, '[ab]*a[ab]{20}x')", "matches(long, 'x')",
    "[matches(text, 'x') for x in few]", "matches(noise, '(a?){200}(a){200}c')",
    "matches('a', '[\\\\p{L}\\\\p{N}]{300}')", "matches('a', '((a{10}){10}){100}')", "matches('a', text)",
    "[matches('a', str(x) + '(b{30}){30}') for x in few]", "[" + "not " * 45 + "x for x in rows]",
    "[" + "-" * 45 + "x for x in rows]", "[x" + "[0]" * 40 + " for x in deep]", "[" + "x+" * 40 + "x for x in rows]",
    "[" + "default(" * 40 + "x" + ", 1)" * 40 + " for x in rows]", "[has(x.y) for x in rows]",
    "[now() for x in rows]", "[{'a': x} for x in rows]", "{str(x): x for x in rows}", "[k for k in wide]",
    "wide == wide", "[wide[k] for k in wide]", "[" + "[x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x] for x in few]",
    "9" * 78, "int('" + "9" * 400 + "')", "int('1e999999')", "int(1e300)", "decimal('1e309')", "decimal('NaN')",
    "decimal('Infinity')", "decimal('sNaN123')", "1e308 * 10", "1e-300 * 1e-300", "1e300 // 3", "1e300 % 7e-300",
    "round(1e300)", "round(1.5, 400)", "round(1.5, -400)", "round(1, 1e300)", "now() + 1e300", "now() - 1e300",
    "now() + 1e-300 * 1e-9", "date('0001-01-01T00:00:00+23:59')", "date('9999-12-31T23:59:59-23:59')", "date(long)",
    "int(long)", "decimal(long)", " * ".join(["9" * 60] * 5), "'a' * 1000000000", "[0] * 1000000000", "text * text",
    "[" * 52 + "]" * 52, "{'a':" * 51 + "1" + "}" * 51, "not " * 51 + "1", "-" * 51 + "1", "a" + ".a" * 60,
    "1" + " if 1 else 1" * 60, "a" + "[0]" * 60, "+".join(["1"] * 60), "len(" * 51 + "''" + ")" * 51, "(" * 1000,
    "[" * 2000, "((" * 300 + "))" * 300, "-" * 2000 + "1", "not " * 500 + "1", "1" * 2000, "x" * 2049,
    "'" + "\\" * 2000, "\"\\" * 1000, "lambda " * 300, "x if " * 400, "{" * 500 + "}" * 500, "1," * 1000,
    "f(" * 600 + ")" * 600, "[x for x in " * 100 + "[]" + "]" * 100, "0." + "0" * 2000 + "1", "1e" + "9" * 500,
    "a[" * 600 + "]" * 600, "select(rows, item)", "filter(rows, false)", "sort(few, rows)", "sort(rows, -item)",
    "group_by(rows, 1)", "group_by(few, rows)", "select(few, str(few))", "select(few, text + text)",
    "sort(select(few, text + 'x'), item)", "group_by([text] + few + few, text)", "sort(few, text)",
    "select(select(select(select(few, [item]), [item]), [item]), item in few)", "select(few, [item, few, few])",
    "select(few, " + "[" * 40 + "item" + "]" * 40 + ") == select(few, item)", "select(few, rows)",
    "filter(few, lower(text) == 'x')", "select(few, default(item.a, item in few))", "column(rows, 'a.b')",
    "column(few, '" + "a." * 900 + "a')", "column(deep, '" + "0." * 45 + "0')", "avg(rows)", "to_json(rows)",
    "to_json([text, text])", "[to_json(few) for x in few]", "from_json(text)", "from_json(long)", "bool(long)",
    "from_json('" + "[" * 500 + "')", "from_json('" + "[" * 500 + "]" * 500 + "')", "from_json('1e999')",
    "from_json('" + "9" * 100 + "')", "date(long, '%Y-%m-%d')", "date('x', text)", "str(now(), text)",
    "[from_json('[1,2,3,4]') == few for x in few]",
    "select(" * 45 + "few" + ", item)" * 45, "select(few, select(few, item))", "sort(few, item, text)",
]  # fmt: skip


@pytest.mark.parametrize("source", COSTLY, ids=lambda source: source[:40])
def test_what_costs_much_is_stopped(source: str) -> None:
    with pytest.raises(ExpressionError):
        render("${{ " + source + " }}", Names(names=DATA))


def test_there_are_enough_attacks() -> None:
    assert len(set(PYTHON)) + len(set(COSTLY)) >= 400


def test_a_zero_with_a_huge_exponent_is_a_short_text() -> None:
    assert compile_expression("str(zero)").evaluate(Names(names=DATA)) == "0"


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_values_that_are_nested_without_end_are_not_followed() -> None:
    names = Names(names={"one": nested(100_000), "other": nested(100_000)})
    with pytest.raises(LimitExceeded, match="nested too deeply"):
        compile_expression("one == other").evaluate(names)


@pytest.mark.parametrize("template", ["${{ [deep] }}", "${{ str([deep]) }}", "a ${{ [deep] }}"])
def test_a_value_at_the_limit_of_nesting_is_not_nested_further(template: str) -> None:
    names = Names(names={"deep": nested(200)})
    assert render("${{ deep }}", names) == nested(200)
    with pytest.raises(ExpressionError, match="nested deeper than 200 levels"):
        render(template, names)


@pytest.mark.parametrize("template", ["${{ x }}", "a ${{ x }}"])
def test_a_value_that_is_no_json_does_not_leave_an_expression(template: str) -> None:
    with pytest.raises(ExpressionError, match="A set is not JSON"):
        render(template, Names(names={"x": {1, 2}}))


def test_the_steps_are_counted_and_not_the_time() -> None:
    rows = list(range(MAX_STEPS // 2))
    assert compile_expression("len([x for x in rows])").evaluate(Names(names={"rows": rows})) == len(rows)
    with pytest.raises(LimitExceeded, match="takes more than 10000 steps"):
        compile_expression("[x for x in rows]").evaluate(Names(names={"rows": list(range(MAX_STEPS + 1))}))


TERMS = [
    "a", "rows", "text", "obj", "obj.k", "t", "null", "true", "0", "1", "-1", "2.5", "1e300", "1e-300", "'a'", "''",
    "[]", "{}", "x", "item", "item.k", "'k'", "'%Y-%m-%d'", "'desc'", "gone", "9" * 70, "now()", "'2024-01-01'", "'('",
    "r'\\d'",
]  # fmt: skip
ATOMS = st.sampled_from(TERMS)
FUNCTIONS = (
    "len min max sum abs round any all sorted lower upper str int decimal "
    "startswith endswith contains matches default has now date "
    "bool from_json to_json avg column select filter sort group_by"
).split()
OPERATORS = "+ - * / // % < <= > >= == != in and or ** is &".split()
GRAMMAR = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(OPERATORS), inner)
        | st.builds("{}({})".format, st.sampled_from(FUNCTIONS), st.lists(inner, max_size=3).map(", ".join))
        | st.builds("{}[{}]".format, inner, inner)
        | st.builds("{}.k".format, inner)
        | st.builds("{}({})".format, st.sampled_from(["-", "+", "not "]), inner)
        | st.builds("({} if {} else {})".format, inner, inner, inner)
        | st.builds("[{} for x in {} if {}]".format, inner, inner, inner)
        | st.builds("{}({} for x in {})".format, st.sampled_from(FUNCTIONS), inner, inner)
        | st.builds("{{{}: {} for x, a in {}}}".format, inner, inner, inner)
        | st.builds("[{}, {}]".format, inner, inner)
        | st.builds("{{'k': {}}}".format, inner)
    ),
    max_leaves=12,
)
SCOPE = Names(
    names={
        "a": 3,
        "rows": [1, Decimal("2.5"), "z", None, [1, 2], {"k": 1}],
        "text": "héllo" * 100,
        "obj": {"k": {"k": [1]}},
        "t": datetime(2020, 1, 1),  # noqa: DTZ001
    }
)


def only_an_expression_error_leaves(source: str) -> None:
    try:
        result = render("${{ " + source + " }}", SCOPE)
    except ExpressionError:
        return
    # What comes out is canonical JSON: it can be stored as it is.
    assert jsontext.clean(result) == result
    assert len(jsontext.dumps(result)) < 10**6


@given(GRAMMAR)
def test_nothing_but_an_expression_error_leaves_a_generated_expression(source: str) -> None:
    only_an_expression_error_leaves(source)


@given(st.text(max_size=60))
def test_nothing_but_an_expression_error_leaves_any_text(source: str) -> None:
    only_an_expression_error_leaves(source)


PIECES = [
    *"()[]{}.,:+-*/%<>=!&|'\"\\# \n\t\0é", "a", "1", "1.", "e9", "if", "else", "for", "in", "not", "x", "__", "f'",
    "0x",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_nothing_but_an_expression_error_leaves_any_pieces(source: str) -> None:
    only_an_expression_error_leaves(source)
