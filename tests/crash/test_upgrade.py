"""A rolling upgrade on PostgreSQL: the release before is at work while the tables change and new workers come."""

import os
import signal
from collections import Counter

import pytest

from tests import databases
from tests.crash.upgrading import BEFORE, GATED, NOVEL, Before, filled, release_before, writing
from tests.crash.world import EXECUTIONS, NODES, Place, World
from tests.eventually import eventually

FULL = os.environ.get("CRASH_SIZE") == "full"
# Runs that were over long before.
OLD_RUNS = 200_000 if FULL else 2_000
# Nobody may wait longer for a lock of the migration; beside other tests a migration is as slow as they are many.
LOCK_SECONDS = 2 if FULL else 15

pytestmark = pytest.mark.timeout(600 if FULL else 180)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    found = release_before(tmp_path_factory.mktemp("before"))
    if found is None:
        pytest.skip(f"the release before, {BEFORE}, is not in this clone: `git fetch --unshallow` brings it")
    return found


@pytest.fixture
def stage(tree, tmp_path, worker_id):
    """The release before and this one, at one database that has no tables yet."""
    with databases.new(f"upgrade_{worker_id}", tmp_path) as url:
        place = Place(url, tmp_path)
        old, new = Before(tree, place), World(place)
        try:
            yield old, new
        finally:
            old.end()
            new.end()


def test_runs_of_the_release_before_are_finished_while_the_tables_change_and_workers_of_both_are_at_work(stage, figure):
    old, new = stage
    old.do("migrate")
    for gate in ("first", "second"):
        old.do("import_workflow", str(_file(new, GATED.format(gate=gate))))
    first = old.accept("first", 30)
    second = old.accept("second", 20)
    worker = old.worker(concurrency=31)
    _come_to(lambda: _at_the_gate(new, first) == 30)

    with filled(new.place.url, OLD_RUNS), writing(new.place.url, LOCK_SECONDS) as took:
        _finish(new, "migrate", "-v", "0")
    assert len(took) > 1

    # Nobody else is there: what the old worker had, it finishes; what waits, it takes, whoever accepted it.
    second += _accept(new, "second", 5)
    second += old.accept("second", 5)
    _open(new, "first")
    _come_to(lambda: _at_the_gate(new, second) == 30)
    assert _statuses(new, first) == {"completed": 30}
    (owner,) = _owners(new, second)
    # What it does not understand it takes too, and lets go of it.
    _finish(new, "import_workflow", _file(new, NOVEL))
    novel = _accept(new, "novel", 1)
    _come_to(lambda: _owners(new, novel) == [owner])
    second += old.accept("second", 1)
    _come_to(lambda: _at_the_gate(new, second) == 31)

    # It has its hands full: the new ones take what comes, and what it leaves behind.
    later = _accept(new, "second", 5) + old.accept("second", 5)
    for _ in range(2):
        _ = new.worker(concurrency=30)
    _open(new, "novel")
    _come_to(lambda: _at_the_gate(new, later) == 10 and _statuses(new, novel) == {"completed": 1})
    assert owner not in _owners(new, later + novel)
    assert _owners(new, second) == [owner]
    worker.send_signal(signal.SIGKILL)
    _come_to(lambda: owner not in _owners(new, second) and _at_the_gate(new, second) == 31)
    _open(new, "second")
    new.all_over(72)
    assert _statuses(new, first + second[:20]) == {"completed": 50}
    assert _statuses(new, second[20:] + later + novel) == {"completed": 22}
    # Nothing ran twice but what was waiting at the gate.
    assert Counter(line["node"] for line in new.ledger()) == {"before": 72, "waits": 103, "after": 72}
    assert new.verdict() == {}
    figure(
        "rolling upgrade: upgraded_mid_flight=50 ok=50, accepted by both releases meanwhile=22 ok=22, recovered=31; "
        f"longest wait of a writer with {OLD_RUNS} old runs: {max(took) * 1000:.0f} ms"
    )


def _come_to(condition):
    """Processes of another release start slowly where everything has to be compiled and others are at work too."""
    eventually(condition, seconds=60)


def _finish(world, *command):
    code, out = world.finished(*command)
    assert code == 0, out


def _accept(world, name, count):
    accepting = world.accept(name, count)
    accepting.join(30)
    ids = world.output(accepting).split()
    assert len(ids) == count, ids
    return ids


def _file(world, text):
    path = world.place.folder / "workflow.yaml"
    _ = path.write_text(text)
    return path


def _open(world, gate):
    (world.place.folder / gate).touch()


def _at_the_gate(world, ids):
    """How many of these runs wait there, in the hands of an engine."""
    return len(
        world.rows(
            f"SELECT 1 FROM {EXECUTIONS} JOIN {NODES} AS n ON execution_id = {EXECUTIONS}.id "
            f"WHERE {_chosen(ids)} AND n.key = 'waits' AND n.status = 'running'"
        )
    )


def _statuses(world, ids):
    return Counter(status for (status,) in world.rows(f"SELECT status FROM {EXECUTIONS} WHERE {_chosen(ids)}"))


def _owners(world, ids):
    return [owner for (owner,) in world.rows(f"SELECT DISTINCT claimed_by FROM {EXECUTIONS} WHERE {_chosen(ids)}")]


def _chosen(ids):
    return f"{EXECUTIONS}.id IN ({', '.join(f"'{one}'" for one in ids)})"
