"""The data of a run, as programs and expressions see it."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from executions_app.engine.context import ConditionScope, ExecutionContext, NodeScope
from executions_app.engine.errors import ErrorInfo, ExecutionCancelledError
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def plan(*edges, **more):
    pairs = [edge.split(">") for edge in edges]
    keys = list(dict.fromkeys(key for pair in pairs for key in pair))
    return Plan.from_document(
        {
            "name": "p",
            "nodes": [{"key": key, "type": "tool" if place else "trigger"} for place, key in enumerate(keys)],
            "edges": [{"from": source, "to": target} for source, target in pairs],
            **more,
        }
    )


@pytest.fixture
def context():
    the_plan = plan("t>a", "t>b", "a>c", "b>c", "c>d", "t>e", variables={"v": 1, "n": "variable"})
    return ExecutionContext(the_plan, {"n": "input"}, execution_id="x", trigger_type="schedule", started_at=NOW)


def test_an_output_is_kept_as_a_copy(context):
    value = {"amount": Decimal("1.10"), "list": [1]}
    context.set_output("a", value)
    value["list"].append(2)
    got = context.get_output("a")
    assert got == {"amount": Decimal("1.10"), "list": [1]}
    got["list"].append(3)
    assert context.get_output("a")["list"] == [1]
    assert context.get_output("b") is None
    assert context.output_size == len(jsontext.dumps(value)) - 2


def test_an_unknown_node_and_a_value_that_is_no_json_are_refused(context):
    for access in (lambda: context.get_output("z"), lambda: context.set_output("z", 1)):
        with pytest.raises(KeyError):
            access()
    with pytest.raises(jsontext.JsonError):
        context.set_output("a", float("nan"))


def test_a_variable_can_be_set_and_changes_nobody_elses(context):
    context.set_variable("v", [1])
    context.variables["v"].append(2)
    assert context.variables == {"v": [1], "n": "variable"}
    assert context.plan.variables["v"] == 1


def test_the_input_of_a_node_is_merged_over_input_and_variables(context):
    assert context.resolve_input("c") == {"v": 1, "n": "input"}
    context.set_output("a", {"n": "a", "m": 1})
    context.set_output("b", 5)
    assert context.resolve_input("c") == {"v": 1, "n": "a", "m": 1, "b": 5}
    assert context.input == {"n": "input"}


async def test_ten_coroutines_that_set_outputs_lose_nothing():
    the_plan = plan(*(f"t>n{number}" for number in range(10)))
    context = ExecutionContext(the_plan)

    async def keep(number):
        await asyncio.sleep(0)
        context.set_output(f"n{number}", number)
        await asyncio.sleep(0)
        context.set_variable(f"v{number}", number)

    await asyncio.gather(*(keep(number) for number in range(10)))
    assert [context.get_output(f"n{number}") for number in range(10)] == list(range(10))
    assert context.variables == {f"v{number}": number for number in range(10)}


def test_an_expression_sees_its_ancestors_and_no_other_node(context):
    context.set_output("a", 1)
    nodes = NodeScope(context, context.plan.index["d"], NOW).lookup("nodes")
    assert list(nodes) == ["t", "a", "b", "c"]
    assert len(nodes) == 4
    assert (nodes["a"], nodes["b"]) == (1, None)
    for unseen in ("e", "d", "nowhere"):
        with pytest.raises(KeyError):
            nodes[unseen]
    with pytest.raises(KeyError):
        NodeScope(context, context.plan.index["a"], NOW).lookup("nodes")["b"]


def test_the_roots_of_an_expression(context):
    scope = NodeScope(context, None, NOW)
    assert scope.lookup("execution") == {"id": "x", "trigger_type": "schedule", "started_at": NOW}
    assert (scope.lookup("input"), scope.lookup("vars")) == ({"n": "input"}, {"v": 1, "n": "variable"})
    assert list(scope.lookup("nodes")) == ["t", "a", "b", "c", "d", "e"]
    with pytest.raises(KeyError):
        scope.lookup("anything")


def test_a_condition_sees_bare_names_of_its_output_then_of_its_input(context):
    context.set_output("t", {"n": 1, "m": 2})
    context.set_output("a", {"n": 3})
    scope = ConditionScope(context, context.plan.index["a"], NOW)
    assert (scope.lookup("n"), scope.lookup("m"), scope.lookup("v")) == (3, 2, 1)
    assert scope.lookup("nodes")["a"] == {"n": 3}
    with pytest.raises(KeyError):
        scope.lookup("z")


def test_after_a_failure_a_condition_sees_null_and_the_error(context):
    node = context.plan.index["a"]
    context.set_output("a", {"n": 3})
    context.put_error(node, ErrorInfo(code="node_error", message="it broke", type="Broken", node="a"))
    scope = ConditionScope(context, node, NOW)
    assert scope.lookup("nodes")["a"] is None
    assert scope.lookup("errors")["a"]["type"] == "Broken"
    assert scope.lookup("n") == "input"


def test_an_error_names_the_execution():
    assert str(ExecutionCancelledError("x")) == "Execution x was cancelled."
