"""Tools of MCP servers: the tool `mcp.call`, and the connections to the servers that the settings name."""

from workflows_app.tools.mcp import call

__all__ = ["call"]
