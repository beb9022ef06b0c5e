"""A worker in a process that belongs to somebody else: a thread with an event loop of its own."""

import asyncio
import atexit
import threading
from concurrent.futures import Future

from executions_app.conf import execution_settings
from executions_app.dispatch.worker import Stopping, Worker
from executions_app.live.publisher import publisher
from executions_app.recorder.thread import recorder

# Beyond the grace that running nodes have.
LAST_SECONDS = 3.0


class Engine:
    """Works from its making until `stop`, or until the process ends in order."""

    def __init__(self, worker: Worker) -> None:
        self._loop = asyncio.new_event_loop()
        self._worker = worker
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()
        _ = atexit.register(self.stop)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def permit(self) -> Future[bool]:
        """Have the run that is next taken up; when that has ended the future is done. From any thread."""
        waiting = self._permit()
        try:
            return asyncio.run_coroutine_threadsafe(waiting, self._loop)
        except RuntimeError:
            # It has stopped, and its loop is closed.
            waiting.close()
            refused = Future[bool]()
            refused.set_result(False)
            return refused

    def stop_soon(self) -> None:
        """Begin to hand back what is under way, and do not wait. From any thread, and from a signal's handler."""
        if self._thread.is_alive():
            _ = self._loop.call_soon_threadsafe(self._worker.stop)

    def stop(self) -> None:
        """Hand back what is under way, and wait until that is done."""
        self.stop_soon()
        self._thread.join(execution_settings().limits.grace + LAST_SECONDS)
        recorder.stop()
        publisher.stop()
        atexit.unregister(self.stop)

    async def _permit(self) -> bool:
        try:
            return await self._worker.permit()
        except (Stopping, asyncio.CancelledError):
            # Or it has stopped, and its loop ends.
            return False

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as loop_runner:
            loop_runner.run(self._worker.serve())
