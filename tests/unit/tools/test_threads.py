"""The bounded threads of synchronous tools."""

import asyncio
import contextvars
import threading

import pytest

from tests.eventually import eventually
from workflows_app.tools import threads
from workflows_app.tools.context import ToolContext
from workflows_app.tools.threads import ThreadPool


class Told:
    """A context that keeps what it is told of interruptions."""

    def __init__(self):
        self.interruptions = []
        self.context = ToolContext(
            execution_id="e",
            node="n",
            attempt_id="a",
            idempotency_key="k",
            number=1,
            deadline=0,
            journal=lambda *_line: None,
            interrupted=lambda why, remains: self.interruptions.append((why, remains)),
        )


@pytest.fixture
def told():
    return Told()


async def interrupt(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_function_runs_in_another_thread_with_the_callers_context(told):
    variable = contextvars.ContextVar("variable")
    variable.set("seen")
    found = await ThreadPool().call(lambda: (variable.get(), threading.current_thread()), told.context)
    assert found[0] == "seen"
    assert found[1] is not threading.current_thread()
    assert found[1].daemon


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemExit(3), KeyboardInterrupt()])
async def test_whatever_a_function_raises_reaches_its_caller(told, error):
    def raises():
        raise error

    async def caught():
        try:
            await ThreadPool().call(raises, told.context)
        except BaseException as raised:  # noqa: BLE001 - an exit must not leave the task
            return raised

    assert await caught() is error


async def test_there_are_no_more_threads_than_the_limit_and_all_work_is_done(told):
    pool, lock, at_work, peak = ThreadPool(3), threading.Lock(), 0, 0

    def work(number):
        nonlocal at_work, peak
        with lock:
            at_work += 1
            peak = max(peak, at_work)
        threading.Event().wait(0.001)
        with lock:
            at_work -= 1
        return number

    results = await asyncio.gather(*(pool.call(lambda n=n: work(n), told.context) for n in range(200)))
    assert results == list(range(200))
    assert peak == pool.threads == 3


async def test_a_thread_that_hangs_keeps_its_place_until_it_ends(told):
    pool, release = ThreadPool(2), threading.Event()
    hung = [asyncio.create_task(pool.call(release.wait, told.context)) for _ in range(2)]
    waits = asyncio.create_task(pool.call(lambda: "never", told.context))
    await asyncio.sleep(0.02)
    for task in hung:
        await interrupt(task)
    assert pool.overdue == pool.threads == 2
    await interrupt(waits)
    assert told.interruptions == [
        (
            "Its thread goes on, for Python cannot stop one, and keeps its place until it ends: "
            f"{count} of 2 threads are held like this.",
            "goes on",
        )
        for count in (1, 2)
    ] + [
        (
            "It waited for a thread: all 2 for synchronous tools are taken, 2 of them by tools whose nodes have ended.",
            "never began",
        )
    ]
    release.set()
    eventually(lambda: pool.overdue == 0)
    assert await pool.call(lambda: "again", told.context) == "again"


async def test_what_has_not_begun_never_begins_after_its_cancellation(told):
    pool, release, ran = ThreadPool(1), threading.Event(), []
    first = asyncio.create_task(pool.call(release.wait, told.context))
    second = asyncio.create_task(pool.call(lambda: ran.append(2), told.context))
    await asyncio.sleep(0.01)
    await interrupt(second)
    assert told.interruptions == [("It waited for a thread: all 1 for synchronous tools are taken.", "never began")]
    release.set()
    await first
    await pool.call(lambda: ran.append(3), told.context)
    assert ran == [3]


async def test_a_higher_limit_counts_at_once(told):
    pool, release = ThreadPool(1), threading.Event()
    hung = asyncio.create_task(pool.call(release.wait, told.context))
    await asyncio.sleep(0.01)
    pool.limit = 2
    assert await pool.call(lambda: "ran", told.context) == "ran"
    release.set()
    await hung


async def test_an_idle_thread_ends_and_gives_back_what_is_its_own(told, monkeypatch):
    monkeypatch.setattr(threads, "IDLE_SECONDS", 0.01)
    pool, calls, ends = ThreadPool(), [], []
    pool.after_call = lambda: calls.append(threading.current_thread())
    pool.at_end = lambda: ends.append(threading.current_thread())
    await pool.call(lambda: None, told.context)
    eventually(lambda: ends)
    assert calls == ends
    assert pool.threads == 0
    assert await pool.call(lambda: "new", told.context) == "new"


async def test_a_thread_that_cannot_be_tidied_up_does_its_work_all_the_same(told, caplog):
    pool = ThreadPool()

    def fails():
        raise OSError("no connection to close")

    pool.after_call = fails
    assert await pool.call(lambda: "done", told.context) == "done"
    assert "could not be tidied up" in caplog.text


def test_event_loops_of_several_threads_share_the_places(told):
    pool = ThreadPool(2)

    async def many():
        return sum(await asyncio.gather(*(pool.call(lambda: 1, told.context) for _ in range(100))))

    sums = []
    loops = [threading.Thread(target=lambda: sums.append(asyncio.run(many()))) for _ in range(4)]
    for thread in loops:
        thread.start()
    for thread in loops:
        thread.join(30)
    assert sums == [100] * 4
    assert pool.threads <= 2
