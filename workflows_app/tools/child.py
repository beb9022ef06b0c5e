"""The child's side of a tool that runs in a process of its own: read a request, call the tool, tell what came of it.

`isolation` runs this file as a script. It begins without any import of ours, so that its limits hold and it dies with
its parent before foreign code is loaded. The request comes on standard input, the answers go out as lines on a pipe
whose number is the only argument.
"""

import faulthandler
import fcntl
import importlib
import json
import math
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

if TYPE_CHECKING:
    from workflows_app.dag.types import JsonObject, NodeKey
    from workflows_app.tools.context import ToolContext
    from workflows_app.tools.registry import Tool

__all__ = ["BEGUN", "ERROR", "LOG", "RESULT", "main", "tasks_of_user"]

# What a line on the pipe begins with: a line of the journal, the mark that the tool's own code begins now, and the
# two endings. JSON text follows, except after the mark.
LOG, BEGUN, RESULT, ERROR = b"l", b"b", b"r", b"e"

# Characters of an error's text and of its traceback that are sent.
_MESSAGE, _TRACEBACK = 64 * 1024, 16 * 1024
# The answer of a process that has not even the memory to describe its error.
_OUT_OF_MEMORY = json.dumps({"class": ["builtins", "MemoryError", True, []]}).encode()

type _Request = dict[str, Any]


class _Answers:
    """The pipe to the parent. Any thread may send."""

    def __init__(self, descriptor: int) -> None:
        # Programs that the tool starts do not inherit it.
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, kind: bytes, text: bytes = b"") -> None:
        line = memoryview(b"%b%b\n" % (kind, text))
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]


def main() -> NoReturn:
    # A crash in C code, and the end of the processor time, leave a stack in the output.
    faulthandler.enable(all_threads=False)
    faulthandler.register(signal.SIGXCPU, all_threads=False, chain=True)
    answers = _Answers(int(sys.argv[1]))
    with os.fdopen(_taken_stdin(), "rb", closefd=False) as stream:
        request: _Request = json.loads(stream.readline() or "null") or _leave(1)
        arguments = stream.read(request["size"])
        _die_with_parent(stream.fileno())
    _set_limits(request["limits"])
    sys.path[:] = request["path"]
    # What is printed before a crash is in the output.
    for printed in (sys.stdout, sys.stderr):
        cast(Any, printed).reconfigure(line_buffering=True)
    try:
        answers.send(RESULT, _result(request, arguments, answers))
    except SystemExit as error:
        _exit(error)
    except BaseException as error:  # noqa: BLE001 - whatever the tool raises is its parent's to see
        answers.send(ERROR, _description(error))
    # The parent kills the whole group now. It can do so safely as long as its leader is there: no exit here.
    while True:
        _ = signal.pause()


def _taken_stdin() -> int:
    """A descriptor of our own for standard input; the tool reads nothing from its own."""
    taken = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    _ = os.dup2(empty, 0)
    os.close(empty)
    return taken


