"""What a project mounts in its ASGI application: `websockets`, and `with_mcp` around its pages."""

import asyncio
from functools import cache
from typing import Any, cast

from channels.routing import URLRouter
from django.urls import path

from executions_app.consumers import ExecutionConsumer, ListingConsumer
from executions_app.consumers.backpressure import paced
from executions_app.consumers.origin import OriginGuard
from executions_app.consumers.unknown import UnknownAddress

websocket_urlpatterns: list[Any] = [
    path("ws/executions/", cast(Any, ListingConsumer.as_asgi())),
    path("ws/executions/<str:execution>/", cast(Any, ExecutionConsumer.as_asgi())),
    path("<path:anything>", cast(Any, UnknownAddress.as_asgi())),
]

websockets = paced(OriginGuard(URLRouter(websocket_urlpatterns)))

MCP_PATH = "/mcp"


def with_mcp(pages: Any) -> Any:
    """The pages of a site for `http`, and the Model Context Protocol at `/mcp` beside them.

    Without the extra `mcp` there is nothing at that address.
    """

    async def routed(scope: Any, receive: Any, send: Any) -> None:
        is_call = scope["type"] == "http" and scope["path"] == MCP_PATH
        # Loaded by the first call, while others are served.
        serve = await asyncio.to_thread(_mcp) if is_call else None
        await (serve or pages)(scope, receive, send)

    return routed


@cache
def _mcp() -> Any:
    try:
        from executions_app.mcp.http import serve  # noqa: PLC0415 - an extra, and slow to load
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        return None
    return serve
