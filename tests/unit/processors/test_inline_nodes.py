from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from tests.unit.processors.conftest import MakeCall
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.types import JsonValue, NodeType
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeInputError
from workflows_app.processors.registry import PROCESSORS

type Run = Callable[[NodeCall], Awaitable[object]]

ARRIVED: dict[str, JsonValue] = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": {"y": 3}, "d": None}
MERGED = {"x": 1, "y": 3, "b": [1, 2], "d": None}


async def test_a_trigger_gives_the_executions_input_and_does_not_copy_it(call_of: MakeCall, run: Run) -> None:
    given = {"symbol": "AAPL"}
    assert await run(call_of(NodeType.TRIGGER, execution_input=given)) is given


async def test_a_condition_gives_what_its_predecessors_handed_over_and_nothing_else(
    call_of: MakeCall, run: Run
) -> None:
    call = call_of(NodeType.CONDITION, arrived=ARRIVED, variables={"v": 1}, execution_input={"i": 1})
    assert PROCESSORS[NodeType.CONDITION].pre_process(call).input == MERGED
    assert await run(call) == MERGED


async def test_a_condition_with_inputs_gives_them_rendered(call_of: MakeCall, run: Run) -> None:
    inputs = {"rsi": "${{ nodes.a.x }}", "limit": "${{ vars.limit }}"}
    call = call_of(NodeType.CONDITION, inputs=inputs, arrived=ARRIVED, variables={"limit": Decimal("30.0")})
    assert await run(call) == {"rsi": 1, "limit": Decimal("30.0")}
    assert await run(call_of(NodeType.CONDITION, inputs={}, arrived=ARRIVED)) == {}


async def test_inputs_may_be_one_expression_that_gives_an_object(call_of: MakeCall, run: Run) -> None:
    assert await run(call_of(NodeType.CONDITION, inputs="${{ nodes.a }}", arrived=ARRIVED)) == {"x": 1, "y": 2}


@pytest.mark.parametrize(("key", "kind"), [("b", "a list"), ("d", "null")])
@pytest.mark.parametrize("node_type", [NodeType.CONDITION, NodeType.TOOL])
async def test_an_expression_that_gives_no_object_is_no_input(
    call_of: MakeCall, run: Run, node_type: NodeType, key: str, kind: str
) -> None:
    call = call_of(node_type, inputs=f"${{{{ nodes.{key} }}}}", arrived=ARRIVED)
    with pytest.raises(NodeInputError, match=f"inputs of node 'n' are {kind}: the expression must give an object"):
        await run(call)


async def test_an_adapter_gives_its_rendered_output(call_of: MakeCall, run: Run) -> None:
    template = {"sum": "${{ nodes.a.x + nodes.c.y }}", "text": "y is ${{ nodes.c.y }}", "fixed": [1, True]}
    call = call_of(NodeType.ADAPTER, output=template, arrived=ARRIVED)
    assert await run(call) == {"sum": 4, "text": "y is 3", "fixed": [1, True]}


@pytest.mark.parametrize(
    ("template", "output"), [("${{ nodes.b }}", [1, 2]), (5, 5), (None, None), ("${{ nodes.a.x > 0 }}", True)]
)
async def test_an_adapters_output_may_be_any_json_value(
    call_of: MakeCall, run: Run, template: JsonValue, output: JsonValue
) -> None:
    assert await run(call_of(NodeType.ADAPTER, output=template, arrived=ARRIVED)) == output


async def test_on_record_as_an_adapters_input_is_what_was_handed_over(call_of: MakeCall) -> None:
    call = call_of(NodeType.ADAPTER, output=1, arrived=ARRIVED, variables={"v": 1})
    assert PROCESSORS[NodeType.ADAPTER].pre_process(call).input == MERGED


async def test_an_expression_that_fails_is_raised(call_of: MakeCall, run: Run) -> None:
    with pytest.raises(ExpressionError):
        await run(call_of(NodeType.ADAPTER, output="${{ nodes.a.nowhere }}", arrived=ARRIVED))
    with pytest.raises(ExpressionError):
        await run(call_of(NodeType.CONDITION, inputs={"x": "${{ nodes.a.nowhere }}"}, arrived=ARRIVED))
