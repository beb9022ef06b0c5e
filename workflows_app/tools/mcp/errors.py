"""How a call of an MCP server's tool fails. Retry policies know these classes by their names."""

from typing import ClassVar

from workflows_app.tools.errors import NodeConfigurationError, NodeExecutionError, Retryable


class McpServerFailed(Retryable):
    """Raised when a server cannot be reached, dies, or sends what is not the protocol.

    Where the call had been sent, nobody knows what became of it.
    """

    code: ClassVar[str] = "mcp_server_failed"


class McpRefused(NodeExecutionError):
    """Raised when a server refuses the request as such: its token is wrong, or nothing is at this address."""

    code: ClassVar[str] = "mcp_refused"
    retryable: ClassVar[bool] = False


class McpToolError(NodeExecutionError):
    """Raised when a tool says that it failed, with what it says."""

    code: ClassVar[str] = "mcp_tool_error"


class McpSchemaChanged(NodeConfigurationError):
    """Raised before anything is called: the tool is not the one that was imported any more."""

    code: ClassVar[str] = "mcp_schema_changed"
