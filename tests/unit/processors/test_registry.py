from workflows_app.dag.types import NodeType
from workflows_app.processors.registry import PROCESSORS


def test_every_node_type_has_a_processor() -> None:
    assert set(PROCESSORS) == set(NodeType)
