"""Workers are killed, stopped and told to end at any moment, and their database crashes: nothing is lost or stuck."""

import os
import random
import signal
import time
from contextlib import ExitStack

import pytest

from tests import databases
from tests.crash.conftest import prepare
from tests.crash.storm import LEASE_SECONDS, Storm
from tests.crash.world import EXECUTIONS, LOGS, NODES, Place, World, moment
from tests.eventually import eventually
from tests.postgresql import server

FULL = os.environ.get("CRASH_SIZE") == "full"
# (executions, kills, stops, terminations, crashes of the server)
SIZE = (400, 320, 210, 50, 6) if FULL else (60, 30, 8, 6, 2)
SCAN_SECONDS = 0.3
SEED = int(os.environ.get("CRASH_SEED", random.randrange(10**6)))

pytestmark = pytest.mark.timeout(900 if FULL else 150)


@pytest.fixture
def stage(world, tmp_path, told):
    """The world, and its server where it may be crashed: not the one that other tests use."""
    if not databases.ON_POSTGRESQL:
        yield world, None
        return
    with ExitStack() as stack:
        own = stack.enter_context(server())
        stormy = World(Place(own.url, tmp_path, settings=told))
        stack.callback(stormy.end)
        prepare(stormy)
        yield stormy, own


def test_nothing_is_lost_or_stuck_whatever_dies(stage, figure):
    world, own = stage
    executions, kills, stops, terms, crashes = SIZE
    chosen = random.Random(SEED)
    acts = ["kill"] * kills + ["stop"] * stops + ["term"] * terms + (["crash"] * crashes if own else [])
    Storm(world, chosen, own).rage(acts, executions)
    assert world.verdict() == {}, f"CRASH_SEED={SEED}"
    if not databases.ON_POSTGRESQL:
        assert world.rows("PRAGMA quick_check") == [("ok",)]
    figure(
        f"crash, seed {SEED}: executions={executions} kills={kills} stops={stops} terminations={terms} "
        f"database_crashes={crashes if own else 0} recovered={_count(world, 'execution.recovered')} "
        f"ended={dict(world.statuses())}; lost=0 stuck=0 stale_accepted=0 effects_twice_per_attempt=0 "
        "at_most_once_twice=0"
    )


@pytest.mark.parametrize("where", ["the same host", "another host"])
def test_a_killed_engine_is_noticed(world, where, figure):
    # Who cannot see the lock file of an engine has only its lease.
    apart = where == "another host"
    rounds = 2 if not FULL else 10 if apart else 40
    first, waits = world.worker(apart=apart), []
    for number in range(1, rounds + 1):
        world.accept("slow", 5).join(20)
        eventually(lambda: len(world.rows(f"SELECT 1 FROM {NODES} WHERE key = 'second' AND status = 'running'")) == 5)
        second = world.worker(apart=apart)
        eventually(lambda second=second: "ready" in world.output(second))
        killed_at = time.time()
        os.kill(first.pid, signal.SIGKILL)
        eventually(lambda number=number: _count(world, "execution.recovered") == 5 * number)
        times = sorted(at.timestamp() for _, at in _entries(world, "execution.recovered"))
        waits += [at - killed_at for at in times[-5:]]
        world.all_over(5 * number)
        first = second
    assert world.verdict() == {}
    settings = f"lease {LEASE_SECONDS:g} s, scan {SCAN_SECONDS:g} s"
    figure(f"kill to re-claim on {where}, {settings}: {_percentiles(sorted(waits))}")


@pytest.mark.parametrize("fenced", [True, False])
def test_an_owner_that_slept_beyond_its_lease_changes_nothing_and_without_a_fence_it_would(world, fenced, figure):
    sleepy = world.worker(concurrency=20, without_fence=not fenced)
    _ = world.accept("busy", 20)
    eventually(lambda: world.statuses() == {"running": 20} and len(_entries(world, "node.running")) > 30)
    os.kill(sleepy.pid, signal.SIGSTOP)
    left = world.statuses()["running"]
    _ = world.worker(concurrency=20, without_fence=not fenced)
    eventually(lambda: _count(world, "execution.recovered") == left)
    os.kill(sleepy.pid, signal.SIGCONT)
    if fenced:
        world.all_over(20)
        assert world.verdict() == {}
    else:
        # The harness finds what the fence prevents.
        stale = eventually(world.stale_writes)
        figure(f"control without fences: stale_accepted={stale}, and {sorted(world.verdict())}")


def test_a_run_that_kills_its_engines_is_failed_and_takes_no_other_along(world, figure):
    innocents = 100 if FULL else 20
    world.accept("poison", 1).join(20)
    _ = world.accept("calm", innocents)
    worker = world.worker()
    died = 0

    def over():
        nonlocal worker, died
        if not worker.is_alive():
            died += 1
            worker = world.worker()
        return world.statuses().keys() <= {"completed", "failed"}

    eventually(over, seconds=60)
    ((status, reason, recoveries),) = world.rows(
        f"SELECT status, reason, recoveries FROM {EXECUTIONS} WHERE status = 'failed'"
    )
    attempts = sum(line["node"] == "kill" for line in world.ledger())
    assert (status, reason, recoveries, attempts) == ("failed", "crash_loop", 4, 4)
    assert world.statuses() == {"failed": 1, "completed": innocents}
    # The second one had been warned.
    assert died == 2
    assert world.verdict() == {}
    figure(
        f"poison: engines died={died} attempts={attempts} final=crash_loop innocents completed={innocents}/{innocents}"
    )


def test_sixty_four_starts_with_one_key_are_one_execution(world, figure):
    starting = [world.accept("calm", 8, key="the same") for _ in range(8)]
    for process in starting:
        process.join(60)
        assert process.exitcode == 0
    ids = {line for process in starting for line in world.output(process).split()}
    assert len(ids) == len(world.rows(f"SELECT 1 FROM {EXECUTIONS}")) == 1
    _ = world.worker()
    world.all_over(1)
    figure("idempotent starts: requests=64 executions=1")


def test_a_cancel_from_another_process_is_heard_soon(world, figure):
    runs = 40 if FULL else 10
    _ = world.worker(concurrency=runs)
    accepting = world.accept("long", runs)
    accepting.join(30)
    eventually(lambda: len(_entries(world, "node.running", "first")) == runs)
    for execution_id in world.output(accepting).split():
        code, out = world.finished("cancel_execution", execution_id, "--reason", "the market closed")
        assert code == 0, out
    world.all_over(runs)
    asked = dict(_entries(world, "execution.cancel_requested"))
    ended = dict(_entries(world, "execution.cancelled"))
    assert asked.keys() == ended.keys()
    waits = sorted((ended[one] - at).total_seconds() for one, at in asked.items())
    how = "NOTIFY" if databases.ON_POSTGRESQL else "looking every 0.1 s"
    figure(f"cancel from another process, by {how}: {_percentiles(waits)}")
    assert world.verdict() == {}


def _entries(world, event, node=""):
    query = f"SELECT execution_id, at FROM {LOGS} WHERE event = '{event}'" + (f" AND node = '{node}'" if node else "")
    return [(execution, moment(at)) for execution, at in world.rows(query)]


def _count(world, event):
    return len(_entries(world, event))


def _percentiles(sorted_seconds):
    def at(part):
        return sorted_seconds[min(len(sorted_seconds) - 1, int(len(sorted_seconds) * part))] * 1000

    return f"p50 {at(0.5):.0f} ms, p99 {at(0.99):.0f} ms, n={len(sorted_seconds)}"
