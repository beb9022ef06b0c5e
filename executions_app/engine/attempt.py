"""One try of one node: run the processor's code, bounded in time, and turn whatever happens into a value."""

import asyncio
import traceback
from collections.abc import Coroutine
from enum import Enum

import msgspec

from executions_app.engine.errors import ErrorInfo, NodeTimeoutError, SelfCancelledError, names_of
from executions_app.engine.states import Reason
from workflows_app.dag import jsontext
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import Effect
from workflows_app.processors.errors import NodeError, NodeOutputError

MESSAGE_LIMIT = 8 * 1024
TRACEBACK_LIMIT = 32 * 1024


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    # JSON text.
    output: str


class Failed(msgspec.Struct, frozen=True, gc=False):
    error: ErrorInfo
    reason: Reason = Reason.NODE_ERROR
    # The code would not end and was let go.
    abandoned: bool = False


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    abandoned: bool = False


type Outcome = Succeeded | Failed | Cancelled


class _Signal(Enum):
    DONE = 1
    TIMEOUT = 2
    CANCEL = 3


class Attempt:
    """The processor's code in a task of its own, so that it can be let go.

    A processor may raise anything, cancel itself or ignore its cancellation: `run` always returns a value,
    at the latest `grace` seconds after the time limit or `cancel`.
    """

    __slots__ = ("_grace", "_node", "_signal", "_task")

    # Tasks that were let go, kept from the garbage collector until they end.
    abandoned: set[asyncio.Task[object]] = set()

    def __init__(self, node: NodePlan, *, grace: float) -> None:
        self._node = node
        self._grace = grace
        self._signal: asyncio.Future[_Signal] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[object] | None = None

    def cancel(self) -> None:
        self._wake(_Signal.CANCEL)

    async def run(self, code: Coroutine[object, object, object], *, deadline: float) -> Outcome:
        loop = asyncio.get_running_loop()
        # Started eagerly: code that never waits costs no turn of the event loop.
        self._task = asyncio.Task(_contain(code), loop=loop, name=f"node {self._node.key}", eager_start=True)
        if self._task.done():
            return self._outcome_in_time(deadline)
        self._task.add_done_callback(lambda _task: self._wake(_Signal.DONE))
        timer = loop.call_at(deadline, self._wake, _Signal.TIMEOUT)
        try:
            signal = await self._signal
        finally:
            timer.cancel()
        if signal is _Signal.DONE:
            return self._outcome_in_time(deadline)
        abandoned = await self._end()
        return Cancelled(abandoned) if signal is _Signal.CANCEL else self._timed_out(abandoned)

    def _wake(self, signal: _Signal) -> None:
        if not self._signal.done():
            self._signal.set_result(signal)

    def _outcome_in_time(self, deadline: float) -> Outcome:
        assert self._task is not None
        if self._task.cancelled():
            return failure(SelfCancelledError(self._node.key), self._node)
        result = self._task.result()
        if isinstance(result, _Raised):
            return failure(result.error, self._node)
        # Code that blocks the loop, or swallowed a cancellation, comes back too late without a signal.
        if asyncio.get_running_loop().time() > deadline:
            return self._timed_out(abandoned=False)
        return encode(result, self._node)

    def _timed_out(self, abandoned: bool) -> Failed:
        failed = failure(NodeTimeoutError(self._node.key, self._node.timeout_seconds), self._node)
        return Failed(unknown_outcome(failed.error, self._node), Reason.TIMEOUT, abandoned)

    async def _end(self) -> bool:
        """Cancel the task; True where it did not end within the grace and is let go."""
        task = self._task
        assert task is not None
        _ = task.cancel()
        done, _ = await asyncio.wait({task}, timeout=self._grace)
        if done:
            return False
        Attempt.abandoned.add(task)
        task.add_done_callback(_forget)
        return True


class _Raised(msgspec.Struct, frozen=True):
    error: BaseException


async def _contain(code: Coroutine[object, object, object]) -> object:
    """Await a processor; its exception becomes a value, so that not even SystemExit reaches the event loop."""
    try:
        return await code
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever foreign code raises is its node's failure
        return _Raised(error)


def _forget(task: asyncio.Task[object]) -> None:
    Attempt.abandoned.discard(task)


def encode(value: object, node: NodePlan) -> Outcome:
    """The processor's result as JSON text, or the failure of a result that is not JSON."""
    try:
        return Succeeded(jsontext.dumps(value))
    except jsontext.JsonError as error:
        return failure(NodeOutputError(f"The output of node '{node.key}' is not JSON: {error}"), node)


def failure(error: BaseException, node: NodePlan) -> Failed:
    return Failed(describe(error, node))


def describe(error: BaseException, node: NodePlan) -> ErrorInfo:
    """An exception as it goes on record."""
    kind = type(error)
    if isinstance(error, NodeError):
        code, retryable = error.code, error.retryable
    elif isinstance(error, ExpressionError):
        code, retryable = "expression_error", False
    elif isinstance(error, NodeTimeoutError):
        code, retryable = "timeout", True
    else:
        code, retryable = "node_error", True
    return ErrorInfo(
        code=code,
        message=printable(_text_of(error) or f"{kind.__name__} without a message.", MESSAGE_LIMIT),
        type="ExpressionError" if isinstance(error, ExpressionError) else kind.__name__,
        node=node.key,
        traceback=_traceback(error),
        bases=tuple(names_of(kind)),
        retryable=retryable,
    )


def _text_of(error: BaseException) -> str:
    """An error's text is foreign code as well."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - as its own `__str__` pleases
        return ""


def unknown_outcome(error: ErrorInfo, node: NodePlan) -> ErrorInfo:
    """An attempt that was interrupted may have had its effect: with `at_most_once` it is not repeated."""
    if node.effect is not Effect.AT_MOST_ONCE:
        return error
    return msgspec.structs.replace(
        error,
        message=f"{error.message} The outcome is unknown: verify at the receiver before you run it again.",
        retryable=False,
    )


def _traceback(error: BaseException) -> str:
    if isinstance(error, (NodeTimeoutError, SelfCancelledError, ExpressionError)):
        return ""
    # The first frame is the engine's own.
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    text = "".join(traceback.format_exception(type(error), error, frames))
    return printable(text, TRACEBACK_LIMIT, keep_end=True)


def printable(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Text that every database and every JSON reader takes, cut to `limit` characters."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    if len(text) <= limit:
        return text
    return f"... {text[-limit:]}" if keep_end else f"{text[:limit]} ..."
