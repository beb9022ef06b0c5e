"""Condition nodes: gather the values over which the conditions of their edges decide."""

from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall, Prepared, Unchecked


class ConditionProcessor(Unchecked):
    """Gives its rendered `inputs`, or without them its predecessors' merged outputs. The edges are the engine's."""

    def pre_process(self, call: NodeCall) -> Prepared:
        return Prepared(input=inputs.handed_over(call) if call.node.inputs is None else inputs.rendered(call))

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        del call
        return prepared.input
