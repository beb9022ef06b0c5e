"""Executions in the admin."""

from django.contrib import admin

from executions_app.models import WorkflowExecution
from workflows_app.admin.base import AuditedAdmin


@admin.register(WorkflowExecution)
class ExecutionAdmin(AuditedAdmin[WorkflowExecution]):
    """Records, to be read."""
