"""Agent nodes: known to documents, but there is nothing yet that could run them."""

from typing import NoReturn

from workflows_app.processors.base import NodeCall, Prepared, Unchecked
from workflows_app.processors.errors import NodeConfigurationError


class AgentProcessor(Unchecked):
    """Refuses to run."""

    def pre_process(self, call: NodeCall) -> Prepared:
        """Raises `NodeConfigurationError`."""
        _refuse(call)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        """Raises `NodeConfigurationError`."""
        del prepared
        _refuse(call)


def _refuse(call: NodeCall) -> NoReturn:
    raise NodeConfigurationError(
        "No agent provider is installed: agent nodes cannot run in this version. "
        + f"Make node '{call.node.key}' a tool node, or remove it."
    )
