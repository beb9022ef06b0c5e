"""A server of the protocol's own package: run as a program over its standard streams, or served over HTTP in a thread.

A test says what its tools are by a file of JSON, `{"extra": true}`, which is read whenever it is asked.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field


class Customer(BaseModel):
    number: int
    name: str


CUSTOMERS = {7: "Emmy"}


def server() -> MCPServer:
    made = MCPServer("crm")

    @made.tool(annotations=ToolAnnotations(read_only_hint=True))
    def findCustomer(number: Annotated[int, Field(ge=1)]) -> Customer:  # noqa: N802 - as names there often are
        """A customer by number."""
        if number not in CUSTOMERS:
            raise ValueError(f"There is no customer {number}.")
        return Customer(number=number, name=CUSTOMERS[number])

    @made.tool(structured_output=False)
    def greet(name: str, greeting: str = "Hello") -> str:
        """Words for somebody."""
        return f"{greeting}, {name}!"

    @made.tool(structured_output=False)
    def environment() -> str:
        """What the program was given."""
        return json.dumps({"variables": sorted(os.environ), "home": os.environ.get("HOME"), "cwd": str(Path.cwd())})

    return made


@contextmanager
def serving(made: MCPServer, token: str = "", **options: Any) -> Iterator["Served"]:
    """The address of a server in a thread, which lets those in who have the token."""
    import uvicorn  # noqa: PLC0415 - comes with the package

    app = made.streamable_http_app(**options)
    served = Served()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            served.headers.append(headers)
            if token and headers.get("authorization") != f"Bearer {token}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b"Who are you?"})
                return
        await app(scope, receive, send)

    config = uvicorn.Config(
        guarded, host="127.0.0.1", port=0, log_level="critical", ws="none", timeout_graceful_shutdown=1
    )
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run, name="mcp server", daemon=True)
    thread.start()
    while not runner.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = runner.servers[0].sockets[0].getsockname()[1]
    served.url = f"http://127.0.0.1:{port}/mcp"
    try:
        yield served
    finally:
        runner.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


class Served:
    def __init__(self) -> None:
        self.url = ""
        # Of each request, by lower-case names.
        self.headers: list[dict[str, str]] = []


def entry(*arguments: str, **more: Any) -> dict[str, Any]:
    """This program in `MCP_SERVERS`."""
    return {"command": [sys.executable, str(Path(__file__)), *arguments], **more}


if __name__ == "__main__":
    server().run("stdio")
