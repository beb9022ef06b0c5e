"""Those who wait for turns at a tool: few questions, in order, shared fairly, and never too many calls."""

import asyncio
import random
from contextlib import suppress

import pytest
from django.db import OperationalError, ProgrammingError
from hypothesis import given, settings
from hypothesis import strategies as st

from executions_app.dispatch.pacing import Pacer
from executions_app.simulation.virtual_time import run
from tests.integration.buckets import Bucket, surplus
from workflows_app.tools import rates
from workflows_app.tools.rates import Rate

TOOL = "rated.tool"


@pytest.fixture
def rate(monkeypatch):
    """Sets the rate of the tool; None: it has none."""
    said: dict[str, Rate | None] = {}
    monkeypatch.setattr(rates, "current", lambda: said)

    def set_(text):
        said[TOOL] = None if text is None else Rate.parse(text)
        return said[TOOL]

    return set_


def pacers(bucket, number=1, seed=0):
    return [Pacer(bucket.asked, random.Random(f"{seed} {one}").random) for one in range(number)]


async def call(pacer, times=None):
    """One call, when its turn has come."""
    for turn in pacer.turns([TOOL]):
        await turn.wait()
    if times is not None:
        times.append(asyncio.get_running_loop().time())


async def call_for_ever(pacer, times):
    while True:
        await call(pacer, times)


def calls_of(bucket):
    return [at for at, granted in bucket.granted for _ in range(granted)]


def test_a_thousand_that_wait_ask_a_few_times_and_go_in_the_order_in_which_they_came(rate):
    limit, bucket, order = rate("1000/s"), Bucket(), []

    async def one(pacer, number):
        await call(pacer)
        order.append(number)

    async def main():
        (pacer,) = pacers(bucket)
        await asyncio.gather(*(one(pacer, number) for number in range(1000)))
        return asyncio.get_running_loop().time()

    took = run(main())
    assert order == list(range(1000))
    assert len(bucket.questions) <= 20
    assert surplus(calls_of(bucket), limit) <= 0
    # A tenth of a second's worth goes at once.
    assert 0.89 < took < 1.0


def test_ten_thousand_that_wait_for_a_slow_tool_ask_once_for_each_call(rate):
    _ = rate("10/s")
    bucket, times = Bucket(), []

    async def main():
        (pacer,) = pacers(bucket)
        waiting = [asyncio.create_task(call(pacer, times)) for _ in range(10_000)]
        await asyncio.sleep(30)
        for one in waiting:
            _ = one.cancel()

    run(main())
    assert 298 <= len(times) <= 302
    assert len(bucket.questions) <= len(times) + 2


@pytest.mark.parametrize(("text", "seconds"), [("10/s", 60), ("1000/s", 5), ("100/m", 240), ("10/s burst 20", 60)])
def test_processes_share_a_rate_fairly_and_use_it(rate, text, seconds, figure):
    limit, bucket, number = rate(text), Bucket(), 4

    async def main():
        times = [[] for _ in range(number)]
        waiting = [
            asyncio.create_task(call_for_ever(pacer, times[one]))
            for one, pacer in enumerate(pacers(bucket, number))
            for _ in range(150)
        ]
        await asyncio.sleep(seconds)
        for one in waiting:
            _ = one.cancel()
        return [len(one) for one in times]

    counts = run(main())
    ratio = sum(counts) / (limit.per_second * seconds)
    assert ratio > 0.9
    assert min(counts) > sum(counts) / number * 0.6
    assert surplus(calls_of(bucket), limit) <= 1e-6
    assert len(bucket.questions) < number * (sum(counts) + 5)
    figure(f"rate {text} shared by {number} processes: {ratio:.3f} of it used, calls of each {counts}")


def test_twenty_processes_do_not_ask_twenty_times_for_each_call(rate):
    _ = rate("10/s")
    bucket = Bucket()

    async def main():
        times = []
        waiting = [asyncio.create_task(call_for_ever(pacer, times)) for pacer in pacers(bucket, 20)]
        await asyncio.sleep(60)
        for one in waiting:
            _ = one.cancel()
        return times

    times = run(main())
    assert len(times) > 0.85 * 600
    assert len(bucket.questions) < 5 * len(times)


