import pytest

from tests.unit.processors.conftest import MakeCall
from workflows_app.dag.types import NodeType
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.processors.registry import PROCESSORS


def test_every_node_type_has_a_processor() -> None:
    assert set(PROCESSORS) == set(NodeType)


async def test_an_agent_node_says_that_it_cannot_run(call_of: MakeCall) -> None:
    call = call_of(NodeType.AGENT, model="m", prompt="p")
    with pytest.raises(NodeConfigurationError, match="agent nodes cannot run in this version") as caught:
        PROCESSORS[NodeType.AGENT].pre_process(call)
    assert not caught.value.retryable
    with pytest.raises(NodeConfigurationError, match="No agent provider is installed"):
        await PROCESSORS[NodeType.AGENT].process(call, None)
