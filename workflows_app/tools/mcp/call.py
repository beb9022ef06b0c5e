"""The tool `mcp.call`: what tools of MCP servers are made of on the site."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.dag.wording import quoted
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import AttemptEnded, NodeConfigurationError, NodeError
from workflows_app.tools.mcp.errors import McpSchemaChanged, McpToolError
from workflows_app.tools.mcp.listing import ServerTool
from workflows_app.tools.mcp.servers import McpServer, server_named
from workflows_app.tools.registry import tool as registered

if TYPE_CHECKING:
    from workflows_app.tools.masking import Mask
    from workflows_app.tools.mcp.sessions import Session

NAME = "mcp.call"
# Shorter values of variables are words of every text.
_SHORTEST_HIDDEN = 8


@registered(NAME, effect="at_most_once", effects=("none", "idempotent"))
async def call(
    context: ToolContext,
    server: str,
    tool: str,
    arguments: dict[str, object] | None = None,
    digest: str = "",
    token: str = "",
) -> object:
    """Call a tool of an MCP server that the settings name.

    With a `digest` only while the tool's input schema is the one that it was made of. `token` is for servers whose
    token is a secret of the workflow's owner. Raises `McpServerFailed`, `McpToolError`, `McpRefused`,
    `McpSchemaChanged`, `NodeConfigurationError`.
    """
    from workflows_app.tools.mcp import sessions  # noqa: PLC0415 - few need it

    chosen = server_named(server)
    if chosen.tools is not None and tool not in chosen.tools:
        raise NodeConfigurationError(
            f"The setting PASTETRADER['MCP_SERVERS'] does not allow the tool {quoted(tool)} of {quoted(server)}."
        )
    key = token_of(chosen, token)
    mask = mask_of(chosen, key)
    given = cast(JsonObject, jsontext.clean(arguments or {}))

    async def told(progress: float, total: float | None, text: str | None) -> None:
        if total:
            # What is no number is no progress, and whoever is told late is told nothing.
            with suppress(ValueError, AttemptEnded):
                context.progress(progress / total, mask.text(text or ""))

    used: list[Session] = []

    async def work(session: "Session") -> JsonObject:
        used.append(session)
        _check(chosen, tool, digest, (await session.tools()).get(tool))
        context.log(f"Calls {tool} of the MCP server {server}.", "debug")
        return await session.call(tool, given, told)

    with ExitStack() as logging:
        if not mask.is_empty:
            from workflows_app.tools.log_masking import in_use  # noqa: PLC0415 - only who has a key needs it

            _ = logging.enter_context(in_use(mask))
        try:
            if not sessions.package.is_loaded:
                await context.call_sync(sessions.load)
            result = await sessions.sessions().use(sessions.Door(chosen, key), work)
            return output_of(cast(JsonObject, mask.value(result)), chosen, tool)
        except asyncio.CancelledError:
            if not any(session.wire.is_sent for session in used):
                context.interrupted(f"Nothing was sent to the MCP server {quoted(server)} yet.", "never began")
            raise
        except NodeError as error:
            # What a server says may have the keys that it was given.
            error.args = tuple(mask.text(part) if isinstance(part, str) else part for part in error.args)
            raise


def token_of(server: McpServer, given: str) -> str:
    """Raises `NodeConfigurationError` where there is none and must be one."""
    if server.token_secret:
        if given:
            return given
        raise NodeConfigurationError(
            f"The MCP server {quoted(server.name)} takes the secret {server.token_secret} as its token: import its "
            "tools again, or state it as 'token'."
        )
    if given:
        raise NodeConfigurationError(
            f"The MCP server {quoted(server.name)} takes no secret as its token: import its tools again."
        )
    if not server.token_env:
        return ""
    if key := os.environ.get(server.token_env, "").strip():
        return key
    raise NodeConfigurationError(
        f"The MCP server {quoted(server.name)} takes its token from {server.token_env}, which is not in the "
        "environment of this process: set it and start the process again."
    )


def mask_of(server: McpServer, token: str) -> "Mask":
    """What hides the token, and the values of the variables that the program is given."""
    from workflows_app.tools.masking import Mask  # noqa: PLC0415 - loads an engine of regular expressions

    values = [value for name in server.environment if len(value := os.environ.get(name, "")) >= _SHORTEST_HIDDEN]
    return Mask.of([*values, token] if token else values)


def _check(server: McpServer, name: str, digest: str, present: ServerTool | None) -> None:
    if present is None:
        raise McpSchemaChanged(f"The MCP server {quoted(server.name)} has no tool {quoted(name)} any more.")
    if digest and digest != present.digest:
        raise McpSchemaChanged(
            f"The MCP server {quoted(server.name)} has changed what its tool {quoted(name)} takes: import it again, "
            "and look at the nodes that use it."
        )


def output_of(result: JsonObject, server: McpServer, name: str) -> JsonValue:
    """The structured content as it is; without it the text, and beside it what is no text.

    Raises `McpToolError`.
    """
    content = result.get("content")
    blocks = content if isinstance(content, list) else []
    text = "\n".join(found for block in blocks if (found := _text_in(block)) is not None)
    said = f" It says: {text}" if text else ""
    if result.get("isError") is True:
        raise McpToolError(f"The tool {quoted(name)} of the MCP server {quoted(server.name)} failed.{said}")
    if result.get("resultType", "complete") != "complete":
        raise McpToolError(
            f"The tool {quoted(name)} of the MCP server {quoted(server.name)} wants to ask somebody before it answers, "
            "and nobody is here. Give it all that it needs as arguments."
        )
    if result.get("structuredContent") is not None:
        return result["structuredContent"]
    others: list[JsonValue] = [block for block in blocks if _text_in(block) is None]
    return {"text": text, "content": others} if others else {"text": text}


def _text_in(block: JsonValue) -> str | None:
    if isinstance(block, Mapping) and block.get("type") == "text" and isinstance(text := block.get("text"), str):
        return text
    return None
