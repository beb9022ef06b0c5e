"""YAML with JSON's scalars."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dag.json_values import TEXT, VALUES, same
from workflows_app.dag import yamltext
from workflows_app.dag.yamltext import YamlError


@settings(max_examples=500)
@given(VALUES)
def test_what_is_written_is_read_again(value):
    assert same(yamltext.load(yamltext.dump(value)).value, value)


@settings(max_examples=300)
@given(st.dictionaries(TEXT.filter(str.isprintable), TEXT.filter(str.isprintable), max_size=4))
def test_other_readers_find_the_same_text(value):
    assert yaml.safe_load(yamltext.dump(value)) == value


AMOUNT = "1234567890123456789.123456789"
WORDS = """yes No on OFF y ~ Null True 000660 0x1F 0o17 1_000 .5 +1 5. 1e5x 12:30:45 2024-01-02 .inf -.INF .nan = <<
    1,000 ' " !a &a *a - ? : @ ` % |""".split()


@pytest.mark.parametrize("word", [*WORDS, "2024-01-02 10:00:00", "- a", "a: b", "# a", "a #b", " a", "a ", "[a", "{a"])
def test_words_that_yaml_takes_for_something_else_stay_text(word):
    written = yamltext.dump({"v": word})
    assert yamltext.load(written).value == {"v": word}
    assert yaml.safe_load(written) == {"v": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("000660", "000660"), ("ON", "ON"), ("2024-01-02", "2024-01-02"), ("~", "~"), ("", ""), ("True", "True"),
        ("1_000", "1_000"), ("0x1F", "0x1F"), (".5", ".5"), ("+1", "+1"), ("1:30", "1:30"), ("Null", "Null"),
        ("true", True), ("false", False), ("null", None), ("12", 12), ("-1", -1), ("0", 0), ("-0", 0),
        ("1.10", Decimal("1.10")), ("1e5", Decimal("1E+5")), (AMOUNT, Decimal(AMOUNT)),
        ("'12'", "12"), ('"true"', "true"),
    ],
)  # fmt: skip
def test_plain_scalars_are_numbers_and_words_by_jsons_grammar_only(text, value):
    assert same(yamltext.load(f"v: {text}\n").value, {"v": value})


def test_keys_are_always_text_and_keep_their_order():
    assert list(yamltext.load("b: 1\n1: x\ntrue: y\na: 2").value) == ["b", "1", "true", "a"]


@pytest.mark.parametrize(
    ("text", "part", "line"),
    [
        ("a: 1\nb: 2\na: 3", "stands twice", 3),
        ("a: &x 1", "anchor", 1),
        ("a: 1\nb: *x", "alias", 2),
        ("a: !!str 1", "tag", 1),
        ("a: !ruby/object {}", "tag", 1),
        ("%YAML 1.1\n---\na: 1", "directive", 1),
        ("a: 1\n---\nb: 2", "second document", 3),
        ("? [a]\n: 1", "key", 1),
        ("a: 1e999", "308", 1),
        ("a: [1, 2", "expected", 1),
        ("a:\n\t- b", "cannot start", 2),
        ("a: 1\0", "U.0000", None),
        ("a: \ud800", "surrogate", None),
        ('a: 1\nb: "\\0"', "U.0000", 2),
        ('a: 1\n"\\0": 2', "U.0000", 2),
        ('a: "\\uD800"', "escape code", 1),
        ("", "empty", None),
        ("# only a comment", "empty", None),
        ("[" * 300 + "]" * 300, "200 levels", 1),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_line(text, part, line):
    with pytest.raises(YamlError, match=part) as refused:
        yamltext.load(text)
    if line is not None:
        assert refused.value.line in (line, line + 1)


def test_the_lines_of_values_are_known():
    loaded = yamltext.load("name: x\nnodes:\n  - {key: a}\n  - key: b\n    retry:\n      delay: 1\nedges: []\n")
    assert loaded.line_of(["name"]) == 1
    assert loaded.line_of(["nodes", 0, "key"]) == 3
    assert loaded.line_of(["nodes", 1, "retry", "delay"]) == 6
    assert loaded.line_of(["nodes", 1, "missing"]) == 4
    assert loaded.line_of(["edges"]) == 7


def test_windows_line_ends_and_a_byte_order_mark_are_read():
    assert yamltext.load("\ufeffa: 1\r\nb: two\r\n").value == {"a": 1, "b": "two"}


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        value = yamltext.load(text).value
    except YamlError:
        return
    assert same(yamltext.load(yamltext.dump(value)).value, value)


def test_text_of_several_lines_is_a_block():
    assert yamltext.dump({"text": "one\ntwo\n"}) == "text: |\n  one\n  two\n"
