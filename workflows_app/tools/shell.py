"""Programs of the system as nodes: only those that a setting names, each in a process group and a folder of its own.

The program's name is looked up here; it is started by `execute`, in a child of `isolation`: so it has the limits of an
isolated tool, dies with its group at the time limit, at a cancel and with the server, and sees nothing of ours.
"""

import asyncio
import errno
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, TypedDict, cast

from workflows_app.dag import jsontext
from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeConfigurationError, NodeExecutionError, NodeInputError, NodeOutputError
from workflows_app.tools.process_limits import ChildSetup, Origin, how_it_ended, processes
from workflows_app.tools.registry import tool

NAME = "shell.run"
# Of what a program writes to its standard error so many bytes are kept, and so many characters stand in an error.
_ERRORS_KEPT, _ERRORS_TOLD = 8 * 1024, 2 * 1024
_CHUNK = 64 * 1024
# Of our clean environment these mean something to Python and Django only.
_OURS = frozenset({"DJANGO_SETTINGS_MODULE", "PYTHONHOME"})


@dataclass(slots=True)
class Programs:
    """What may be run in this process: absolute paths by their names. Nothing, unless the settings say so."""

    allowed: Mapping[str, str] = field(default_factory=dict[str, str])


programs = Programs()


class ProgramFailed(NodeExecutionError):
    """Raised when a program ends with a code that was not expected, with the end of what it wrote as its error."""

    code: ClassVar[str] = "program_failed"


class Ended(TypedDict):
    """What came of a program."""

    exit_code: int
    stdout: str
    stderr: str


@tool(NAME, effect="at_most_once", effects=("none", "idempotent"))
async def run(
    context: ToolContext,
    program: str,
    arguments: Sequence[str] = (),
    stdin: str = "",
    expect: tuple[int, ...] = (0,),
) -> Ended:
    """Run a program that the settings allow; no shell reads its arguments.

    `program` is a name of `PASTETRADER["SHELL_PROGRAMS"]`, `stdin` the text that it reads, `expect` the exit codes
    that are no failure. It works in an empty folder that is deleted afterwards. Raises `ProgramFailed`,
    `NodeConfigurationError`, `NodeOutputError` for too much output or output that is no text, and what an isolated
    process can die of.
    """
    from workflows_app.tools.isolation import call_in_process  # noqa: PLC0415 - few need it

    order = {
        "program": program,
        "path": _path_of(program),
        "arguments": list(arguments),
        "stdin": stdin,
        "expect": list(expect),
        "output_bytes": processes.limits.output_bytes,
    }
    folder = tempfile.mkdtemp(prefix="pastetrader-")
    try:
        ended = await call_in_process(
            Origin(tool=NAME, module=__name__, qualname=execute.__qualname__),
            jsontext.dumps({**order, "folder": folder}),
            context,
            strict=True,
            limits=processes.limits,
            # Nothing is kept for the program of what tools of Python may be given.
            setup=ChildSetup(),
        )
    finally:
        # It may be much, and goes on where this is cancelled again.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
    return cast(Ended, cast(object, ended))


def _path_of(program: str) -> str:
    """Raises `NodeConfigurationError`."""
    path = programs.allowed.get(program)
    if path is not None:
        return path
    known = f" Known are {listed(map(quoted, programs.allowed), 'and')}." if programs.allowed else ""
    raise NodeConfigurationError(
        f"Tool '{NAME}' may not run {quoted(program)}: programs run only where the setting "
        + f"PASTETRADER['SHELL_PROGRAMS'] gives their name an absolute path.{known}"
    )


def execute(**order: Any) -> Ended:
    """In the child: start the program and wait for its end. Raises what `run` says."""
    name: str = order["program"]
    process = _started(order)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018
    threading.Thread(target=_feed, args=(process.stdin, order["stdin"].encode()), daemon=True).start()
    errors = _End(process.stderr)
    output = _read(process.stdout, order["output_bytes"], name)
    code = process.wait()
    told = errors.text()
    if code not in order["expect"]:
        said = told[-_ERRORS_TOLD:].strip()
        ending = f" Its last errors: {said}" if said else " It wrote no errors."
        raise ProgramFailed(f"The program {quoted(name)} {how_it_ended(code)}.{ending}")
    try:
        return Ended(exit_code=code, stdout=output.decode(), stderr=told)
    except UnicodeDecodeError as error:
        raise NodeOutputError(
            f"The output of the program {quoted(name)} is no text in UTF-8: have it write text, such as base64."
        ) from error


def _started(order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    folder: str = order["folder"]
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    try:
        return subprocess.Popen(  # noqa: S603 - the path is from the settings, and no shell reads the arguments
            [order["path"], *order["arguments"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            # What it keeps for its user is no business of the server's user.
            env={**kept, "HOME": folder, "TMPDIR": folder},
        )
    except OSError as error:
        name = quoted(order["program"])
        if error.errno == errno.E2BIG:
            raise NodeInputError(f"The arguments of the program {name} are too long: pass data by 'stdin'.") from error
        raise NodeConfigurationError(
            f"The program {name} cannot be started ({error.strerror}): "
            + "correct its path in PASTETRADER['SHELL_PROGRAMS']."
        ) from error


def _feed(stream: IO[bytes], text: bytes) -> None:
    # A program need not read what it is given.
    with suppress(BrokenPipeError), stream:
        _ = stream.write(text)


def _read(stream: IO[bytes], limit: int, name: str) -> bytes:
    output = bytearray()
    while chunk := stream.read(_CHUNK):
        output += chunk
        if len(output) > limit:
            # With the answer ends the whole group.
            raise NodeOutputError(
                f"The program {quoted(name)} wrote more than {limit} bytes of output, the limit for one output. "
                + "Have it write less, or to a place of which it returns a reference."
            )
    return bytes(output)


class _End:
    """The end of what a program writes to a stream, read in a thread of its own."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := self._stream.read(_CHUNK):
            self._kept = (self._kept + chunk)[-_ERRORS_KEPT:]

    def text(self) -> str:
        self._thread.join()
        return jsontext.printable(self._kept.decode("utf-8", "replace"))
