"""Virtual time with a real recorder: time stands still while its thread writes."""

import threading

import pytest

from executions_app import executor
from executions_app.dispatch import elsewhere, jobs, runner, worker
from executions_app.recorder.sink import RecordingSink
from executions_app.recorder.thread import in_recorder
from executions_app.simulation.virtual_time import VirtualTimeLoop, run


class LoopBesideThreads(VirtualTimeLoop):
    def __init__(self):
        super().__init__()
        self.waiting_for_threads = 0
        self._woken = threading.Event()

    def _write_to_self(self):
        self._woken.set()

    def select(self, timeout):
        if self.waiting_for_threads:
            # None or a timer: either way the threads come first.
            if timeout != 0:
                self._woken.wait()
            self._woken.clear()
            return ()
        return super().select(timeout)

    def counted(self, function):
        """The coroutine function, counted as waiting for threads while it does."""

        async def call(*arguments):
            self.waiting_for_threads += 1
            try:
                return await function(*arguments)
            finally:
                self.waiting_for_threads -= 1

        return call


@pytest.fixture
def run_virtually(monkeypatch):
    """Runs a coroutine whose waits for the recorder take no virtual time; gives its result and that time."""
    loop = LoopBesideThreads()
    for module in (executor, elsewhere, jobs, runner, worker):
        monkeypatch.setattr(module, "in_recorder", loop.counted(in_recorder))
    monkeypatch.setattr(RecordingSink, "commit", loop.counted(RecordingSink.commit))

    def run_(coroutine):
        result = run(coroutine, loop=loop)
        return result, loop.time()

    return run_
