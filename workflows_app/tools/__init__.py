"""Tools: functions that nodes call by name. Importing the package registers the built-in families."""

from workflows_app.tools import core, market
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import Permanent, Retryable
from workflows_app.tools.registry import tool

__all__ = ["Permanent", "Retryable", "ToolContext", "core", "market", "tool"]
