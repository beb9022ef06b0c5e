import pytest

from tests.unit.processors.conftest import MakeCall
from workflows_app.dag.types import NodeType
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.processors.registry import PROCESSORS


def test_every_node_type_has_a_processor() -> None:
    assert set(PROCESSORS) == set(NodeType)


def test_an_agent_that_is_named_cannot_run_yet(call_of: MakeCall) -> None:
    with pytest.raises(NodeConfigurationError, match="agents cannot be registered yet") as caught:
        PROCESSORS[NodeType.AGENT].pre_process(call_of(NodeType.AGENT, agent="analyst"))
    assert not caught.value.retryable
