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

PROCESSORS: Mapping[NodeType, Processor] = MappingProxyType(
    {
        NodeType.TRIGGER: TriggerProcessor(),
        NodeType.TOOL: ToolProcessor(),
        NodeType.AGENT: AgentProcessor(),
        NodeType.CONDITION: ConditionProcessor(),
        NodeType.ADAPTER: AdapterProcessor(),
        NodeType.AGGREGATOR: AggregatorProcessor(),
    }
)
