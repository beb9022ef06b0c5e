"""The protocol over standard input and output, for a client that starts this process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, cast

from mcp.server.stdio import stdio_server

from executions_app.mcp.call import Client
from executions_app.mcp.envelope import opened, sealed
from executions_app.mcp.server import server_for
from workflows_app.conf import workflow_settings
from workflows_app.dag import jsontext

# JSON-RPC's code for what is no message.
_PARSE_ERROR = -32700
# Beside a document stands little else.
_ROOM = 64 * 1024


def claimed_output() -> int:
    """A descriptor for the protocol alone: what else is printed in this process goes to standard error."""
    output = os.dup(1)
    _ = os.dup2(2, 1)
    return output


async def serve(client: Client, output: int) -> None:
    """Until the client closes the input, or the process is told to end."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    # A message may hold a document whose every character is escaped.
    reader = asyncio.StreamReader(limit=2 * workflow_settings().document_bytes + _ROOM)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out = _Output(output)
    server = server_for(lambda _request: client)
    try:
        async with stdio_server(cast(Any, _Input(reader, out)), cast(Any, out)) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    except asyncio.CancelledError:
        # That is how it is told to end.
        return
    finally:
        transport.close()


class _Output:
    """Lines for the client, whole ones, one after the other."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = asyncio.Lock()

    async def write(self, line: str) -> None:
        async with self._lock:
            await asyncio.to_thread(self._write, opened(line.encode()))

    async def flush(self) -> None:
        """Nothing is kept back."""

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


class _Input:
    """Lines of the client that are JSON; others are answered here."""

    def __init__(self, reader: asyncio.StreamReader, out: _Output) -> None:
        self._reader = reader
        self._out = out

    def __aiter__(self) -> _Input:
        return self

    async def __anext__(self) -> str:
        while True:
            try:
                line = await self._reader.readline()
                if not line:
                    raise StopAsyncIteration
                if line.strip():
                    return sealed(line).decode()
            except jsontext.JsonError as error:
                await self._refuse(f"The message is not JSON: {error}")
            except ValueError:
                await self._refuse("The message is larger than this server takes: send less.")

    async def _refuse(self, sentence: str) -> None:
        error = {"code": _PARSE_ERROR, "message": sentence}
        await self._out.write(jsontext.dumps({"jsonrpc": "2.0", "id": None, "error": error}) + "\n")
