"""The validator on values that people really write wrongly: each is one sentence with its place and its line."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from workflows_app.dag import jsontext, yamltext
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.rendering import render
from workflows_app.dag.types import Effect, ToolInfo
from workflows_app.dag.validation import validate

CATALOGUE = {"core.set": ToolInfo(name="core.set", effect=Effect.NONE, input_schema={}, output_schema={})}
YAML = """\
name: w
settings:
  {settings}
nodes:
  - {{key: start, type: trigger}}
  - key: a
    type: tool
    tool: core.set
    {node}
  - {{key: choose, type: condition}}
  - key: x
    type: adapter
    output: {output}
  - {{key: y, type: adapter, output: 1}}
edges:
  - {{from: start, to: a}}
  - {{from: a, to: choose}}
  - {{from: choose, to: x, {edge}}}
  - {{from: choose, to: y, default: true}}
"""
RIGHT = {"settings": "scheduling: levels", "node": "name: a", "output": "1", "edge": "label: x"}


def text(**wrong):
    return YAML.format(**{**RIGHT, **wrong})


def found(**wrong):
    loaded = yamltext.load(text(**wrong))
    return [str(problem) for problem in validate(loaded.value, CATALOGUE, line_of=loaded.line_of)]


def test_the_document_without_a_mistake_has_no_problem():
    assert found() == []


NODE = "INVALID_CONFIG line 9, node a, "
JOINS = "none_failed_min_one_success, all_success, one_success or all_done"
SAID = [
    ("retry: {max_retries: -1}", "retry.max_retries", "must be a whole number from 0 to 1000, not -1."),
    ("retry: {max_retries: 1.5}", "retry.max_retries", "must be a whole number from 0 to 1000, not 1.5."),
    ("retry: {delay: soon}", "retry.delay", "must be a number of 0 or more, not the text 'soon'."),
    ("retry: {delay: -1}", "retry.delay", "must be a number of 0 or more, not -1."),
    ("retry: {multiplier: 0}", "retry.multiplier", "must be a number greater than 0, not 0."),
    (
        "retry: {retry_on: ValueError}",
        "retry.retry_on",
        "must be a list, not the text 'ValueError'. Write [ValueError].",
    ),
    ("retry: {jitter: ful}", "retry.jitter", "must be none, full or equal, not the text 'ful'. Did you mean 'full'?"),
    ("retry: 3", "retry", "must be a mapping, not 3."),
    ("timeout_seconds: 0", "timeout_seconds", "must be a number greater than 0, not 0."),
    ("join: any", "join", f"must be {JOINS}, not the text 'any'."),
    ("join: all_sucess", "join", f"must be {JOINS}, not the text 'all_sucess'. Did you mean 'all_success'?"),
]


@pytest.mark.parametrize(("node", "field", "sentence"), SAID)
def test_a_wrong_value_of_a_node_is_told_with_what_it_must_be(node, field, sentence):
    assert found(node=node) == [f"{NODE}{field}: '{field}' {sentence}"]


def test_a_time_limit_of_nothing_is_told_how_to_have_no_limit():
    field = "settings.timeout_seconds"
    assert found(settings="timeout_seconds: 0") == [
        f"INVALID_CONFIG line 3, {field}: '{field}' must be a number of seconds greater than 0, or null for no limit, "
        "not 0."
    ]


def test_the_second_default_names_the_first():
    assert found(edge="default: true") == [
        "TWO_DEFAULTS line 19, edge choose -> y, default: 'choose' has a default edge already, choose -> x, and only "
        "one can be taken: remove 'default' from one of them."
    ]


def test_a_number_that_no_document_can_hold_is_shown_as_such():
    document = jsontext.loads(jsontext.dumps(yamltext.load(text(node="retry: {max_retries: 1}")).value))
    document["nodes"][1]["retry"]["max_retries"] = 2**300
    (problem,) = validate(document, CATALOGUE)
    assert problem.message.endswith("must be a whole number from 0 to 1000, not a number that is too large.")


def test_a_condition_of_ten_kilobytes_is_refused_and_shown_by_its_beginning():
    (problem,) = found(edge=f'condition: "{"x + " * 2560}1"')
    assert problem.startswith("INVALID_EXPRESSION line 18, edge choose -> x, condition: The expression 'x + x + ")
    assert problem.endswith("has more than 2048 bytes: compute parts of it in nodes before.")
    assert len(problem) < 300


@pytest.mark.parametrize("source", ["1e309", "int(1e999999)", "1 + 1e99999999999999999999"])
def test_an_exponent_that_no_number_may_have_is_refused_in_an_expression(source):
    (problem,) = found(output='"${{ %s }}"' % source)
    assert problem.startswith(f"INVALID_EXPRESSION line 13, node x, output: The expression '{source}' is not valid: ")
    assert "has an exponent outside of +-308" in problem


@pytest.mark.parametrize("number", ["1e309", "-1e999999"])
def test_an_exponent_that_no_number_may_have_is_refused_while_a_document_is_read(number):
    with pytest.raises(
        yamltext.YamlError, match=r"outside of .-308.* Put it in quotes if it is meant as text"
    ) as refused:
        yamltext.load(text(output=number))
    assert (refused.value.line, refused.value.column) == (13, 13)
    with pytest.raises(jsontext.JsonError, match="has an exponent outside of"):
        jsontext.loads('{"output": %s}' % number)


OUTCOMES = [
    ("matches(input.text, '^(a+)+$')", "False"),
    ("matches(input.text, '(a|aa)+$')", "False"),
    ("matches(input.text, '(a?){60}(a){60}b')", "The expression takes more than 10000 steps: work on less data"),
    ("matches('a', '((a{10}){10}){100}')", "matches() cannot use the pattern '((a{10}){10}){100}': invalid repetition"),
    ("matches('a', '(')", "matches() cannot use the pattern '(': missing )."),
    ("int('1e999999')", "The number 1E+999999 has an exponent outside of +-308"),
    ("int(input.text)", "int() does not read a text of 30001 characters as a number."),
    ("decimal('1e309')", "The number 1E+309 has an exponent outside of +-308"),
]


@pytest.mark.parametrize(("source", "outcome"), OUTCOMES)
def test_what_only_a_run_can_tell_ends_soon_with_an_answer_or_an_error(source, outcome):
    template = "${{ %s }}" % source
    assert found(output=f'"{template}"') == []
    scope = SimpleNamespace(
        now=datetime(2026, 1, 2, tzinfo=UTC), lookup={"input": {"text": "a" * 30_000 + "!"}}.__getitem__
    )
    began = time.process_time()
    try:
        answer = str(render(template, scope))
    except ExpressionError as error:
        answer = str(error)
    assert answer.startswith(outcome)
    assert time.process_time() - began < 1
