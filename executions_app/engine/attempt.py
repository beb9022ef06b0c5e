"""One try of one node: run the processor's code, bounded in time, and turn whatever happens into a value."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from enum import Enum

import msgspec

from executions_app.engine.errors import ErrorInfo, NodeTimeoutError, SelfCancelledError
from executions_app.engine.failures import cancelled_at_work, describe, with_unknown_outcome
from executions_app.engine.states import Reason
from workflows_app.dag import jsontext
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import Effect
from workflows_app.processors.errors import NodeOutputError
from workflows_app.tools.context import Pace, Remains
from workflows_app.tools.errors import AttemptEnded
from workflows_app.tools.masking import Mask
from workflows_app.tools.reconciling import Unknown, Verdict


class AttemptStart(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`number` counts from 1, `retry_count` from 0; `first_at` is when the node's first attempt began."""

    attempt_id: str
    number: int
    retry_count: int
    at: datetime
    first_at: datetime
    # What is left of its time; None: all that its node has.
    seconds: float | None = None


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    # JSON text.
    output: str
    # The attempt ran out of time, and its work turned out to be done.
    found_done: bool = False


class Failed(msgspec.Struct, frozen=True, gc=False):
    error: ErrorInfo
    reason: Reason = Reason.NODE_ERROR
    # A sentence where the code would not end and was let go.
    let_go: str = ""
    # Where it can be asked what became of the work: the error in case that it is not done.
    if_not_done: ErrorInfo | None = None


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    error: ErrorInfo | None = None
    let_go: str = ""


class Lost(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Another process ran the attempt, and is gone. `verdict` is what became of the work; an output is JSON text."""

    why: str
    # It may have died of the attempt; else it ended in order.
    died: bool
    verdict: Verdict = Unknown()


type Outcome = Succeeded | Failed | Cancelled | Lost
type Finish = Callable[[object], Outcome]


class _Signal(Enum):
    DONE = 1
    TIMEOUT = 2
    CANCEL = 3


class Attempt:
    """The processor's code in a task of its own, so that it can be let go.

    A processor may raise anything, cancel itself or ignore its cancellation: `run` returns a value, at the latest
    `grace` seconds after the time limit or `cancel`. `finish` makes the outcome of a result that came in time;
    `mask` hides secrets in errors.
    """

    __slots__ = (
        "_finish", "_grace", "_loop", "_met", "_node", "_pace", "_remains", "_signal", "_task", "mask",
    )  # fmt: skip

    # Tasks that were let go, kept from the garbage collector until they end.
    abandoned: set[asyncio.Task[object]] = set()

    def __init__(self, node: NodePlan, *, grace: float, finish: Finish) -> None:
        self._node = node
        self._grace = grace
        self._finish = finish
        self.mask: Mask | None = None
        self._loop = asyncio.get_running_loop()
        self._signal: asyncio.Future[_Signal] = self._loop.create_future()
        self._pace = Pace(self._loop.time)
        self._task: asyncio.Task[object] | None = None
        # What `interrupted` said.
        self._met = ""
        self._remains: Remains = "stopped"

    def cancel(self) -> None:
        self._wake(_Signal.CANCEL)

    def interrupted(self, why: str, remains: Remains) -> None:
        """Told while a cancellation passes through the code: see `ToolContext.interrupted`."""
        self._met, self._remains = why, remains

    def beat(self, tell: Callable[[], None] | None, is_last: bool) -> None:
        """From any thread; see `ToolContext.heartbeat`."""
        if self._signal.done() and self._signal.result() is not _Signal.DONE:
            raise AttemptEnded(self._node.key)
        self._pace(tell, is_last)

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
            if signal is _Signal.DONE:
                return self._outcome_in_time(deadline)
            let_go = await self._end()
        finally:
            timer.cancel()
            # Only where the engine itself was interrupted: the code must not go on as if nothing had happened.
            if not self._task.done() and self._task not in Attempt.abandoned:
                _ = self._task.cancel()
                self._let_go()
        return self._cancelled(let_go) if signal is _Signal.CANCEL else self._timed_out(let_go)

    def _wake(self, signal: _Signal) -> None:
        if not self._signal.done():
            self._signal.set_result(signal)

    def _outcome_in_time(self, deadline: float) -> Outcome:
        assert self._task is not None
        if self._task.cancelled():
            return failure(SelfCancelledError(self._node.key), self._node)
        result = self._task.result()
        if isinstance(result, _Raised):
            return failure(result.error, self._node, self.mask)
        # Code that blocks the loop, or swallowed a cancellation, comes back too late without a signal.
        if asyncio.get_running_loop().time() > deadline:
            return self._timed_out("")
        return self._finish(result)

    def _timed_out(self, let_go: str) -> Failed:
        error = describe(NodeTimeoutError(self._node.key, self._node.timeout_seconds), self._node)
        if self._met:
            error = msgspec.structs.replace(error, message=f"{error.message} {self._met}")
        if self._remains == "never began":
            return Failed(error, Reason.TIMEOUT, let_go)
        known = error if self._node.effect is Effect.CHECKABLE else None
        return Failed(with_unknown_outcome(error, self._node), Reason.TIMEOUT, let_go, known)

    def _cancelled(self, let_go: str) -> Cancelled:
        return Cancelled(None if self._remains == "never began" else cancelled_at_work(self._node), let_go)

    async def _end(self) -> str:
        """Cancel the task; a sentence where it, or what it began elsewhere, does not end and is let go."""
        task = self._task
        assert task is not None
        _ = task.cancel()
        done, _ = await asyncio.wait({task}, timeout=self._grace)
        if not done:
            self._let_go()
            return f"It did not end within {self._grace:g} s of being told to."
        return self._met if self._remains == "goes on" else ""

    def _let_go(self) -> None:
        assert self._task is not None
        Attempt.abandoned.add(self._task)
        self._task.add_done_callback(Attempt.abandoned.discard)


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


def encode(value: object, node: NodePlan, limit: int, mask: Mask | None = None) -> Outcome:
    """The processor's result as JSON text, or the failure of a result that is not JSON or too long."""
    try:
        # Twice: a result of gigabytes is refused before its text is made.
        text = None if jsontext.is_longer(value, limit) else _text_of(value, mask)
    except jsontext.JsonError as error:
        return failure(NodeOutputError.not_json(node.key, error), node, mask)
    if text is not None and len(text) <= limit:
        return Succeeded(text)
    return failure(NodeOutputError.too_long(node.key, limit), node)


def _text_of(value: object, mask: Mask | None) -> str:
    return jsontext.dumps(value if mask is None else mask.value(jsontext.clean(value)))


def failure(error: BaseException, node: NodePlan, mask: Mask | None = None) -> Failed:
    return Failed(describe(error, node, mask))
