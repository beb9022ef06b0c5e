"""The runs' part of the Django admin."""

from executions_app.admin.executions import ExecutionAdmin
from executions_app.admin.tools import TriableToolAdmin
from executions_app.admin.workflows import RunnableWorkflowAdmin

__all__ = ["ExecutionAdmin", "RunnableWorkflowAdmin", "TriableToolAdmin"]