def _die_with_parent(lifeline: int) -> None:
    """Kill this process's group when the parent is gone: only the parent has the other end of the pipe."""

    def watch() -> None:
        while os.read(lifeline, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    if sys.platform == "linux":
        # A thread never comes to its turn while C code, such as a regular expression, keeps the interpreter: the
        # kernel sends the signal. Armed after the request, for it is sent for data too.
        _ = fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        _ = fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        _ = fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _set_limits(limits: Mapping[str, Any]) -> None:
    # A core file of a process with secrets in its inputs belongs nowhere.
    _set_limit(resource.RLIMIT_CORE, 0)
    # One file: a tool that writes without end gets EFBIG before the disk is full.
    _set_limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    if limits["cpu_seconds"] is not None:
        # SIGXCPU first, which leaves a stack; a second later SIGKILL for those that ignore it.
        _set_limit(resource.RLIMIT_CPU, math.ceil(limits["cpu_seconds"]), 1)
    if limits["processes"] is not None and sys.platform == "linux" and os.geteuid() != 0:
        # Counted over all processes and threads of the user, the server's as well, so it stands above what there is
        # now. Root is not bound by it.
        _set_limit(resource.RLIMIT_NPROC, tasks_of_user(os.getuid()) + limits["processes"])
    try:
        # Address space, not resident memory, which Linux does not limit per process.
        _set_limit(resource.RLIMIT_AS, limits["memory_bytes"])
    except (OSError, ValueError):
        # macOS knows the limit and refuses it.
        if sys.platform == "linux":
            raise


def _set_limit(kind: int, wanted: int, above: int = 0) -> None:
    """Lower a limit, the hard one to `above` more than the soft one; never above the hard limit that there is."""
    _, hard = resource.getrlimit(kind)
    ceiling = wanted + above if hard == resource.RLIM_INFINITY else min(wanted + above, hard)
    resource.setrlimit(kind, (min(wanted, ceiling), ceiling))


def tasks_of_user(user: int) -> int:
    """How many threads of all processes this user has, as Linux counts them for RLIMIT_NPROC."""
    count = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == user:
                # Two links of a folder are its own.
                count += os.stat(f"/proc/{entry.name}/task").st_nlink - 2  # noqa: PTH116 - one of thousands
        except OSError:
            # It ended meanwhile.
            continue
    return count


def _result(request: _Request, arguments: bytes, answers: _Answers) -> bytes:
    """Call the tool; its result as JSON text. Raises whatever the tool raises, `NodeInputError`, `NodeOutputError`."""
    tool, context = _prepared(request, answers)
    from workflows_app.dag import jsontext  # noqa: PLC0415 - the path is known and the limits hold
    from workflows_app.tools.errors import NodeOutputError  # noqa: PLC0415 - as above

    inputs = tool.signature.bind(cast("JsonObject", jsontext.loads(arguments)), strict=request["strict"])
    if tool.signature.context_parameter is not None:
        inputs[tool.signature.context_parameter] = context
    answers.send(BEGUN)
    result = tool.function(**inputs)
    if isinstance(result, Awaitable):
        result = _awaited(result)
    try:
        # Pydantic models as well: they are dumped in mode python, which keeps Decimals.
        return jsontext.dumps(result).encode()
    except jsontext.JsonError as error:
        raise NodeOutputError.not_json(context.node, error) from error


def _prepared(request: _Request, answers: _Answers) -> "tuple[Tool, ToolContext]":
    """Run the setup, then find the tool. Raises `NodeConfigurationError`."""
    from workflows_app.tools.errors import NodeConfigurationError  # noqa: PLC0415 - the path is known only now

    name: str = request["tool"]
    step = f"calling {request['setup']}()"
    try:
        if request["setup"] is not None:
            module, _, function = request["setup"].partition(":")
            cast(Any, reduce(getattr, function.split("."), importlib.import_module(module)))()
        step = f"importing {request['module']}"
        module = importlib.import_module(request["module"])
    except MemoryError:
        raise
    except Exception as error:
        sentence = f"The process of tool '{name}' could not be set up: {step} failed with {type(error).__name__}"
        raise NodeConfigurationError(f"{sentence}: {_text_of(error)}") from error
    return _found(name, module, request["qualname"]), _context(request, answers)


def _found(name: str, module: object, qualname: str) -> "Tool":
    from workflows_app.tools.errors import NodeConfigurationError  # noqa: PLC0415 - the path is known only now
    from workflows_app.tools.registry import Tool, registry  # noqa: PLC0415 - as above

    origin = f"{cast(Any, module).__name__}.{qualname}"
    if name in registry and (tool := registry.get(name)).origin == origin:
        return tool
    try:
        function = reduce(getattr, qualname.split("."), module)
    except AttributeError:
        function = None
    if not callable(function):
        raise NodeConfigurationError(
            f"The function {origin} of tool '{name}' cannot be found by its name in another process: "
            + "define it at the top level of a module that can be imported."
        )
    return Tool(name=name, function=function)


def _context(request: _Request, answers: _Answers) -> "ToolContext":
    """The parent's attempt. Its deadline is this process's: in `time.monotonic()`, the time of event loops here."""
    import time  # noqa: PLC0415 - read once; the engine's time comes from its event loop

    from workflows_app.dag import jsontext  # noqa: PLC0415 - the path is known only now
    from workflows_app.tools.context import Pace, ToolContext  # noqa: PLC0415 - as above

    given: dict[str, Any] = request["context"]

    def journal(level: str, message: str, data: "JsonObject | None") -> None:
        answers.send(LOG, jsontext.dumps([level, message, data]).encode())

    return ToolContext(
        execution_id=given["execution_id"],
        node=cast("NodeKey", given["node"]),
        attempt_id=given["attempt_id"],
        idempotency_key=given["idempotency_key"],
        number=given["number"],
        deadline=time.monotonic() + given["remaining"],
        journal=journal,
        # The pipe holds what an output may have: a progress that is told without end would fill it.
        beat=Pace(time.monotonic),
    )


def _awaited(result: Awaitable[object]) -> object:
    import asyncio  # noqa: PLC0415 - only for tools that need it

    async def wait() -> object:
        return await result

    # Never closed: that waits for threads and tasks which the tool left behind, and they are killed with the process.
    return asyncio.Runner().run(wait())


def _description(error: BaseException) -> bytes:
    """An error as JSON text: its class with its bases, its text and arguments, where it was raised."""
    try:
        if isinstance(error, MemoryError):
            # The frames hold what filled the memory.
            traceback.clear_frames(error.__traceback__)
        return json.dumps(
            {
                "class": _class(type(error)),
                "message": _text_of(error)[:_MESSAGE],
                "args": _plain(error.args),
                "code": _plain(getattr(error, "code", None)),
                "retryable": _plain(getattr(error, "retryable", None)),
                "retry_after": _plain(getattr(error, "retry_after", None)),
                "traceback": _traceback(error)[-_TRACEBACK:],
            }
        ).encode()
    except MemoryError:
        return _OUT_OF_MEMORY


def _class(kind: type) -> list[object]:
    """Where a class is, whether it is one of errors, and its bases in the same form."""
    bases = [base for base in kind.__bases__ if base not in (object, BaseException)]
    return [kind.__module__, kind.__qualname__, issubclass(kind, BaseException), [_class(base) for base in bases]]


def _plain(value: object) -> object:
    """The value where JSON has it as it is, and it is small; else null."""
    if isinstance(value, tuple):
        items = [_plain(item) for item in cast("tuple[object, ...]", value)]
        return items if all(a is b for a, b in zip(items, cast("tuple[object, ...]", value), strict=True)) else None
    small = (type(value) is str and len(value) <= _MESSAGE) or (type(value) is int and value.bit_length() <= 256)
    return value if small or type(value) is bool or type(value) is float else None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error's text is foreign code as well
        return ""


def _traceback(error: BaseException) -> str:
    frames = error.__traceback__
    # From the tool's own code on.
    while frames is not None and Path(frames.tb_frame.f_code.co_filename) == Path(__file__):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))


def _exit(error: SystemExit) -> NoReturn:
    """What `sys.exit` means to an interpreter, without waiting for threads."""
    if error.code is not None and not isinstance(error.code, int):
        _ = sys.stderr.write(f"{error.code}\n")
    _leave(error.code if isinstance(error.code, int) else int(error.code is not None))


def _leave(code: int) -> NoReturn:
    for printed in (sys.stdout, sys.stderr):
        _ = cast(Any, printed).flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
