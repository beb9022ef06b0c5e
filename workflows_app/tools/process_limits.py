"""What a tool's own process may use and gets, and how it fails as a process."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, override

from workflows_app.tools.errors import NodeExecutionError

_MIB = 1024 * 1024
# So many characters of what was printed last stand in an error's sentence.
_OUTPUT_TOLD = 2 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the child finds a tool's function."""

    tool: str
    module: str
    qualname: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What one process may use.

    `memory_bytes` limits the address space, libraries included. `cpu_seconds` is processor time with the start's
    (about 0.2 s), in whole seconds, rounded up. `processes` are those, with threads, that may be started beyond what
    the server's user has; root is not bound by it. `output_bytes` limits the JSON text of the result and of all log
    lines. A killed process that does not end within `kill_seconds` is left to the system.
    """

    memory_bytes: int = 1024 * _MIB
    cpu_seconds: float | None = None
    file_bytes: int = 1024 * _MIB
    processes: int | None = 512
    output_bytes: int = 16 * _MIB
    kill_seconds: float = 5.0

    @override
    def __str__(self) -> str:
        cpu = "" if self.cpu_seconds is None else f" and {self.cpu_seconds:g} s of processor time"
        return f"{self.memory_bytes / _MIB:g} MiB of memory{cpu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSetup:
    """What the child does before it imports the tool: call `function`, such as `django:setup`.

    `keep_environment` are names of variables that it gets besides the clean ones; none unless they are named.
    """

    function: str | None = None
    keep_environment: Sequence[str] = ()


@dataclass(slots=True)
class Processes:
    """How the tools of this process get processes of their own; the settings may say otherwise."""

    limits: ProcessLimits = ProcessLimits()
    setup: ChildSetup = ChildSetup()


processes = Processes()


def how_it_ended(code: int) -> str:
    """The return code of a process as a predicate; a negative one is a signal."""
    if code >= 0:
        return f"ended with code {code}"
    number = -code
    name = signal.Signals(number).name if number in set(signal.Signals) else "an unknown signal"
    spent = ": its processor time was used up" if name == "SIGXCPU" else ""
    return f"was killed by signal {number} ({name}){spent}"


class ProcessNotStarted(NodeExecutionError):
    """Raised when the system refuses another process."""

    code: ClassVar[str] = "process_not_started"

    def __init__(self, tool: str, error: OSError) -> None:
        super().__init__(f"No process could be started for tool '{tool}': {error}.")


class ProcessDied(NodeExecutionError):
    """Raised when a process ended, or had to be ended, before it answered.

    Where the tool's own code had begun (`begun`), it may have had its effect.
    """

    code: ClassVar[str] = "process_died"

    def __init__(self, tool: str, how: str, limits: ProcessLimits, *, output: str, begun: bool) -> None:
        told = output[-_OUTPUT_TOLD:].strip()
        ending = f" Its last output: {told}" if told else " It printed nothing."
        super().__init__(f"The process of tool '{tool}' {how}; its limits are {limits}.{ending}")
        self.outcome_unknown = begun
        if len(output) > _OUTPUT_TOLD:
            self.add_note(f"The output of the process ended with:\n{output}")
