"""The dispatchers, each with the servers that it needs, and the world of the crash tests for it."""

import os
import re
import sys
from dataclasses import replace

import pytest
import redis

from tests import databases, valkey
from tests.architecture.source import ROOT
from tests.crash.conftest import template
from tests.crash.world import Place, World
from tests.fleet import processes

# They are about several processes on one server.
collect_ignore_glob = [] if databases.ON_POSTGRESQL else ["test_*.py"]
# Workers of Celery take seconds to begin.
FULL = os.environ.get("CRASH_SIZE") == "full"
NAMES = ("inline", "procrastinate", "celery") if FULL else ("inline", "procrastinate")

CPU = """name: cpu
settings: {queue: cpu}
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: crash.read, inputs: {seconds: 0.1}}
edges:
  - {from: t, to: a}
"""
KEYED = """name: keyed
settings: {concurrency: {key: all, limit: 2}}
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: crash.read, inputs: {seconds: 0.05}}
edges:
  - {from: t, to: a}
"""


class Fleet(World):
    """A world whose processes are told by one dispatcher."""

    @property
    def name(self):
        return self.place.settings["DISPATCH"]

    def tell_by(self, name, **settings):
        """Processes that are started from now on are told by this one."""
        self.place = replace(self.place, settings=self.place.settings | {"DISPATCH": name} | settings)

    def ask(self, workflow, number=1, **asked):
        """Have runs accepted; their ids."""
        process = self.fork(processes.accept, workflow, number, asked)
        process.join(60)
        assert process.exitcode == 0, self.output(process)
        return self.output(process).split()

    def own_worker(self, *arguments):
        return self.fork(processes.own_worker, arguments)

    def jobs(self):
        """How many jobs its dispatcher has; None where it has no queue."""
        match self.name:
            case "procrastinate":
                ((count,),) = self.rows("SELECT COUNT(*) FROM procrastinate_jobs")
                return count
            case "celery":
                with redis.from_url(self.place.settings["CELERY_BROKER"]) as broker:
                    return sum(broker.llen(queue) for queue in ("default", "cpu"))
        return None

    def lose_jobs(self):
        match self.name:
            case "procrastinate":
                databases.rows(self.place.url, "DELETE FROM procrastinate_jobs RETURNING id")
            case "celery":
                with redis.from_url(self.place.settings["CELERY_BROKER"]) as broker:
                    broker.flushall()

    def pick_ups(self, workflow, number, pause):
        """Seconds from the commit of a start to the claim of its run, sorted; they come so many seconds apart."""
        process = self.fork(processes.time_commits, workflow, number, pause)
        process.join(60 + number * pause)
        commits = dict(line.split() for line in self.output(process).splitlines())
        self.all_over(number)
        rows = self.rows("SELECT id::text, extract(epoch from started_at) FROM executions_app_workflowexecution")
        return sorted(float(at) - float(commits[id_]) for id_, at in rows if id_ in commits)

    def events(self, event):
        """The ids of executions to which it happened, in order."""
        query = f"SELECT execution_id FROM executions_app_executionlog WHERE event = '{event}' ORDER BY at"
        return [str(id_) for (id_,) in self.rows(query)]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, worker_id):
    """A database with the tables and workflows of the crash tests, and one whose runs have a queue of their own."""
    with template(tmp_path_factory.mktemp("fleet"), f"fleet_template_{worker_id}", CPU, KEYED) as url:
        yield url


@pytest.fixture(scope="session")
def broker():
    with valkey.own() as url:
        yield url


@pytest.fixture(params=NAMES)
def fleet(prepared, tmp_path, worker_id, request):
    """A fleet of each dispatcher."""
    settings = {"DISPATCH": request.param}
    if request.param == "lists.Lists":
        settings["LISTS_URL"] = request.getfixturevalue("broker")
        (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "dispatchers.md").read_text(), re.DOTALL)
        _ = (tmp_path / "lists.py").write_text(code)
    if request.param == "celery":
        settings["CELERY_BROKER"] = url = request.getfixturevalue("broker")
        with redis.from_url(url) as connection:
            connection.flushall()
    with databases.new(f"fleet_{worker_id}", tmp_path, copy_of=prepared) as url:
        made = Fleet(Place(url, tmp_path, settings=settings))
        try:
            yield made
        finally:
            made.end()
            # Shown where the test failed.
            for process in made.running:
                sys.stdout.write(f"{process.name}, {process.exitcode}: {made.output(process)}\n")
