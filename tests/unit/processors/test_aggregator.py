from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from tests.unit.processors.conftest import MakeCall
from workflows_app.dag.types import JsonValue, NodeType, Strategy
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeInputError
from workflows_app.processors.registry import PROCESSORS

type Aggregate = Callable[..., Awaitable[object]]


@pytest.fixture
def aggregate(call_of: MakeCall, run: Callable[[NodeCall], Awaitable[object]]) -> Aggregate:
    """Run an aggregator over outputs by node; a list stands for the outputs of a, b, c, ..."""

    async def over(strategy: str, outputs: dict[str, JsonValue] | list[JsonValue], field: str = "") -> object:
        if isinstance(outputs, list):
            outputs = dict(zip("abcdefgh", outputs, strict=False))
        return await run(call_of(NodeType.AGGREGATOR, strategy=Strategy(strategy), field=field, arrived=outputs))

    return over


@pytest.mark.parametrize(
    ("strategy", "result"),
    [
        ("merge", {}),
        ("list", []),
        ("first", None),
        ("sum", 0),
        ("count", 0),
        ("avg", None),
        ("min", None),
        ("max", None),
    ],
)
@pytest.mark.parametrize("field", ["", "x.y"])
async def test_over_nothing(aggregate: Aggregate, strategy: str, result: JsonValue, field: str) -> None:
    over_nothing = await aggregate(strategy, [], field)
    assert (over_nothing, type(over_nothing)) == (result, type(result))


async def test_merge_takes_objects_by_their_keys_and_anything_else_under_its_nodes_key(aggregate: Aggregate) -> None:
    outputs: dict[str, JsonValue] = {"a": {"x": 1, "y": 1}, "b": 5, "c": {"y": 2}, "d": None, "e": [1]}
    merged = await aggregate("merge", outputs)
    assert merged == {"x": 1, "y": 2, "b": 5, "d": None, "e": [1]}
    assert list(merged) == ["x", "y", "b", "d", "e"]


async def test_merge_with_a_field_merges_what_stands_there(aggregate: Aggregate) -> None:
    outputs: dict[str, JsonValue] = {"a": {"v": {"x": 1}}, "b": {"v": 5}, "c": {"v": {"x": 2}}}
    assert await aggregate("merge", outputs, "v") == {"x": 2, "b": 5}


async def test_list_and_first_keep_the_order_of_the_edges(aggregate: Aggregate) -> None:
    outputs: dict[str, JsonValue] = {"z": {"v": 3}, "a": {"v": None}, "m": {"v": [1]}}
    assert await aggregate("list", outputs) == [{"v": 3}, {"v": None}, {"v": [1]}]
    assert await aggregate("list", outputs, "v") == [3, None, [1]]
    assert await aggregate("first", outputs) == {"v": 3}
    assert await aggregate("first", outputs, "v") == 3


async def test_count_counts_outputs_of_any_kind(aggregate: Aggregate) -> None:
    assert await aggregate("count", [None, "x", {"v": 1}]) == 3


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1, 2, 3], 6),
        ([2**255, 2**255], 2**256),
        ([Decimal("0.1"), Decimal("0.2")], Decimal("0.3")),
        ([1, Decimal("0.50")], Decimal("1.50")),
        ([Decimal("1e63"), Decimal("0.1")], Decimal("1" + "0" * 63)),
        ([Decimal("1e63"), Decimal("0.5")], Decimal("1" + "0" * 63)),
        ([Decimal("1e63"), Decimal("1.5")], Decimal("1" + "0" * 62 + "2")),
        ([Decimal("12345678901234567890.12345678"), 1], Decimal("12345678901234567891.12345678")),
    ],
)
async def test_sums_are_exact_to_64_digits_half_even_and_ints_stay_ints(
    aggregate: Aggregate, values: list[JsonValue], total: JsonValue
) -> None:
    result = await aggregate("sum", values)
    assert (str(result), type(result)) == (str(total), type(total))


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1, 2], "1.5"),
        ([2, 4], "3"),
        ([1, 1, 2], "1." + "3" * 63),
        ([0, 0, 2], "0." + "6" * 63 + "7"),
        ([Decimal("0.1"), Decimal("0.2")], "0.15"),
    ],
)
async def test_the_average_is_a_decimal_of_64_digits(aggregate: Aggregate, values: list[JsonValue], mean: str) -> None:
    result = await aggregate("avg", values)
    assert (str(result), type(result)) == (mean, Decimal)


