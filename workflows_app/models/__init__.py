"""Workflow definitions in the database."""

from workflows_app.models.edge import Edge
from workflows_app.models.node import Node
from workflows_app.models.version import WorkflowVersion
from workflows_app.models.workflow import Workflow

__all__ = ["Edge", "Node", "Workflow", "WorkflowVersion"]
