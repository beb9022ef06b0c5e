"""What holds of every dispatcher, with real servers and real processes."""

import os
import signal
import socket
from datetime import UTC, datetime, timedelta

import pytest

from tests import databases
from tests.crash.world import EXECUTIONS, NODES
from tests.eventually import eventually
from tests.fleet.conftest import FULL

# Longer than a test: nobody looks for runs without a permit.
NEVER = {"SCAN_SECONDS": 300}
only = pytest.mark.parametrize
# The first one waits for the process that all others are forked from.
pytestmark = pytest.mark.timeout(150)


def test_runs_begin_at_the_word_of_their_dispatcher(fleet):
    fleet.tell_by(fleet.name, **NEVER)
    for _ in range(2):
        _ = fleet.worker()
    for _ in range(2):
        _ = fleet.accept("calm", 20)
    fleet.all_over(40)
    assert fleet.verdict() == {}
    # Nothing is left of what was sent.
    assert eventually(lambda: not fleet.jobs())


@only("fleet", ["lists.Lists"], indirect=True)
def test_the_dispatcher_of_the_documentation_does_too(fleet):
    worker = fleet.worker()
    _ = fleet.ask("calm", 3)
    fleet.all_over(3)
    _ = fleet.ask("long")
    eventually(lambda: fleet.statuses()["running"])
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(20)
    assert worker.exitcode == 0
    assert fleet.rows(f"SELECT claimed_by FROM {EXECUTIONS} WHERE status = 'running'") == [("",)]


def test_a_run_is_picked_up_soon(fleet, figure):
    fleet.tell_by(fleet.name, **NEVER)
    worker = fleet.worker(concurrency=32)
    # What a worker loads for its first run is no pick-up.
    _ = fleet.ask("calm")
    fleet.all_over(1)
    waits = fleet.pick_ups("calm", 200 if FULL else 20, pause=0.1 if FULL else 0.05)
    assert worker.is_alive()
    at = {part: waits[int(len(waits) * part)] * 1000 for part in (0.5, 0.99)}
    figure(f"commit of a start to the claim, {fleet.name}: p50 {at[0.5]:.0f} ms, p99 {at[0.99]:.0f} ms, n={len(waits)}")


def test_of_a_start_that_is_taken_back_there_is_no_word(fleet):
    _ = fleet.ask("calm", 3, rolled_back=True)
    assert (fleet.statuses(), fleet.jobs() or 0) == ({}, 0)
    _ = fleet.ask("calm", 3)
    assert (fleet.statuses(), fleet.jobs() or 3) == ({"pending": 3}, 3)


def test_a_worker_takes_runs_of_its_queues_only(fleet):
    others, own = fleet.ask("calm", 4), fleet.ask("cpu", 4)
    _ = fleet.worker("cpu")
    eventually(lambda: fleet.statuses() == {"completed": 4, "pending": 4})
    assert set(fleet.events("execution.completed")) == set(own)
    _ = fleet.worker("default")
    fleet.all_over(8)
    assert set(fleet.events("execution.completed")) == {*own, *others}


def test_runs_of_a_higher_priority_are_taken_first(fleet):
    fleet.tell_by(fleet.name, **NEVER)
    low, high, middle = (fleet.ask("calm", 2, priority=priority) for priority in (-5, 5, 0))
    _ = fleet.worker(concurrency=1)
    fleet.all_over(6)
    assert fleet.events("execution.running") == [*high, *middle, *low]


def test_a_run_for_later_begins_when_it_is_due(fleet):
    _ = fleet.worker()
    due = datetime.now(UTC) + timedelta(seconds=3)
    _ = fleet.ask("calm", run_at=due)
    fleet.all_over(1)
    ((begun,),) = fleet.rows(f"SELECT started_at FROM {EXECUTIONS}")
    assert begun >= due


def test_a_run_that_waited_for_another_of_its_key_begins_when_that_has_ended(fleet):
    fleet.tell_by(fleet.name, **NEVER)
    _ = fleet.worker()
    _ = fleet.ask("keyed", 8)
    fleet.all_over(8)
    assert fleet.statuses() == {"completed": 8}


def test_a_run_of_which_there_is_word_again_and_again_runs_once(fleet):
    _ = fleet.ask("calm", 3, words=4)
    for _ in range(2):
        _ = fleet.worker()
    fleet.all_over(3)
    assert len(fleet.events("execution.running")) == 3
    assert len(fleet.ledger()) == 6
    assert eventually(lambda: not fleet.jobs())


def test_runs_whose_word_was_lost_are_found(fleet):
    _ = fleet.ask("calm", 5)
    fleet.lose_jobs()
    _ = fleet.worker()
    fleet.all_over(5)
    assert fleet.statuses() == {"completed": 5}


def test_a_pending_run_and_a_running_one_are_cancelled_from_another_process(fleet):
    running, pending = fleet.ask("long", 2)
    _ = fleet.worker(concurrency=1)
    eventually(lambda: fleet.statuses() == {"running": 1, "pending": 1})
    for execution_id in (pending, running):
        code, out = fleet.finished("cancel_execution", execution_id)
        assert code == 0, out
    fleet.all_over(2)
    assert fleet.statuses() == {"cancelled": 2}


