"""Threads for synchronous tools: a bounded number in the whole process, held until the tool really ends.

Python cannot stop a thread. A tool that runs past its limit is let go by its node at once, but its thread keeps its
place here until it ends: a process never has more than `limit` of them, however many tools hang.
"""

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows_app.tools.context import ToolContext

DEFAULT_LIMIT = 32
IDLE_SECONDS = 5.0

logger = logging.getLogger(__name__)

type _Work = tuple[Future[object], Callable[[], object]]


def _nothing() -> None:
    pass


class ThreadPool:
    """Daemon threads, started when they are needed and ended when they are idle.

    A pool of the standard library would make the process wait for a hung tool at its end. `after_call` runs in the
    thread after every tool, `at_end` when the thread ends: the place to give back what belongs to a thread.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        # May be changed at any time; threads that are at work are not stopped by a smaller one.
        self.limit = limit
        self.after_call: Callable[[], None] = _nothing
        self.at_end: Callable[[], None] = _nothing
        self._changed = threading.Condition()
        self._waiting: deque[_Work] = deque()
        self._threads = 0
        # Threads that wait for work.
        self._idle = 0
        self._overdue: set[Future[object]] = set()

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return self._threads

    @property
    def overdue(self) -> int:
        """How many of them still run code whose node has ended."""
        return len(self._overdue)

    async def call(self, function: Callable[[], object], context: "ToolContext") -> object:
        """Run a function in a thread with the caller's context variables, and wait for it.

        A cancelled caller gets its `CancelledError` at once; `context.interrupted` is told what becomes of the
        function: it never begins, or it goes on until it ends by itself.
        """
        work: _Work = (Future(), partial(contextvars.copy_context().run, function))
        self._put(work)
        try:
            return await asyncio.wrap_future(work[0])
        except asyncio.CancelledError:
            self._let_go(work, context)
            raise

    def _let_go(self, work: _Work, context: "ToolContext") -> None:
        future = work[0]
        if future.cancel():
            with self._changed:
                if work in self._waiting:
                    self._waiting.remove(work)
            overdue = f", {self.overdue} of them by tools whose nodes have ended" if self._overdue else ""
            context.interrupted(
                f"It waited for a thread: all {self.limit} for synchronous tools are taken{overdue}.", "never began"
            )
        elif not future.done():
            self._overdue.add(future)
            future.add_done_callback(self._overdue.discard)
            context.interrupted(
                "Its thread goes on, for Python cannot stop one, and keeps its place until it ends: "
                + f"{self.overdue} of {self.limit} threads are held like this.",
                "goes on",
            )

    def _put(self, work: _Work) -> None:
        with self._changed:
            self._waiting.append(work)
            if len(self._waiting) > self._idle and self._threads < self.limit:
                self._threads += 1
                threading.Thread(target=self._serve, name="tool", daemon=True).start()
            else:
                self._changed.notify()

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            self._run(*work)
        _safely(self.at_end)

    def _next(self) -> _Work | None:
        """Wait for work; None where none came for a while: the thread is no longer counted and must end."""
        with self._changed:
            while not self._waiting:
                self._idle += 1
                came = self._changed.wait(IDLE_SECONDS)
                self._idle -= 1
                if not came and not self._waiting:
                    self._threads -= 1
                    return None
            return self._waiting.popleft()

    def _run(self, future: Future[object], function: Callable[[], object]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - whatever foreign code raises is the caller's to see
            _safely(self.after_call)
            future.set_exception(error)
        else:
            _safely(self.after_call)
            future.set_result(result)


def _safely(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception:
        logger.exception("A thread of synchronous tools could not be tidied up.")


pool = ThreadPool()
