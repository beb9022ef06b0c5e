"""Several workers share the rate of a tool, and one that dies takes nothing of it along."""

import os
import signal

import pytest

from tests.crash.world import NODES
from tests.eventually import eventually
from tests.integration.buckets import surplus
from workflows_app.tools.rates import Rate

pytestmark = pytest.mark.timeout(90)

FULL = os.environ.get("CRASH_SIZE") == "full"
RATE = Rate.parse("20/s")
RUNS, CALLS = 6, 60


def times_of(world):
    return sorted(line["at"] for line in world.ledger())


def used(times):
    """What part of the rate was used between the first and the last of these calls."""
    return (len(times) - 1) / (times[-1] - times[0]) / RATE.per_second


def lateness(workers):
    """How many calls may come together more than were granted together: those that a busy machine held up."""
    return workers * int(RATE.capacity)


def accepted(world):
    world.accept("rated", RUNS).join(30)


def test_workers_share_the_rate_of_a_tool(world, figure):
    accepted(world)
    for _ in range(3):
        _ = world.worker()
    world.all_over(RUNS)
    times = times_of(world)
    assert len(times) == CALLS
    assert surplus(times, RATE) <= lateness(3)
    assert used(times) > 0.5
    assert world.verdict() == {}
    figure(f"rate 20/s shared by 3 workers: {used(times):.2f} of it used, {surplus(times, RATE):.1f} calls too early")


def test_without_the_rate_the_same_judge_finds_too_many_calls(world):
    accepted(world)
    for _ in range(3):
        _ = world.worker(without_rates=True)
    world.all_over(RUNS)
    assert surplus(times_of(world), RATE) > lateness(3)


@pytest.mark.skipif(not FULL, reason="belongs to the full size: what it counts takes its time")
def test_a_worker_that_is_killed_takes_no_calls_along_and_leaves_none_in_doubt(world, figure):
    accepted(world)
    victim, _ = world.worker(), world.worker()
    eventually(lambda: len(times_of(world)) >= CALLS / 4, seconds=30)
    os.kill(victim.pid, signal.SIGKILL)
    before = len(times_of(world))
    world.all_over(RUNS)
    times = times_of(world)
    assert surplus(times, RATE) <= lateness(2)
    assert used(times[before:]) > 0.5
    assert world.verdict() == {}
    # Most of its nodes waited for their turn, and were not called: they are called by the other one.
    ((in_doubt,),) = world.rows(f"SELECT COUNT(*) FROM {NODES} WHERE status = 'failed'")
    assert in_doubt <= RATE.capacity
    assert CALLS - in_doubt <= len(times) <= CALLS
    figure(f"rate 20/s, one of 2 workers killed: {used(times[before:]):.2f} of it used, {in_doubt} calls in doubt")
