"""The operations as tools of the protocol's server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)

from executions_app.mcp.arguments import schema_of
from executions_app.mcp.call import Call, Client, in_thread
from executions_app.mcp.envelope import envelope, text_in
from executions_app.mcp.operations import INSTRUCTIONS, OPERATIONS, Operation
from executions_app.problems import REFUSALS, Problem, mistake, problem_of
from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext
from workflows_app.rest.codec import fitted, refuse_depth
from workflows_app.rest.errors import BodyTooLarge

VERSION = "1"


def server_for(client_of: Callable[[Any], Client]) -> Server[Any]:
    """A server whose callers are found in the request that the transport has, or in None."""

    async def list_tools(_context: Any, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(operation) for operation in OPERATIONS.values()])

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        operation = OPERATIONS.get(params.name)
        if operation is None:
            raise MCPError(code=INVALID_PARAMS, message="There is no such tool: tools/list names those that there are.")

        async def tell(seq: int, message: str) -> None:
            await context.session.report_progress(float(seq), message=message)

        try:
            client = client_of(context.request)
            bearer = await in_thread(client.enter)
            call = Call(bearer=bearer, address=client.address, scope=operation.scope, tell=tell)
            given = fitted(operation.arguments, _arguments(operation, text_in(params.arguments)))
            text = _text(await operation.function(call, given))
        except REFUSALS as error:
            return _refused(problem_of(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the model gets an id and the log the rest
            return _refused(mistake(error, f"tool {operation.name}"))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=envelope(text))

    return Server(
        "pastetrader",
        version=VERSION,
        title="PasteTrader",
        instructions=INSTRUCTIONS,
        # No argument is repeated in a header.
        get_tool_input_schema=lambda _name: None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _tool(operation: Operation) -> Tool:
    return Tool(
        name=operation.name,
        title=operation.title,
        description=operation.description,
        input_schema=schema_of(operation.arguments),
        output_schema=schema_of(operation.result),
        annotations=ToolAnnotations(
            title=operation.title,
            read_only_hint=operation.reads_only,
            destructive_hint=operation.is_destructive,
            idempotent_hint=operation.reads_only or operation.is_idempotent,
            open_world_hint=operation.is_open,
        ),
    )


def _arguments(operation: Operation, text: str) -> Any:
    settings = workflow_settings()
    limit = settings.document_bytes if operation.takes_document else settings.body_bytes
    if len(text.encode()) > limit:
        raise BodyTooLarge(limit)
    value = jsontext.loads(text)
    refuse_depth(value)
    return value


def _text(value: object) -> str:
    return jsontext.dumps(value, around=jsontext.LEVELS_AROUND)


def _refused(problem: Problem) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=_text(problem.as_json()))], is_error=True)
