"""An event loop whose time passes only when nothing else is left to do, and then at once."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, override


class Stuck(AssertionError):
    """Raised when tasks wait and nothing will ever wake them."""

    def __init__(self, waiting: Sequence[str]) -> None:
        super().__init__(f"Nothing is ready, no timer is set, and these wait for ever: {', '.join(waiting)}.")


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """Timers fire in their order without anybody waiting for them: `asyncio.timeout` and `sleep` included.

    It has no files, sockets or threads. `before_waiting` is called whenever nothing is ready and time will pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.before_waiting: Callable[[], None] | None = None
        # The base class asks its selector what happened outside: nothing ever does.
        self._selector = self
        # Coarser than a float is after years: a timer whose time has come must fire.
        self._clock_resolution = 1e-6

    @override
    def time(self) -> float:
        return self._now

    def block(self, seconds: float) -> None:
        """Let time pass as code does that blocks the loop."""
        self._now += seconds

    def select(self, timeout: float | None) -> Sequence[Any]:
        """Called by the base class in every turn; `timeout` is the time until the next timer, None for no timer."""
        if timeout is None:
            raise Stuck(sorted(task.get_name() for task in asyncio.all_tasks(self)))
        if timeout > 0:
            if self.before_waiting is not None:
                self.before_waiting()
            self._now += timeout
        return ()

    # What the base class leaves to loops with a world outside.

    def _process_events(self, events: Sequence[Any]) -> None:
        del events

    def _write_to_self(self) -> None:
        pass


def run[T](main: Coroutine[Any, Any, T], *, loop: VirtualTimeLoop | None = None) -> T:
    """Run a coroutine in a loop of its own, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=lambda: loop or VirtualTimeLoop()) as runner:
        return runner.run(main)
