"""Agent nodes: known to documents, but there is nothing yet that could run them."""

from typing import NoReturn

from workflows_app.dag.types import JsonValue
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeConfigurationError


class AgentProcessor:
    """Refuses to run."""

    def prepare(self, call: NodeCall) -> JsonValue:
        """Raises `NodeConfigurationError`."""
        _refuse(call)

    async def process(self, call: NodeCall, prepared: JsonValue) -> object:
        """Raises `NodeConfigurationError`."""
        del prepared
        _refuse(call)


def _refuse(call: NodeCall) -> NoReturn:
    raise NodeConfigurationError(
        "No agent provider is installed: agent nodes cannot run in this version. "
        + f"Make node '{call.node.key}' a tool node, or remove it."
    )
