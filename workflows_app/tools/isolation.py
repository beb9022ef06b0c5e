"""Tools in processes of their own, which can be killed: the parent's side; `child` is the other one.

A fence against accidents, not a sandbox: the child can do what the server's user can do, also signal the server and
read of it what `/proc` shows. What it is not given is the server's environment and memory, nor a way to
outlive its call, its limits or the server. Processes that leave the child's process group (`setsid`) escape.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any, cast

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonValue
from workflows_app.tools import child
from workflows_app.tools.context import Remains, ToolContext
from workflows_app.tools.errors import NodeOutputError
from workflows_app.tools.process_limits import (
    ChildSetup,
    Origin,
    ProcessDied,
    ProcessLimits,
    ProcessNotStarted,
    how_it_ended,
)
from workflows_app.tools.raised_elsewhere import rebuilt

# Without secrets: what programs need to find files, languages and the time zone, and Python to start.
CLEAN_ENVIRONMENT = frozenset(
    {"DJANGO_SETTINGS_MODULE", "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "TMPDIR", "TZ"}
)
# Of what the process prints so many bytes are kept.
OUTPUT_KEPT = 8 * 1024
# One read; beyond so many bytes of output there is a pause after each, so that a flood slows down its own process
# and not the event loop.
_CHUNK = 64 * 1024
_OUTPUT_FREE = 1024 * 1024
_OUTPUT_PAUSE = 0.002
# Seconds that the last output of a dead process may take to arrive.
_LAST_OUTPUT = 0.2
# How often a process is asked whether it has ended, where the system cannot tell.
_POLL = 0.02
_NO_ANSWER = "wrote to the pipe of its answers, where tools have nothing to write"

logger = logging.getLogger(__name__)


async def call_in_process(
    origin: Origin,
    arguments_json: str,
    context: ToolContext,
    *,
    strict: bool,
    limits: ProcessLimits,
    setup: ChildSetup | None = None,
) -> JsonValue:
    """Call a tool in a process of its own with the JSON text of a node's inputs; the child checks them.

    What the tool raises is raised here: the same class if it is loaded, else one with its name and its bases, with
    the child's traceback as a note. Raises `ProcessDied`, `ProcessNotStarted`, `NodeOutputError` for a result that
    is no JSON or too long, `MemoryError` with the limit. A cancelled call kills the process and its group, waits
    for its end and tells `context.interrupted`.
    """
    process = _Process(origin, context, limits)
    try:
        process.start(_request(origin, arguments_json, context, strict, limits, setup or ChildSetup()), setup)
        try:
            answer = await process.answer
            if answer is None:
                _ = await asyncio.wait({process.output_ended}, timeout=_LAST_OUTPUT)
        finally:
            await process.end()
    except asyncio.CancelledError:
        context.interrupted(*process.interruption())
        raise
    return process.value_of(answer)


def _request(
    origin: Origin, arguments_json: str, context: ToolContext, strict: bool, limits: ProcessLimits, setup: ChildSetup
) -> bytes:
    """A line that says what to do, then the inputs."""
    arguments = arguments_json.encode()
    header = {
        **asdict(origin),
        "setup": setup.function,
        "strict": strict,
        "size": len(arguments),
        "path": [os.path.abspath(entry) for entry in sys.path],  # noqa: PTH100 - Path("") is not the same
        "limits": asdict(limits),
        "context": {
            "execution_id": context.execution_id,
            "node": context.node,
            "attempt_id": context.attempt_id,
            "idempotency_key": context.idempotency_key,
            "number": context.number,
            # Event loops have no clock in common: what crosses is how long it is until then.
            "remaining": context.deadline - asyncio.get_running_loop().time(),
        },
    }
    return b"%b\n%b" % (json.dumps(header).encode(), arguments)


class _Process:
    """One child and the three pipes to it. Everything but `start` and `end` happens in callbacks of the event loop.

    Not a subprocess of asyncio: that is created across several turns of the loop, and reaps a process before its
    group can be killed, when the group's number may be another's already.
    """

    def __init__(self, origin: Origin, context: ToolContext, limits: ProcessLimits) -> None:
        self._origin = origin
        self._context = context
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        # The line that ends the call, an error that does, or None: the process ended without either.
        self.answer: asyncio.Future[bytes | Exception | None] = self._loop.create_future()
        self.output_ended: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._popen: subprocess.Popen[bytes] | None = None
        self._open: set[int] = set()
        self._request = memoryview(b"")
        self._answers = bytearray()
        self._received = 0
        self._begun = False
        self._output = bytearray()
        self._printed = 0

    def start(self, request: bytes, setup: ChildSetup | None) -> None:
        """Raises `ProcessNotStarted`."""
        kept = CLEAN_ENVIRONMENT.union(setup.keep_environment if setup else ())
        environment = {name: value for name, value in os.environ.items() if name in kept or name.startswith("LC_")}
        theirs: list[int] = []
        try:
            self._results, results = self._pipe(theirs, ours=0)
            self._prints, prints = self._pipe(theirs, ours=0)
            self._stdin, stdin = self._pipe(theirs, ours=1)
            self._popen = subprocess.Popen(  # noqa: S603 - a file of ours, by the interpreter that runs us
                # -P: the folder of the script is no place to import from.
                [sys.executable, "-P", child.__file__, str(results)],
                stdin=stdin,
                stdout=prints,
                stderr=prints,
                pass_fds=(results,),
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise ProcessNotStarted(self._origin.tool, error) from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._request = memoryview(request)
        _ = self._loop.add_writer(self._stdin, self._send)
        _ = self._loop.add_reader(self._results, self._hear)
        _ = self._loop.add_reader(self._prints, self._drain)
        self._watch_exit(self._popen.pid)

    def _pipe(self, theirs: list[int], *, ours: int) -> tuple[int, int]:
        """A pipe as our end, 0 to read from or 1 to write to, which never blocks, and the child's."""
        ends = os.pipe()
        self._open.add(ends[ours])
        theirs.append(ends[1 - ours])
        os.set_blocking(ends[ours], False)
        return ends[ours], ends[1 - ours]

    async def end(self) -> None:
        """Kill the group and wait for the process's end, however often that is cancelled."""
        if self._popen is None:
            return
        try:
            self._kill_group()
            await _patiently(self._exited, self._limits.kill_seconds)
            if not self._exited.done():
                logger.error("Process %d of tool '%s' was killed and does not end.", self._popen.pid, self._origin.tool)
        finally:
            self._close()

    def interruption(self) -> tuple[str, Remains]:
        if self._popen is not None and self._popen.returncode is None:
            return f"The process of tool '{self._origin.tool}' was killed and does not end.", "goes on"
        if not self._begun:
            return f"The process of tool '{self._origin.tool}' had not begun its work.", "never began"
        return f"The process of tool '{self._origin.tool}' was killed.", "stopped"

    def value_of(self, answer: bytes | Exception | None) -> JsonValue:
        """The result, or whatever the tool raised."""
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise self._died(self._how_it_ended())
        try:
            if answer[:1] == child.RESULT:
                return jsontext.loads(answer[1:])
            error = rebuilt(json.loads(answer[1:]), out_of_memory=self._out_of_memory())
        except (ValueError, LookupError, TypeError) as reason:
            raise self._died(_NO_ANSWER) from reason
        raise error

    def _died(self, how: str) -> ProcessDied:
        return ProcessDied(self._origin.tool, how, self._limits, output=self._printed_text(), begun=self._begun)

    # The pipes

    def _send(self) -> None:
        try:
            sent = os.write(self._stdin, self._request[: 16 * _CHUNK])
        except BlockingIOError:
            return
        except OSError:
            # It ended without reading: its exit says why.
            sent = len(self._request)
        self._request = self._request[sent:]
        if not self._request:
            # It stays open: its end is the end of the process.
            _ = self._loop.remove_writer(self._stdin)

    def _hear(self) -> None:
        chunk = _read(self._results)
        if chunk is None:
            return
        if not chunk:
            _ = self._loop.remove_reader(self._results)
            return
        self._received += len(chunk)
        if self._received > self._limits.output_bytes + _CHUNK:
            self._give(NodeOutputError.too_long(self._context.node, self._limits.output_bytes))
            _ = self._loop.remove_reader(self._results)
            return
        # Only what is new is searched: a long line comes in hundreds of pieces.
        first, *others = chunk.split(b"\n")
        self._answers += first
        for following in others:
            line, self._answers = bytes(self._answers), bytearray(following)
            if not self.answer.done():
                self._take(line)

    def _take(self, line: bytes) -> None:
        kind, text = line[:1], line[1:]
        if kind == child.BEGUN:
            self._begun = True
        elif kind == child.LOG:
            try:
                level, message, data = cast("list[Any]", jsontext.loads(text))
                self._context.journal(level, message, data)
            except Exception as error:  # noqa: BLE001 - a journal that refuses a line fails the node
                self._give(error)
        elif kind not in (child.RESULT, child.ERROR):
            self._give(self._died(_NO_ANSWER))
        elif len(text) > self._limits.output_bytes:
            self._give(NodeOutputError.too_long(self._context.node, self._limits.output_bytes))
        else:
            self._give(line)

    def _give(self, answer: bytes | Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def _drain(self) -> None:
        """Keep the end of what is printed, and let the rest go."""
        chunk = _read(self._prints)
        if chunk is None:
            return
        if not chunk:
            _ = self._loop.remove_reader(self._prints)
            self._end_output()
            return
        self._printed += len(chunk)
        self._output = (self._output + chunk)[-OUTPUT_KEPT:]
        if self._printed > _OUTPUT_FREE:
            _ = self._loop.remove_reader(self._prints)
            _ = self._loop.call_later(_OUTPUT_PAUSE, self._drain_again)

    def _drain_again(self) -> None:
        if self._prints in self._open:
            _ = self._loop.add_reader(self._prints, self._drain)

    def _end_output(self) -> None:
        if not self.output_ended.done():
            self.output_ended.set_result(None)

    def _printed_text(self) -> str:
        return self._output.decode("utf-8", "replace")

    # The end

    def _watch_exit(self, pid: int) -> None:
        try:
            self._pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            # No such thing on this system.
            _ = self._loop.call_later(_POLL, self._poll)
        else:
            self._open.add(self._pidfd)
            _ = self._loop.add_reader(self._pidfd, self._exit)

    def _poll(self) -> None:
        assert self._popen is not None
        if self._exited.done():
            return
        # It is not reaped by looking: its number stays its own until then.
        if os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            _ = self._loop.call_later(_POLL, self._poll)
        else:
            self._exit()

    def _exit(self) -> None:
        """The process is dead and not reaped yet: its group can be killed safely, now for the last time."""
        assert self._popen is not None
        if self._exited.done():
            return
        self._kill_group()
        _ = self._popen.wait()
        self._exited.set_result(None)
        # What it sent last is in the pipe.
        while not self.answer.done() and self._results in self._open:
            before = self._received
            self._hear()
            if self._received == before:
                break
        self._give(None)

    def _kill_group(self) -> None:
        assert self._popen is not None
        if not self._exited.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _out_of_memory(self) -> str:
        return f"The process of tool '{self._origin.tool}' ran out of memory; its limits are {self._limits}."

    def _how_it_ended(self) -> str:
        code = None if self._popen is None else self._popen.returncode
        if code is None:
            return "does not end"
        return how_it_ended(code) if code < 0 else f"exited with code {code} before it answered"

    def _close(self) -> None:
        for descriptor in self._open:
            _ = self._loop.remove_reader(descriptor)
            _ = self._loop.remove_writer(descriptor)
            os.close(descriptor)
        self._open.clear()
        self._give(None)
        self._end_output()


async def _patiently(future: asyncio.Future[None], seconds: float) -> None:
    """Wait for a future, also through cancellations: the last of them is raised afterwards."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while not future.done() and (left := end - loop.time()) > 0:
        try:
            _ = await asyncio.wait({future}, timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _read(descriptor: int) -> bytes | None:
    """What is in a pipe; empty at its end, None where nothing is there yet."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
