"""Which processor does the work of which node type."""

from collections.abc import Mapping
from types import MappingProxyType

from workflows_app.dag.types import NodeType
from workflows_app.processors.adapter import AdapterProcessor
from workflows_app.processors.agent import AgentProcessor
from workflows_app.processors.aggregator import AggregatorProcessor
from workflows_app.processors.base import Processor
from workflows_app.processors.condition import ConditionProcessor
from workflows_app.processors.tool import ToolProcessor
from workflows_app.processors.trigger import TriggerProcessor

_processors: dict[NodeType, Processor] = {
    NodeType.TRIGGER: TriggerProcessor(),
    NodeType.TOOL: ToolProcessor(),
    NodeType.AGENT: AgentProcessor(),
    NodeType.CONDITION: ConditionProcessor(),
    NodeType.ADAPTER: AdapterProcessor(),
    NodeType.AGGREGATOR: AggregatorProcessor(),
}
PROCESSORS: Mapping[NodeType, Processor] = MappingProxyType(_processors)


def replace(node_type: NodeType, processor: Processor) -> None:
    """Give a node type another processor, for all runs of this process that begin from now on."""
    _processors[node_type] = processor