async def test_least_and_greatest_of_numbers_are_given_as_they_are(aggregate: Aggregate) -> None:
    values: list[JsonValue] = [3, Decimal("2.50"), Decimal("10.0"), 2**100]
    assert str(await aggregate("min", values)) == "2.50"
    assert await aggregate("max", values) == 2**100
    assert type(await aggregate("max", [1, Decimal("1.0")])) is int


async def test_least_and_greatest_of_text_go_by_code_points(aggregate: Aggregate) -> None:
    assert await aggregate("min", ["b", "a", "B"]) == "B"
    assert await aggregate("max", ["b", "a", "B"]) == "b"


@pytest.mark.parametrize("strategy", ["min", "max"])
async def test_text_and_numbers_cannot_be_compared(aggregate: Aggregate, strategy: str) -> None:
    with pytest.raises(NodeInputError, match="nodes 'a', 'b' cannot be compared, as they are a number and text"):
        await aggregate(strategy, [1, "2"])


@pytest.mark.parametrize("strategy", ["sum", "avg", "min", "max"])
@pytest.mark.parametrize(
    ("value", "kind"), [(True, "true or false"), (None, "null"), ([1], "a list"), ({"v": 1}, "an object")]
)
async def test_only_numbers_are_numbers(aggregate: Aggregate, strategy: str, value: JsonValue, kind: str) -> None:
    with pytest.raises(NodeInputError, match=f"The value of node 'b' is {kind}, not a number"):
        await aggregate(strategy, [1, value])


@pytest.mark.parametrize("strategy", ["sum", "avg"])
async def test_text_is_not_added_up(aggregate: Aggregate, strategy: str) -> None:
    with pytest.raises(NodeInputError, match="The value of node 'a' is text, not a number"):
        await aggregate(strategy, ["1", "2"])


async def test_a_field_is_a_path_through_objects_and_lists(aggregate: Aggregate) -> None:
    outputs: list[JsonValue] = [{"rows": [{"price": 1}, {"price": Decimal("2.5")}]}, {"rows": {"1": {"price": 4}}}]
    assert await aggregate("sum", outputs, "rows.1.price") == Decimal("6.5")


@pytest.mark.parametrize("strategy", list(Strategy))
@pytest.mark.parametrize("output", [{"x": {}}, {"x": None}, {"x": [1]}, {}, 5, None, {"x.y": 1}])
async def test_an_output_without_the_field_is_an_error_that_names_node_and_path(
    aggregate: Aggregate, strategy: str, output: JsonValue
) -> None:
    with pytest.raises(NodeInputError, match=r"output of node 'b' has no field 'x\.y'") as caught:
        await aggregate(strategy, [{"x": {"y": 1}}, output], "x.y")
    assert not caught.value.retryable


@pytest.mark.parametrize("step", ["1", "9" * 5000, "\u0660", "-1", " 0", ""])
async def test_a_step_that_counts_no_item_is_an_error_like_any_other(aggregate: Aggregate, step: str) -> None:
    with pytest.raises(NodeInputError, match="output of node 'a' has no field 'rows"):
        await aggregate("list", [{"rows": [1]}], f"rows.{step}")


async def test_on_record_as_its_input_are_the_outputs_by_node(call_of: MakeCall) -> None:
    call = call_of(NodeType.AGGREGATOR, strategy=Strategy.SUM, arrived={"a": {"v": 1}, "b": 2})
    assert PROCESSORS[NodeType.AGGREGATOR].pre_process(call).input == {"a": {"v": 1}, "b": 2}
