"""Triggers: where an execution starts."""

from workflows_app.processors.base import NodeCall, Prepared, Unchecked


class TriggerProcessor(Unchecked):
    """Gives the execution's input."""

    def pre_process(self, call: NodeCall) -> Prepared:
        return Prepared(input=call.execution_input())

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        del call
        return prepared.input
