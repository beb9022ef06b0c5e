"""Triggers: where an execution starts."""

from workflows_app.dag.types import JsonValue
from workflows_app.processors.base import NodeCall


class TriggerProcessor:
    """Gives the execution's input."""

    def prepare(self, call: NodeCall) -> JsonValue:
        return call.execution_input()

    async def process(self, call: NodeCall, prepared: JsonValue) -> object:
        del call
        return prepared