def test_of_a_killed_worker_nothing_is_lost(fleet):
    killed = fleet.worker()
    _ = fleet.ask("slow", 4)
    eventually(lambda: fleet.rows(f"SELECT 1 FROM {NODES} WHERE key = 'second' AND status = 'running'"))
    os.kill(killed.pid, signal.SIGKILL)
    _ = fleet.worker()
    fleet.all_over(4)
    assert fleet.statuses() == {"completed": 4}
    assert fleet.verdict() == {}


def test_a_worker_that_is_told_to_end_hands_its_runs_back(fleet):
    ended = fleet.worker()
    _ = fleet.ask("slow", 4)
    eventually(lambda: len(fleet.rows(f"SELECT 1 FROM {NODES} WHERE key = 'second' AND status = 'running'")) == 4)
    os.kill(ended.pid, signal.SIGTERM)
    ended.join(20)
    assert ended.exitcode == 0, fleet.output(ended)
    assert fleet.rows(f"SELECT DISTINCT status, claimed_by FROM {EXECUTIONS}") == [("running", "")]
    _ = fleet.worker()
    fleet.all_over(4)
    assert fleet.rows(f"SELECT DISTINCT status, recoveries FROM {EXECUTIONS}") == [("completed", 0)]
    assert fleet.verdict() == {}


def test_ten_thousand_runs_of_one_owner_do_not_delay_the_first_of_another(fleet):
    _ = fleet.ask("long", user="ada")
    databases.rows(fleet.place.url, _MANY_MORE)
    (first,) = fleet.ask("long", user="grace")
    _ = fleet.worker(concurrency=2)
    assert first in eventually(lambda: len(begun := fleet.events("execution.running")) == 2 and begun)


# The rows alone: they will not run.
_SAME = """version_id, started_by_id, trigger_type, scheduling, labels, status, reason, input, exclusive, queue,
    priority, due_at, concurrency_key, concurrency_limit, lane, request_hash, fence, last_seq, recorded_seq, claimed_by,
    recoveries, cancel_reason, created_at"""
_MANY_MORE = f"""
    INSERT INTO {EXECUTIONS} (id, {_SAME})
    SELECT gen_random_uuid(), {_SAME} FROM {EXECUTIONS}, generate_series(1, 10000) RETURNING 1"""


@only("fleet", ["procrastinate", "celery"], indirect=True)
def test_a_site_changes_its_dispatcher_in_the_middle_of_a_hundred_runs(fleet, figure):
    chosen = fleet.name
    fleet.tell_by("inline")
    before = fleet.worker()
    accepting = fleet.accept("calm", 100, pause=0.02)
    eventually(lambda: len(fleet.events("execution.completed")) > 20)
    at_change = fleet.statuses()
    fleet.tell_by(chosen)
    _ = fleet.worker()
    os.kill(before.pid, signal.SIGTERM)
    more = fleet.accept("calm", 20)
    for process in (accepting, more):
        process.join(60)
    fleet.all_over(120)
    assert fleet.statuses() == {"completed": 120}
    assert fleet.verdict() == {}
    times = len(fleet.rows(f"SELECT 1 FROM {EXECUTIONS} WHERE status = 'completed'"))
    figure(
        f"from inline to {chosen}: runs={times} of which at the change {dict(at_change)}; "
        f"completed={times} ended more than once={times - len(set(fleet.events('execution.completed')))}"
    )


@only("fleet", ["celery"], indirect=True)
@only("how", ["refuses", "is silent"])
def test_a_broker_that_is_away_neither_keeps_a_run_from_starting_nor_holds_it_up(fleet, how, request):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if how == "refuses":
            silent.close()
        fleet.tell_by("celery", CELERY_BROKER=f"redis://127.0.0.1:{port}/0")
        # Each of them would wait in vain.
        _ = fleet.ask("calm", 20)
    assert fleet.statuses() == {"pending": 20}
    _ = fleet.worker()
    fleet.all_over(20)
    assert fleet.statuses() == {"completed": 20}


@only(
    ("fleet", "arguments"),
    [
        ("procrastinate", ["--shutdown-graceful-timeout", "0.1", "--concurrency", "4"]),
        ("celery", ["--pool", "threads", "--concurrency", "4", "-Q", "default"]),
        ("celery", ["--pool", "prefork", "--concurrency", "2", "-Q", "default"]),
    ],
    indirect=["fleet"],
    ids=["procrastinate", "celery with threads", "celery with processes"],
)
def test_workers_that_a_team_has_already_run_them_too_and_hand_them_back(fleet, arguments):
    worker = fleet.own_worker(*arguments)
    _ = fleet.ask("calm", 4)
    fleet.all_over(4, seconds=30)
    asked = fleet.ask("long", 2)
    eventually(lambda: len(fleet.rows(f"SELECT 1 FROM {NODES} WHERE key = 'first' AND status = 'running'")) == 2)
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(20)
    assert worker.exitcode == 0, fleet.output(worker)
    open_ones = f"SELECT id::text, status, claimed_by FROM {EXECUTIONS} WHERE status <> 'completed' ORDER BY id"
    assert fleet.rows(open_ones) == [(one, "running", "") for one in asked]
