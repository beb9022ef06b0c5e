"""The validator: what a declared schema says of a value, where it says so in more words than `type`."""

from decimal import Decimal

import pytest

from tests.unit.dag.documents import edge, workflow
from workflows_app.dag.types import Effect, ToolInfo
from workflows_app.dag.validation import validate


def problems(parameter, value, output_schema=True):
    """What is said of a tool `t` with one parameter `x`, behind a node `o` whose output has this schema."""
    takes = {"type": "object", "properties": {"x": parameter}, "additionalProperties": False}
    catalogue = {
        "t": ToolInfo(name="t", effect=Effect.NONE, input_schema=takes, output_schema={}),
        "o": ToolInfo(name="o", effect=Effect.NONE, input_schema={}, output_schema={}),
    }
    source = {"key": "o", "type": "tool", "tool": "o"}
    if output_schema is not True:
        source["output_schema"] = output_schema
    target = {"key": "a", "type": "tool", "tool": "t", "inputs": {"x": value}}
    document = workflow([source, target], [edge("start", "o"), edge("o", "a")])
    return [(str(problem.code), problem.message) for problem in validate(document, catalogue)]


def mismatch(expected, given):
    return [("SCHEMA_MISMATCH", f"'x' of the tool 't' must be {expected}, not {given}.")]


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"enum": [1, "a", None]}, "a whole number or text or null"),
        ({"const": True}, "true or false"),
        ({"const": Decimal("1.50")}, "a fraction"),
        ({"const": Decimal("2.0")}, "a whole number"),
        ({"allOf": [{"type": ["string", "number"]}, {"type": ["number", "null"]}]}, "a number"),
        ({"anyOf": [{"type": "string"}, {"allOf": [{"type": "object"}, True]}]}, "text or a mapping"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_what_the_schema_takes(parameter, expected):
    assert problems(parameter, ["list"]) == mismatch(expected, "a list")


def test_a_whole_number_may_be_written_with_a_fraction_of_zero():
    assert problems({"type": "integer"}, Decimal("5.0")) == []
    assert problems({"type": "integer"}, Decimal("5.5")) == mismatch("a whole number", "5.5")


def test_a_reference_is_held_against_the_kind_that_the_other_node_declares():
    schema = {"type": "object", "properties": {"v": {"enum": ["a", "b"]}}}
    assert problems({"type": "integer"}, "${{ nodes.o.v }}", schema) == mismatch(
        "a whole number", "'nodes.o.v', which is text"
    )


def test_an_input_that_cannot_be_read_is_reported_once():
    assert [code for code, _ in problems({"type": "integer"}, "${{ 1 + }}")] == ["INVALID_EXPRESSION"]


def test_nothing_is_said_of_a_schema_that_is_nested_too_deeply_to_be_followed():
    parameter: dict = {"type": "string"}
    for _ in range(20):
        parameter = {"anyOf": [parameter]}
    assert problems(parameter, 5) == mismatch("text", "5")
    for _ in range(20):
        parameter = {"anyOf": [parameter]}
    assert problems(parameter, 5) == []


def test_a_broken_reference_in_a_schema_is_the_only_problem():
    found = problems({"type": "integer"}, "${{ nodes.o.v }}", {"properties": {"v": {"$ref": 5}}})
    assert [code for code, _ in found] == ["INVALID_CONFIG"]


def test_the_items_of_a_list_in_an_adapter_may_be_anything():
    adapter = {"key": "b", "type": "adapter", "output": {"rows": ["${{ input.x }}"], "count": 1}}
    reader = {"key": "c", "type": "adapter", "output": ["${{ nodes.b.rows.x }}", "${{ nodes.b.cuont }}"]}
    (problem,) = validate(workflow([adapter, reader], [edge("start", "b"), edge("b", "c")]), {})
    assert (problem.code, problem.field) == ("SCHEMA_MISMATCH", "output[1]")
    assert "Did you mean 'count'?" in problem.message
