"""What reaches a node: its rendered `inputs`, or what its predecessors hand over."""

from collections.abc import Iterable

from workflows_app.dag import rendering
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeInputError
from workflows_app.tools.errors import kind_of


def rendered(call: NodeCall) -> JsonObject:
    """The node's `inputs`: a mapping, or one expression that gives an object.

    Raises `NodeInputError` for any other value, `ExpressionError` from the expressions.
    """
    value = rendering.render(call.node.inputs, call.scope)
    if isinstance(value, dict):
        return value
    raise NodeInputError(
        f"The inputs of node '{call.node.key}' are {kind_of(value)}: the expression must give an object."
    )


def handed_over(call: NodeCall) -> JsonObject:
    """The predecessors' outputs as one object, without the workflow's variables and the execution's input."""
    return merged((contribution.node, contribution.value) for contribution in call.contributions())


def merged(values: Iterable[tuple[NodeKey, JsonValue]]) -> JsonObject:
    """Objects by their keys, later ones over earlier ones; anything else under its node's key."""
    result: JsonObject = {}
    for node, value in values:
        if isinstance(value, dict):
            result.update(value)
        else:
            result[node] = value
    return result
