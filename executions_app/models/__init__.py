"""The records of runs."""

from executions_app.models.attempt import NodeAttempt
from executions_app.models.call import AgentCall
from executions_app.models.execution import WorkflowExecution
from executions_app.models.job import NodeJob
from executions_app.models.log import ExecutionLog
from executions_app.models.node_execution import NodeExecution
from executions_app.models.rate import ToolRate

__all__ = [
    "AgentCall",
    "ExecutionLog",
    "NodeAttempt",
    "NodeExecution",
    "NodeJob",
    "ToolRate",
    "WorkflowExecution",
]