@settings(max_examples=40)
@given(
    st.sampled_from(["1/s", "7/s", "50/s", "300/m", "1000/s", "9/s burst 1", "5/s burst 30"]),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 20), st.booleans()), max_size=60),
    st.integers(0, 1000),
)
def test_there_are_never_more_calls_than_the_rate_allows(text, number, arrivals, seed):
    limit, bucket, times = Rate.parse(text), Bucket(), []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rates, "current", lambda: {TOOL: limit})

        async def comes(pacer, after, goes):
            await asyncio.sleep(after)
            if not goes:
                await call(pacer, times)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(after % 0.3):
                    await call(pacer)
                    times.append(asyncio.get_running_loop().time())

        async def main():
            them = pacers(bucket, number, seed)
            await asyncio.gather(*(comes(them[one % number], after, goes) for one, after, goes in arrivals))

        run(main())
    assert len(times) >= sum(not goes for _, _, goes in arrivals)
    # A call is made a little after it was granted.
    assert surplus(times, limit) <= limit.per_second * bucket.latency * 2 + 1e-6


def test_the_judge_sees_calls_that_are_too_many():
    limit = Rate.parse("10/s burst 2")
    assert surplus([0, 0, 0.1, 0.2], limit) == pytest.approx(0)
    assert surplus([0, 0, 0.1, 0.15], limit) == pytest.approx(0.5)
    assert surplus([5, 0, 5, 5], limit) == pytest.approx(1)


def test_what_is_given_to_nobody_is_given_back(rate):
    _ = rate("1/h burst 3")
    bucket = Bucket(latency=1.0)

    async def main():
        (pacer,) = pacers(bucket)
        waiting = [asyncio.create_task(call(pacer)) for _ in range(3)]
        # While the question is on its way.
        await asyncio.sleep(1.5)
        for one in waiting[1:]:
            _ = one.cancel()
        await waiting[0]
        await asyncio.gather(call(pacer), call(pacer))
        return asyncio.get_running_loop().time()

    assert run(main()) < 10
    assert bucket.questions == [3, -2, 2]


def test_when_nobody_waits_any_more_nobody_asks_and_who_comes_then_does_not_ask_too_early(rate):
    _ = rate("1/m burst 1")
    bucket = Bucket()

    async def main():
        (pacer,) = pacers(bucket)
        await call(pacer)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await call(pacer)
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 1
        await call(pacer)
        return asyncio.get_running_loop().time()

    assert 60 <= run(main()) < 61
    assert bucket.questions == [1, 1]


def test_another_rate_holds_at_once_for_who_comes_then(rate):
    _ = rate("1/h burst 1")
    bucket = Bucket()

    async def main():
        (pacer,) = pacers(bucket)
        await call(pacer)
        _ = rate("5/s")
        await call(pacer)
        assert asyncio.get_running_loop().time() < 1
        _ = rate("1/h burst 1")
        waiting = [asyncio.create_task(call(pacer)) for _ in range(5)]
        await asyncio.sleep(1)
        _ = rate("10/s")
        # Those who wait hear of it when they would have asked again, a minute later at the latest.
        await asyncio.gather(*waiting)
        changed_at = asyncio.get_running_loop().time()
        _ = rate(None)
        await asyncio.gather(*(call(pacer) for _ in range(100)))
        return changed_at, asyncio.get_running_loop().time()

    changed_at, ended_at = run(main())
    assert changed_at < 63
    assert ended_at == changed_at


def test_while_the_database_does_not_answer_they_wait_and_ask_once_a_second(rate):
    _ = rate("10/s")
    bucket = Bucket(broken=OperationalError("it is away"))

    async def main():
        (pacer,) = pacers(bucket)
        waiting = [asyncio.create_task(call(pacer)) for _ in range(3)]
        await asyncio.sleep(10)
        assert not any(one.done() for one in waiting)
        bucket.broken = None
        await asyncio.gather(*waiting)
        return asyncio.get_running_loop().time()

    assert run(main()) < 12
    assert len(bucket.questions) < 16


def test_what_the_database_refuses_is_told_to_who_waits(rate):
    _ = rate("10/s")
    bucket = Bucket(broken=ProgrammingError("there is no such table"))

    async def main():
        (pacer,) = pacers(bucket)
        told = await asyncio.gather(*(call(pacer) for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in told] == ["there is no such table"] * 3
        bucket.broken = None
        await call(pacer)

    run(main())


def test_of_two_rates_the_slower_one_is_waited_for_last(rate, monkeypatch):
    said = {"site.own": Rate.parse("1/m"), "its.kind": Rate.parse("10/s"), "none.at_all": None}
    monkeypatch.setattr(rates, "current", lambda: said)
    (pacer,) = pacers(Bucket())
    for names in (["site.own", "its.kind"], ["its.kind", "none.at_all", "site.own", "un.known"]):
        assert [turn.rule.split("'")[1] for turn in pacer.turns(names)] == ["its.kind", "site.own"]
