"""The engine's `Sink` over the recorder: events leave an event loop together, answers come back together."""

import asyncio
import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from executions_app.engine.errors import OwnershipLost, RecorderFailed
from executions_app.engine.events import Event
from executions_app.engine.ports import POST_SECONDS
from executions_app.live.events import Committed, Observer
from executions_app.recorder.thread import Recorder, Request, recorder
from executions_app.recorder.writer import Result, Run

logger = logging.getLogger(__name__)


class RecordingSink:
    """The recorder, as one run sees it. `observe` hears what is durable, in order."""

    __slots__ = ("_closed", "_events", "_hub", "_observe", "_waiting", "run")

    def __init__(self, run: Run, *, observe: Observer | None = None) -> None:
        self.run = run
        self._observe = observe
        self._hub = _Hub.of_running_loop()
        self._events: list[Event] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._closed: BaseException | None = None

    def post(self, event: Event) -> None:
        if self._closed is None:
            self._events.append(event)
            self._hub.take_soon(self)

    async def commit(self, events: Sequence[Event]) -> None:
        if self._closed is not None:
            raise self._closed
        if not events and not self._events:
            return
        self._events.extend(events)
        durable = asyncio.get_running_loop().create_future()
        self._waiting.append(durable)
        self._hub.take_now(self)
        await durable

    def lose(self) -> None:
        """Accept nothing more, for the run has another owner; in the sink's event loop. See also `Run.lost`."""
        if self._closed is None:
            self._closed = OwnershipLost(self.run.execution_id)

    def request(self) -> tuple[Request, "_Answer"]:
        """Everything that waits, as one request."""
        answer = _Answer(self, self._waiting)
        request = Request(run=self.run, events=self._events, done=answer.arrive)
        self._events, self._waiting = [], []
        return request, answer

    def settle(self, result: Result, waiting: Sequence[asyncio.Future[None]]) -> None:
        """Take an answer, in the event loop."""
        if isinstance(result, BaseException):
            self._closed = _refusal(result)
        for future in waiting:
            if not future.done():
                if self._closed is None:
                    future.set_result(None)
                else:
                    future.set_exception(self._closed)
        if not isinstance(result, BaseException):
            self._tell(result)

    def _tell(self, committed: Sequence[Committed]) -> None:
        """Whoever watches must not hurt the run: an observer that fails is heard of once, and told nothing more."""
        if self._observe is None or not committed:
            return
        try:
            self._observe(committed)
        except Exception:
            self._observe = None
            logger.exception("An observer of execution %s failed and is left out from here.", self.run.execution_id)


def _refusal(error: BaseException) -> BaseException:
    if isinstance(error, OwnershipLost):
        return error
    refusal = RecorderFailed(f"The record could not be written: {error}")
    refusal.__cause__ = error
    return refusal


class _Answer:
    """The way back of one request: filled in the recorder's thread, opened in the event loop."""

    __slots__ = ("_sink", "_waiting", "outbox", "result")

    def __init__(self, sink: RecordingSink, waiting: Sequence[asyncio.Future[None]]) -> None:
        self._sink = sink
        self._waiting = waiting
        self.outbox: _Outbox | None = None
        self.result: Result = []

    def arrive(self, result: Result) -> None:
        self.result = result
        assert self.outbox is not None
        self.outbox.arrived()

    def open(self) -> None:
        self._sink.settle(self.result, self._waiting)


class _Outbox:
    """Answers of requests that left together come back in one turn of the loop."""

    __slots__ = ("_answers", "_loop", "_open")

    def __init__(self, loop: asyncio.AbstractEventLoop, answers: Sequence[_Answer]) -> None:
        self._loop = loop
        self._answers = answers
        self._open = len(answers)
        for answer in answers:
            answer.outbox = self

    def arrived(self) -> None:
        self._open -= 1
        if not self._open:
            try:
                _ = self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                # The loop was closed while its last batch was written: there is nobody left to tell.
                self._answers = ()

    def _deliver(self) -> None:
        for answer in self._answers:
            answer.open()


class _Hub:
    """Collects, for one event loop, the sinks with something to write."""

    # A hub holds no reference to its loop: it lives as long as that does.
    _of_loop: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Hub]" = WeakKeyDictionary()

    def __init__(self, writer: Recorder) -> None:
        self._recorder = writer
        self._dirty: dict[RecordingSink, None] = {}
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def of_running_loop(cls) -> "_Hub":
        loop = asyncio.get_running_loop()
        hub = cls._of_loop.get(loop)
        if hub is None:
            hub = cls._of_loop[loop] = cls(recorder)
        return hub

    def take_now(self, sink: RecordingSink) -> None:
        """Hand over at the end of this turn of the loop: whoever is ready too comes along."""
        self._dirty[sink] = None
        if not self._scheduled:
            self._scheduled = True
            _ = asyncio.get_running_loop().call_soon(self._hand_over)

    def take_soon(self, sink: RecordingSink) -> None:
        self._dirty[sink] = None
        if not self._scheduled and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(POST_SECONDS, self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._dirty:
            return
        pairs = [sink.request() for sink in self._dirty]
        self._dirty.clear()
        _ = _Outbox(asyncio.get_running_loop(), [answer for _, answer in pairs])
        self._recorder.submit([request for request, _ in pairs])
