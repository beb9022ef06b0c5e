"""The errors of nodes, as processors and the engine know them; tools, one layer below, raise the same."""

from workflows_app.tools.errors import (
    NodeConfigurationError,
    NodeError,
    NodeExecutionError,
    NodeInputError,
    NodeOutputError,
    NodeValidationError,
    Permanent,
    Retryable,
)

__all__ = [
    "NodeConfigurationError",
    "NodeError",
    "NodeExecutionError",
    "NodeInputError",
    "NodeOutputError",
    "NodeValidationError",
    "Permanent",
    "Retryable",
]
