"""A server that is a program: started in a process group and a folder of its own, spoken to over its standard streams.

Its environment is clean. It ends with its connection: its input is closed, and a moment later its group is killed.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from workflows_app.dag import jsontext
from workflows_app.dag.wording import quoted
from workflows_app.tools.errors import NodeConfigurationError
from workflows_app.tools.isolation import CLEAN_ENVIRONMENT
from workflows_app.tools.mcp import launcher
from workflows_app.tools.mcp.servers import McpServer
from workflows_app.tools.mcp.wire import Wire, WireError
from workflows_app.tools.process_limits import how_it_ended

# A program whose input was closed may end by itself in so many seconds; one that was killed must.
GRACE_SECONDS, KILL_SECONDS = 0.5, 5.0
_POLL = 0.01
_CHUNK = 64 * 1024
# Of what it writes to its standard error so many bytes are kept, one more than are told; beyond the other number it is
# slowed down.
_ERRORS_TOLD = 2 * 1024
_ERRORS_KEPT = _ERRORS_TOLD + 1
_ERRORS_FREE, _ERRORS_PAUSE = 1024 * 1024, 0.002
# Of our clean environment these mean something to Python and Django only.
_OURS = frozenset({"DJANGO_SETTINGS_MODULE", "PYTHONHOME"})


def environment_of(server: McpServer, folder: str) -> dict[str, str]:
    """Raises `NodeConfigurationError` for a variable that is missing."""
    clean = CLEAN_ENVIRONMENT - _OURS
    kept = {name: value for name, value in os.environ.items() if name in clean or name.startswith("LC_")}
    if missing := [name for name in server.environment if name not in os.environ]:
        raise NodeConfigurationError(
            f"The MCP server {quoted(server.name)} is to get {missing[0]}, which is not in the environment of this "
            "process: set it and start the process again."
        )
    return kept | {"HOME": folder, "TMPDIR": folder} | {name: os.environ[name] for name in server.environment}


@asynccontextmanager
async def connected(server: McpServer, wire: Wire) -> AsyncGenerator[tuple[Any, Any]]:
    """The streams of the package, as one of its transports. Raises `NodeConfigurationError`, `OSError`."""
    import anyio  # noqa: PLC0415 - comes with the package
    from mcp.shared.message import SessionMessage  # noqa: PLC0415 - as above

    heard, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, said = anyio.create_memory_object_stream[SessionMessage](0)
    async with heard, incoming, outgoing, said, _running(server) as program, anyio.create_task_group() as group:
        wire.has_ended = program.has_ended
        _ = group.start_soon(_listen, program, wire, heard)
        _ = group.start_soon(_speak, program, wire, said)
        _ = group.start_soon(program.keep_errors)
        try:
            yield incoming, outgoing
        finally:
            group.cancel_scope.cancel()


async def _listen(program: "_Program", wire: Wire, heard: Any) -> None:
    """Pass on what is a message, until there are no more or one that must not be."""
    from mcp.shared.message import SessionMessage  # noqa: PLC0415 - comes with the package
    from mcp.types import jsonrpc_message_adapter  # noqa: PLC0415 - as above

    async with heard:
        try:
            async for line in program.lines(wire):
                # Programs that greet whoever starts them are many.
                if not line.startswith(b"{") or b'"jsonrpc"' not in line:
                    continue
                wire.incoming(line)
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    wire.trouble = "sent what is no message of the protocol"
                    return
                await heard.send(SessionMessage(message))
        except WireError:
            return
        if not wire.trouble:
            wire.trouble = await program.how_it_ended()


async def _speak(program: "_Program", wire: Wire, said: Any) -> None:
    async with said:
        async for message in said:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            # One that does not read any more is heard to end.
            with suppress(BrokenPipeError):
                await program.write(wire.outgoing(text.encode()) + b"\n")


@asynccontextmanager
async def _running(server: McpServer) -> "AsyncGenerator[_Program]":
    folder = tempfile.mkdtemp(prefix="pastetrader-mcp-")
    try:
        program = _Program(server, folder)
        try:
            yield program
        finally:
            await program.end()
    finally:
        # It may be much, and goes on where this is cancelled again.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def _last_lines(text: bytes) -> str:
    """Whole ones: what is hidden in errors must not be cut in two before."""
    kept = text[-_ERRORS_TOLD:]
    return (kept if len(text) <= _ERRORS_TOLD else kept.partition(b"\n")[2]).decode("utf-8", "replace")


def _not_started(server: McpServer, reason: str) -> NodeConfigurationError:
    return NodeConfigurationError(
        f"The program of the MCP server {quoted(server.name)} cannot be started ({reason}): "
        + "correct its entry in PASTETRADER['MCP_SERVERS']."
    )


class _Program:
    """The process and our ends of its pipes, which never block.

    Not a subprocess of asyncio, which reaps a process before its group can be killed.
    """

    def __init__(self, server: McpServer, folder: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._errors = b""
        environment = environment_of(server, folder)
        if not os.access(server.command[0], os.X_OK):
            raise _not_started(server, "there is no such program")
        lifeline, self._lifeline = os.pipe()
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - the settings name it, and no shell reads it
                # Isolated, and without the site: it does nothing of Python before it is the other program.
                [sys.executable, "-I", "-S", launcher.__file__, str(lifeline), *server.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=(lifeline,),
                cwd=server.cwd or folder,
                env=environment,
                start_new_session=True,
            )
        except BaseException as error:
            os.close(self._lifeline)
            if isinstance(error, OSError):
                raise _not_started(server, error.strerror or "no reason is known") from error
            raise
        finally:
            os.close(lifeline)
        streams = (self._popen.stdin, self._popen.stdout, self._popen.stderr)
        self._stdin, self._stdout, self._stderr = (stream.fileno() for stream in streams if stream is not None)
        for descriptor in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(descriptor, False)

    async def lines(self, wire: Wire) -> AsyncGenerator[bytes]:
        """Raises `WireError`."""
        begun = bytearray()
        while chunk := await self._read(self._stdout):
            wire.count(len(chunk))
            # A flood is no reason for everybody else to wait.
            await asyncio.sleep(0)
            # Only what is new is searched: a long line comes in hundreds of pieces.
            first, *others = chunk.split(b"\n")
            begun += first
            for following in others:
                yield bytes(begun).strip()
                begun = bytearray(following)

    async def write(self, data: bytes) -> None:
        """Raises `BrokenPipeError`."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._stdin, left) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer, self._stdin)

    async def keep_errors(self) -> None:
        """Keep the end of its standard error, and let the rest go."""
        count = 0
        while chunk := await self._read(self._stderr):
            count += len(chunk)
            self._errors = (self._errors + chunk)[-_ERRORS_KEPT:]
            if count > _ERRORS_FREE:
                await asyncio.sleep(_ERRORS_PAUSE)

    async def _read(self, descriptor: int) -> bytes:
        """What is there; empty at the end."""
        while True:
            try:
                return os.read(descriptor, _CHUNK)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader, descriptor)

    async def _ready(self, add: Callable[..., object], remove: Callable[[int], object], descriptor: int) -> None:
        ready = self._loop.create_future()
        _ = add(descriptor, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            _ = remove(descriptor)

    async def how_it_ended(self) -> str:
        """Of one that closed its output; with the end of its errors."""
        await self._wait(GRACE_SECONDS)
        # What it wrote last.
        await asyncio.sleep(_POLL)
        code = self._exit_code()
        told = jsontext.printable(_last_lines(self._errors)).strip()
        ending = f". Its last errors: {told}" if told else ""
        if code == launcher.NOT_STARTED:
            return f"cannot be started{ending}"
        return f"{'closed its output' if code is None else how_it_ended(code)}{ending}"

    def has_ended(self) -> bool:
        return self._exit_code() is not None

    def _exit_code(self) -> int | None:
        """Without reaping it: its number stays its own until its group is killed."""
        if self._popen.returncode is not None:
            return self._popen.returncode
        try:
            found = os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            # Somebody else has reaped it.
            return self._popen.poll()
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    async def _wait(self, seconds: float) -> None:
        end = self._loop.time() + seconds
        # Where it is looked at, it is not reaped.
        while self._exit_code() is None and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    async def end(self) -> None:
        """Let it end, or kill it, with its whole group; however often this is cancelled."""
        cancelled: asyncio.CancelledError | None = None
        try:
            assert self._popen.stdin is not None
            self._popen.stdin.close()
            await self._wait(GRACE_SECONDS)
        except asyncio.CancelledError as error:
            cancelled = error
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        end = self._loop.time() + KILL_SECONDS
        while self._popen.poll() is None and self._loop.time() < end:
            try:
                await asyncio.sleep(_POLL)
            except asyncio.CancelledError as error:
                cancelled = error
        for stream in (self._popen.stdout, self._popen.stderr):
            assert stream is not None
            stream.close()
        os.close(self._lifeline)
        if cancelled is not None:
            raise cancelled
