"""Adapter nodes: reshape data by a template of expressions."""

from workflows_app.dag import rendering
from workflows_app.dag.types import JsonValue
from workflows_app.processors import inputs
from workflows_app.processors.base import NodeCall


class AdapterProcessor:
    """Gives its rendered `output`. On record as its input is what its predecessors hand over."""

    def prepare(self, call: NodeCall) -> JsonValue:
        return inputs.handed_over(call)

    async def process(self, call: NodeCall, prepared: JsonValue) -> object:
        """Raises `ExpressionError`."""
        del prepared
        return rendering.render(call.node.output, call.scope)
