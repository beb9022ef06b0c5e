"""Adapter nodes: reshape data by a template of expressions."""

from workflows_app.dag import rendering
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall, Prepared, Unchecked


class AdapterProcessor(Unchecked):
    """Gives its rendered `output`. On record as its input is what its predecessors hand over."""

    def pre_process(self, call: NodeCall) -> Prepared:
        return Prepared(input=inputs.handed_over(call))

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises `ExpressionError`."""
        del prepared
        return rendering.render(call.node.output, call.scope)
