"""Workflow definitions in the database, and who may do what with them."""

from workflows_app.models.agent import Agent
from workflows_app.models.audit import AuditEntry
from workflows_app.models.configured_tool import ConfiguredTool
from workflows_app.models.credential import Credential
from workflows_app.models.edge import Edge
from workflows_app.models.node import Node
from workflows_app.models.share import WorkflowShare
from workflows_app.models.token import ApiToken, SocketTicket
from workflows_app.models.version import WorkflowVersion
from workflows_app.models.workflow import Workflow

__all__ = [
    "Agent",
    "ApiToken",
    "AuditEntry",
    "ConfiguredTool",
    "Credential",
    "Edge",
    "Node",
    "SocketTicket",
    "Workflow",
    "WorkflowShare",
    "WorkflowVersion",
]
