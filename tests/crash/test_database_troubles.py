"""An SQLite database that is locked, or whose disk is full: runs wait, and go on when it is well again."""

import contextlib
import sqlite3
import time

import pytest

from tests.crash.world import LOGS, Place, World
from tests.eventually import eventually


def path_of(world):
    return world.place.url.removeprefix("sqlite:///")


@pytest.mark.parametrize(("seconds", "recovered"), [(1.5, 0), (5.0, 1)])
def test_a_lock_shorter_than_the_lease_costs_time_and_a_longer_one_the_owner(world, seconds, recovered):
    worker = world.worker()
    _ = world.accept("busy", 1)
    eventually(lambda: world.rows(f"SELECT 1 FROM {LOGS} WHERE event = 'node.running' AND node = 'a'"))
    with contextlib.closing(sqlite3.connect(path_of(world), isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    world.all_over(1)
    assert world.verdict() == {}
    assert len(world.rows(f"SELECT 1 FROM {LOGS} WHERE event = 'execution.recovered'")) == recovered
    assert worker.is_alive()
    assert "waits for the database: database is locked" in world.output(worker)
    assert "Traceback" not in world.output(worker)


@pytest.mark.parametrize("seconds", [1.0, 6.0])
def test_a_full_disk_is_said_and_runs_go_on_when_there_is_space(world, tmp_path, seconds):
    full = tmp_path / "full"
    crowded = World(Place(world.place.url, tmp_path, full), running=world.running)
    worker = crowded.worker()
    accepting = crowded.accept("busy", 20)
    accepting.join(20)
    ((pages,),) = crowded.rows("PRAGMA page_count")
    full.write_text(str(pages))
    eventually(lambda: "is full" in crowded.output(worker))
    time.sleep(seconds)
    full.unlink()
    crowded.all_over(20)
    assert crowded.verdict() == {}
    assert set(crowded.statuses()) <= {"completed", "failed"}
    assert worker.is_alive()
    assert "Traceback" not in crowded.output(worker)
    assert crowded.rows("PRAGMA quick_check") == [("ok",)]
