"""The lines of values in JSON text."""

import json

from hypothesis import given

from tests.unit.dag.json_values import VALUES
from workflows_app.dag import jsontext
from workflows_app.dag.jsonplaces import line_finder


def test_values_are_located_by_their_line():
    line_of = line_finder('{\n "a": [\n  1,\n  {"b":\n   "x,}]\\"{"}\n ],\n "c": 2\n}')
    assert [line_of(path) for path in ([], ["a"], ["a", 0], ["a", 1], ["a", 1, "b"], ["c"])] == [1, 2, 3, 4, 5, 7]


def test_what_is_not_there_has_the_line_of_what_is_around_it():
    line_of = line_finder('{\n "a": [\n  1\n ]\n}')
    assert [line_of(path) for path in (["a", 7, "z"], ["a", 0, "z"], ["b"], ["a", "b"])] == [2, 3, 1, 2]


def test_a_scalar_and_a_text_of_one_line_are_on_line_one():
    assert line_finder("7")(["a"]) == 1
    assert line_finder('{"a": {"b": [1, 2]}}')(["a", "b", 1]) == 1
    assert line_finder("\n\n7")([]) == 3


def test_a_text_that_nobody_reads_has_no_lines():
    text = json.dumps({"a": "x" * 2**20}, indent=1)
    assert line_finder(text)(["a"]) is None


def printed(value, path, text, places):
    """Append the value to `text`, every item on a line of its own, and note the line of each."""
    places[path] = "".join(text).count("\n") + 1
    if isinstance(value, (dict, list)):
        is_object = isinstance(value, dict)
        text.append("{" if is_object else "[")
        for position, (step, item) in enumerate(value.items() if is_object else enumerate(value)):
            text.append("," * (position > 0) + "\n" + (f"{json.dumps(step)}: " if is_object else ""))
            printed(item, (*path, step), text, places)
        text.append("\n}" if is_object else "\n]")
    else:
        text.append(jsontext.dumps(value))


@given(VALUES)
def test_every_value_is_found_where_it_stands(value):
    text, places = [], {}
    printed(value, (), text, places)
    line_of = line_finder("".join(text))
    assert {path: line_of(path) for path in places} == places
