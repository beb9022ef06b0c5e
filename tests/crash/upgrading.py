"""The release before this one, as a tree of its own, and what its processes do."""

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager

import psycopg

from tests.architecture.source import ROOT

BEFORE = "80eb882"
# Its runs wait at a gate, a file, so that what is to happen while runs are under way does happen then.
GATED = """name: {gate}
nodes:
  - {{key: t, type: trigger}}
  - {{key: before, type: tool, tool: crash.pay}}
  - {{key: waits, type: tool, tool: crash.gate, inputs: {{name: {gate}}}}}
  - {{key: after, type: tool, tool: crash.order}}
  - {{key: done, type: aggregator, strategy: list}}
edges:
  - {{from: t, to: before}}
  - {{from: before, to: waits}}
  - {{from: waits, to: after}}
  - {{from: after, to: done}}
"""
# What only this release knows.
NOVEL = GATED.format(gate="novel") + "settings: {priority: 5}\n"
# What a web process of that release does all along: it has connections from before, and accepts runs.
CONSOLE = """
import json, sys, django
django.setup()
from django.core.management import call_command
from executions_app.services.start import StartRequest, start
from workflows_app.services.lookup import find
for line in sys.stdin:
    command, *arguments = json.loads(line)
    if command == "accept":
        name, count = arguments
        done = [str(start(StartRequest(target=find(name), input={})).execution.id) for _ in range(count)]
    else:
        done = call_command(command, *arguments, verbosity=0)
    print("done", json.dumps(done), flush=True)
"""
HOT = ("workflowexecution", "nodeexecution", "nodeattempt", "executionlog")


def release_before(folder):
    """The tree of the release before, with the harness's tools of today; None where the clone does not have it."""
    done = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        return None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    tools = "tests/crash/tools.py"
    _ = (folder / tools).write_bytes((ROOT / tools).read_bytes())
    return folder


class Before:
    """The release before, on a database: a process that does what it is told, and workers."""

    def __init__(self, tree, place):
        self._tree = tree
        self._place = place
        self._running = []
        self._console = None

    def do(self, command, *arguments):
        """What it came to."""
        if self._console is None:
            self._console = self._start(subprocess.PIPE, "-c", CONSOLE)
        print(json.dumps([command, *arguments]), file=self._console.stdin, flush=True)
        lines = []
        for line in self._console.stdout:
            if line.startswith("done "):
                return json.loads(line.removeprefix("done "))
            lines.append(line)
        raise AssertionError("".join(lines))

    def accept(self, name, count):
        """The ids of the runs that it accepted."""
        return self.do("accept", name, count)

    def worker(self, concurrency):
        with (self._place.folder / "worker-before").open("w") as output:
            return self._start(output, "manage.py", "run_worker", "--concurrency", str(concurrency))

    def _start(self, output, *command):
        environment = os.environ | {
            "DATABASE_URL": self._place.url,
            "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
            "CRASH_LEDGER": str(self._place.ledger),
            # Its second process need not compile everything again.
            "PYTHONDONTWRITEBYTECODE": "",
        }
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self._tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.append(process)
        return process

    def end(self):
        for process in self._running:
            process.kill()
            _ = process.communicate()


@contextmanager
def writing(url, lock_seconds):
    """Write to the hot tables all the time, beside the product: the seconds that each round took.

    What would wait for a lock longer than it may is refused by the database, and raised here at the end.
    """
    took, refused, over = [], [], threading.Event()

    def write():
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                _ = connection.execute(f"SET lock_timeout = '{lock_seconds}s'")
                while not over.is_set():
                    begun = time.monotonic()
                    for table in HOT:
                        _ = connection.execute(f"DELETE FROM executions_app_{table} WHERE false")
                    took.append(time.monotonic() - begun)
                    time.sleep(0.005)
        except psycopg.Error as error:
            refused.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()
    if refused:
        raise refused[0]


@contextmanager
def filled(url, executions):
    """So many runs that are over, each with ten nodes and its journal, as months leave them behind."""
    runs = "SELECT generate_series(1, %(runs)s) AS r"
    run_id = "CAST(lpad(to_hex(r), 32, '0') AS uuid)"
    copies = {
        "workflowexecution": (
            "id, version_id, trigger_type, scheduling, labels, status, reason, input, exclusive, request_hash, fence, "
            "last_seq, recorded_seq, claimed_by, recoveries, cancel_reason, created_at, started_at, ended_at",
            f"{run_id}, v.id, 'manual', 'levels', '[]', 'completed', '', '{{}}', false, '', 1, 13, 13, 'gone', 0, '', "
            "now(), now(), now()",
            f"({runs}) AS runs, (SELECT id FROM workflows_app_workflowversion LIMIT 1) AS v",
        ),
        "nodeexecution": (
            'execution_id, "order", item, key, type, name, level, status, reason, retry_count, attempt_id, '
            "error_message, traceback, edges, input, output, started_at, ended_at",
            f"{run_id}, n, -1, 'node', 'tool', 'node', n, 'completed', '', 0, '', '', '', '', '{{}}', '{{}}', now(), "
            "now()",
            f"({runs}) AS runs, generate_series(0, 9) AS n",
        ),
        "executionlog": (
            "execution_id, seq, event, level, node, message, data, at",
            f"{run_id}, n, 'node.completed', 'info', 'node', 'Node completed.', '{{}}', now()",
            f"({runs}) AS runs, generate_series(1, 13) AS n",
        ),
    }
    with psycopg.connect(url, autocommit=True) as connection:
        for table, (columns, values, source) in copies.items():
            _ = connection.execute(
                f"INSERT INTO executions_app_{table} ({columns}) SELECT {values} FROM {source}", {"runs": executions}
            )
    yield
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("executionlog", "nodeexecution"):
            _ = connection.execute(
                f"DELETE FROM executions_app_{table} USING executions_app_workflowexecution AS e "
                "WHERE execution_id = e.id AND e.claimed_by = 'gone'"
            )
        _ = connection.execute("DELETE FROM executions_app_workflowexecution WHERE claimed_by = 'gone'")
