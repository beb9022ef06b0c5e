"""What the engine raises, and the value form of every failure that it records."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from workflows_app.processors.errors import NodeError


class EngineError(Exception):
    """Base of the engine's errors. Do not raise it directly."""


class NodeTimeoutError(EngineError, NodeError, TimeoutError):
    """Raised when an attempt of a node ran longer than its `timeout_seconds`."""

    code: ClassVar[str] = "timeout"

    def __init__(self, node: str, seconds: object) -> None:
        super().__init__(f"Node '{node}' did not finish within its limit of {seconds} seconds.")


class ExecutionCancelledError(EngineError):
    """Raised when something is asked of an execution that was cancelled."""

    def __init__(self, execution_id: object) -> None:
        super().__init__(f"Execution {execution_id} was cancelled.")


class NodeCrashedError(EngineError):
    """Recorded for a node whose engine died while it was at work, where the work cannot be repeated."""

    def __init__(self, node: str) -> None:
        super().__init__(f"The engine died while node '{node}' was at work.")


class WorkerCrashedError(EngineError):
    """Recorded for an attempt whose process is gone, though its engine is not."""

    def __init__(self, node: str, why: str) -> None:
        super().__init__(f"The process that ran node '{node}' is gone. {why}")


class WorkerCrashLoopError(EngineError):
    """Recorded for a node that is not tried again, since one process after the other died of it."""

    def __init__(self, node: str, deaths: int) -> None:
        super().__init__(f"{deaths} processes in a row died while they ran node '{node}'.")


class SelfCancelledError(EngineError):
    """Raised in place of the `CancelledError` of a processor that cancelled itself."""

    def __init__(self, node: str) -> None:
        super().__init__(f"Node '{node}' cancelled itself. Raise an error to fail; only the engine cancels a node.")


class EngineInterrupted(EngineError):
    """Raised when a task of the engine was cancelled from outside: the run cannot go on."""

    def __init__(self) -> None:
        super().__init__("A task of the engine was cancelled from outside. Use the run's cancel token to end a run.")


class HandedBack(EngineError):
    """Raised when a run stopped where it stands, as it was asked to, for another engine to go on with."""

    def __init__(self) -> None:
        super().__init__("The run was handed back; another engine goes on with it.")


class OwnershipLost(EngineError):
    """Raised by a sink when this engine no longer owns the execution: it must stop without another write."""

    def __init__(self, execution_id: object) -> None:
        super().__init__(f"Execution {execution_id} is owned by another engine or is finished already.")


class RecorderFailed(EngineError):
    """Raised by a sink when events could not be made durable."""


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A failure on record. `bases` are the names of the error's class and its bases, for retry policies."""

    code: str
    message: str
    type: str
    node: str | None
    traceback: str = ""
    bases: tuple[str, ...] = ()
    retryable: bool = True
    # Seconds that the failed side asked to wait before the next attempt.
    retry_after: float = 0.0

    def public(self) -> dict[str, object]:
        """The four fields that every interface shows."""
        return {"code": self.code, "message": self.message, "type": self.type, "node": self.node}


def names_of(error_class: type[BaseException]) -> Sequence[str]:
    """The names of a class and its bases, without `BaseException` and `object`, nearest first."""
    return tuple(base.__name__ for base in error_class.__mro__ if base not in (BaseException, object))
