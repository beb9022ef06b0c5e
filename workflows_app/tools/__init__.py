"""Tools: functions that nodes call by name. Importing the package registers the built-in families."""

from workflows_app.tools import core, http, market, mcp, shell
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import AttemptEnded, Permanent, Retryable
from workflows_app.tools.reconciling import Done, InterruptedAttempt, NotDone, Unknown
from workflows_app.tools.registry import tool

__all__ = [
    "AttemptEnded", "Done", "InterruptedAttempt", "NotDone", "Permanent", "Retryable", "ToolContext", "Unknown", "core",
    "http", "market", "mcp", "shell", "tool",
]  # fmt: skip
