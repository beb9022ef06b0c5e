import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from tests.unit.processors.conftest import MakeCall
from workflows_app.dag.types import JsonObject, NodeType
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeInputError, NodeOutputError
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.errors import UnknownTool

type Run = Callable[[NodeCall], Awaitable[object]]


@pytest.fixture(autouse=True)
def _demo_tools() -> None:
    @tool("demo.scale", effect="none")
    async def scale(price: float, factor: int = 2) -> dict[str, float]:
        return {"scaled": price * factor}

    @tool("demo.where")
    def where(context: ToolContext) -> dict[str, object]:
        context.log("here", "debug", attempt=context.number)
        return {"main": threading.current_thread() is threading.main_thread(), "key": context.idempotency_key}

    @tool("demo.give")
    async def give(**values: object) -> object:
        return values["value"] if "value" in values else object()


async def test_a_tool_gets_its_rendered_inputs(call_of: MakeCall, run: Run) -> None:
    call = call_of(
        NodeType.TOOL,
        tool="demo.scale",
        inputs={"price": "${{ nodes.a.price }}", "factor": "${{ vars.factor }}"},
        arrived={"a": {"price": Decimal("1.5")}},
        variables={"factor": 3},
    )
    assert PROCESSORS[NodeType.TOOL].pre_process(call).input == {"price": Decimal("1.5"), "factor": 3}
    assert await run(call) == {"scaled": 4.5}


async def test_without_inputs_a_tool_picks_its_own_from_all_that_is_there(call_of: MakeCall, run: Run) -> None:
    call = call_of(
        NodeType.TOOL,
        tool="demo.scale",
        arrived={"a": {"price": Decimal("1.5"), "more": 1}, "b": [1]},
        variables={"factor": 3, "period": 14},
        execution_input={"symbol": "AAPL"},
    )
    prepared = PROCESSORS[NodeType.TOOL].pre_process(call)
    assert prepared.input == {"factor": 3, "period": 14, "symbol": "AAPL", "price": Decimal("1.5"), "more": 1, "b": [1]}
    assert await run(call) == {"scaled": 4.5}


async def test_an_input_that_the_tool_does_not_have_is_an_error_where_the_node_states_it(
    call_of: MakeCall, run: Run
) -> None:
    with pytest.raises(NodeInputError, match=r"Tool 'demo\.scale' has no input 'prize'\. Did you mean 'price'\?"):
        await run(call_of(NodeType.TOOL, tool="demo.scale", inputs={"price": 1, "prize": 2}))
    with pytest.raises(NodeInputError, match="needs the input 'price', which is missing"):
        await run(call_of(NodeType.TOOL, tool="demo.scale", inputs={}, arrived={"a": {"price": 1}}))


async def test_a_tool_knows_its_attempt_and_writes_to_the_journal_from_its_thread(
    call_of: MakeCall, run: Run, lines: list[object]
) -> None:
    assert await run(call_of(NodeType.TOOL, tool="demo.where")) == {"main": False, "key": "execution-1:n"}
    assert lines == [("debug", "here", {"attempt": 2})]


async def test_the_number_of_the_attempt_reaches_the_tool(call_of: MakeCall, run: Run) -> None:
    assert await run(call_of(NodeType.TOOL, tool="core.fail", inputs={"times": 1})) == {"attempt": 2}


async def test_an_unknown_tool_fails_the_node(call_of: MakeCall, run: Run) -> None:
    with pytest.raises(UnknownTool, match=r"There is no tool 'demo\.scales'\. Did you mean 'demo\.scale'") as caught:
        await run(call_of(NodeType.TOOL, tool="demo.scales"))
    assert not caught.value.retryable


async def test_an_error_of_the_tool_is_raised_as_it_is(call_of: MakeCall, run: Run) -> None:
    with pytest.raises(ConnectionError, match="boom"):
        await run(call_of(NodeType.TOOL, tool="core.fail", inputs={"message": "boom", "type": "ConnectionError"}))


PRICED: JsonObject = {
    "type": "object",
    "properties": {"value": {"type": "number", "minimum": 0}, "count": {"type": "integer"}},
    "required": ["value"],
}


def call_with_schema(call_of: MakeCall, value: object) -> NodeCall:
    return call_of(NodeType.TOOL, tool="demo.give", inputs={"value": value}, output_schema=PRICED)


async def test_an_output_that_fits_its_schema_is_given_in_json_values(call_of: MakeCall, run: Run) -> None:
    output = await run(call_with_schema(call_of, {"value": Decimal("1.50"), "count": Decimal("2.0")}))
    assert repr(output) == "{'value': Decimal('1.50'), 'count': Decimal('2.0')}"
    schema = {"type": "object", "properties": {"scaled": {"type": "number"}}}
    inputs = {"price": Decimal("0.1"), "factor": 3}
    call = call_of(NodeType.TOOL, tool="demo.scale", inputs=inputs, output_schema=schema)
    assert await run(call) == {"scaled": Decimal("0.30000000000000004")}


async def test_an_output_that_does_not_fit_its_schema_is_an_error_that_names_the_places(
    call_of: MakeCall, run: Run
) -> None:
    with pytest.raises(NodeOutputError, match="output of node 'n' does not fit its output_schema") as caught:
        await run(call_with_schema(call_of, {"value": -1, "count": Decimal("2.5")}))
    assert "At output.value: " in str(caught.value)
    assert "At output.count: " in str(caught.value)
    assert not caught.value.retryable


async def test_an_output_that_is_not_json_is_an_error(call_of: MakeCall, run: Run) -> None:
    call = call_of(NodeType.TOOL, tool="demo.give", inputs={}, output_schema=PRICED)
    with pytest.raises(NodeOutputError, match="output of node 'n' is not JSON"):
        await run(call)


async def test_an_output_without_a_schema_is_left_to_the_engine(call_of: MakeCall, run: Run) -> None:
    assert await run(call_of(NodeType.TOOL, tool="demo.give", inputs={"value": 0.5})) == 0.5
