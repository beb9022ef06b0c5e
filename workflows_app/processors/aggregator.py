"""Aggregator nodes: reduce the outputs of the predecessors to one value."""

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import cast

from workflows_app.dag.paths import index_of
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey, Strategy
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall, Prepared, Unchecked
from workflows_app.processors.errors import NodeInputError
from workflows_app.tools.errors import kind_of

type Number = int | Decimal

_ARITHMETIC = Context(prec=64, rounding=ROUND_HALF_EVEN)


class AggregatorProcessor(Unchecked):
    """Gives the bare result of its strategy. On record as its input are the outputs by their node's key."""

    def pre_process(self, call: NodeCall) -> Prepared:
        return Prepared(input={contribution.node: contribution.value for contribution in call.contributions()})

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises `NodeInputError`."""
        outputs = cast(dict[NodeKey, JsonValue], prepared.input)
        return aggregate(call.node.strategy, outputs, field=call.node.field)


def aggregate(strategy: Strategy, outputs: Mapping[NodeKey, JsonValue], *, field: str = "") -> JsonValue:
    """Reduce outputs, in their order, or what stands in each of them at a dotted path.

    Raises `NodeInputError` for an output without the field, or of a kind that the strategy cannot take.
    """
    values = {node: _at(field, value, node) for node, value in outputs.items()} if field else outputs
    return _STRATEGIES[strategy](values)


def _at(field: str, output: JsonValue, node: NodeKey) -> JsonValue:
    """What stands at a dotted path; a number in it counts the items of a list from 0."""
    value = output
    for part in field.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and (index := index_of(part)) is not None and index < len(value):
            value = value[index]
        else:
            raise NodeInputError(
                f"The output of node '{node}' has no field '{field}': name a path that every output has."
            )
    return value


def _merge(values: Mapping[NodeKey, JsonValue]) -> JsonObject:
    return inputs.merged(values.items())


def _list(values: Mapping[NodeKey, JsonValue]) -> JsonValue:
    return list(values.values())


def _first(values: Mapping[NodeKey, JsonValue]) -> JsonValue:
    return next(iter(values.values()), None)


def _count(values: Mapping[NodeKey, JsonValue]) -> JsonValue:
    return len(values)


def _sum(values: Mapping[NodeKey, JsonValue]) -> Number:
    total: Number = 0
    for node, value in values.items():
        number = _number(value, node)
        if isinstance(total, int) and isinstance(number, int):
            total += number
        else:
            total = _ARITHMETIC.add(total, number)
    return total


def _avg(values: Mapping[NodeKey, JsonValue]) -> JsonValue:
    return _ARITHMETIC.divide(_sum(values), len(values)) if values else None


def _min(values: Mapping[NodeKey, JsonValue]) -> JsonValue:
    return _extreme(values, min, min)


def _max(values: Mapping[NodeKey, JsonValue]) -> JsonValue:
    return _extreme(values, max, max)


def _extreme(
    values: Mapping[NodeKey, JsonValue],
    of_numbers: Callable[[list[Number]], Number],
    of_texts: Callable[[list[str]], str],
) -> JsonValue:
    """The least or greatest of numbers or of texts; the first of equal ones. Null over nothing."""
    if not values:
        return None
    texts = [value for value in values.values() if isinstance(value, str)]
    if len(texts) == len(values):
        return of_texts(texts)
    if texts:
        kinds = sorted({kind_of(value) for value in values.values()})
        raise NodeInputError(
            f"The outputs of nodes {_names(values)} cannot be compared, as they are {' and '.join(kinds)}: "
            + "min and max take numbers only or text only."
        )
    return of_numbers([_number(value, node) for node, value in values.items()])


def _number(value: JsonValue, node: NodeKey) -> Number:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    raise NodeInputError(
        f"The value of node '{node}' is {kind_of(value)}, not a number: "
        + "name a `field` that holds numbers, or choose another strategy."
    )


def _names(values: Mapping[NodeKey, JsonValue]) -> str:
    return ", ".join(f"'{node}'" for node in list(values)[:10])


_STRATEGIES: Mapping[Strategy, Callable[[Mapping[NodeKey, JsonValue]], JsonValue]] = {
    Strategy.MERGE: _merge,
    Strategy.LIST: _list,
    Strategy.FIRST: _first,
    Strategy.COUNT: _count,
    Strategy.SUM: _sum,
    Strategy.AVG: _avg,
    Strategy.MIN: _min,
    Strategy.MAX: _max,
}
