"""The definitions' part of the Django admin."""

from workflows_app.admin.agents import AgentAdmin
from workflows_app.admin.audit import AuditAdmin
from workflows_app.admin.credentials import CredentialAdmin
from workflows_app.admin.tokens import TokenAdmin
from workflows_app.admin.tools import ToolAdmin
from workflows_app.admin.workflow import WorkflowAdmin

__all__ = ["AgentAdmin", "AuditAdmin", "CredentialAdmin", "TokenAdmin", "ToolAdmin", "WorkflowAdmin"]
