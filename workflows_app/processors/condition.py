"""Condition nodes: gather the values over which the conditions of their edges decide."""

from workflows_app.dag.types import JsonValue
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall


class ConditionProcessor:
    """Gives its rendered `inputs`, or without them its predecessors' merged outputs. The edges are the engine's."""

    def prepare(self, call: NodeCall) -> JsonValue:
        return inputs.handed_over(call) if call.node.inputs is None else inputs.rendered(call)

    async def process(self, call: NodeCall, prepared: JsonValue) -> object:
        del call
        return prepared
