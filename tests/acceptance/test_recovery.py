"""A process that is killed in the middle of a run, and another one that goes on with it."""

import signal
import socket
import subprocess
import sys

from tests.acceptance.conftest import ROOT
from tests.eventually import eventually

NAPPING = """name: napping
nodes:
  - {key: t, type: trigger}
  - {key: before, type: tool, tool: core.set, inputs: {n: 1}}
  - {key: nap, type: tool, tool: core.sleep, inputs: {seconds: 1}}
  - {key: after, type: adapter, output: "${{ nodes.before.n }}"}
edges:
  - {from: t, to: before}
  - {from: before, to: nap}
  - {from: nap, to: after}
"""


def finished_by_a_worker(shell):
    """Run a worker until nothing is open any more, and stop it."""
    worker = shell.start("run_worker", "--concurrency", "2", stderr=subprocess.PIPE)
    try:
        eventually(
            lambda: (
                {item["status"] for item in shell("list_executions", "--json").json["items"]}
                <= {"completed", "failed", "cancelled"}
            )
        )
    finally:
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert "Traceback" not in told


def test_a_run_can_be_left_to_a_worker_at_once_or_after_a_time(shell):
    path = shell.write("napping.yaml", NAPPING)
    left = shell("run_workflow", path, "--no-wait")
    assert left.code == 0
    shown = shell("show_execution", left.out.strip(), "--json").json
    assert shown["status"] == "pending"
    waited = shell("run_workflow", path, "--timeout", "0.2", "--json")
    assert (waited.code, waited.json["status"]) == (4, "running")
    assert "has not ended within 0.2 s: a worker goes on with it" in waited.err
    finished_by_a_worker(shell)
    for execution in (left.out.strip(), waited.json["id"]):
        assert shell("show_execution", execution, "--json").json["status"] == "completed"


def test_a_run_whose_process_was_killed_is_finished_by_a_worker(shell):
    killed = shell.start("run_workflow", shell.write("napping.yaml", NAPPING), stderr=subprocess.PIPE)
    eventually(lambda: "'nap' started" in killed.stderr.readline())
    killed.kill()
    killed.communicate()
    (execution,) = shell("list_executions", "--json").json["items"]
    assert execution["status"] == "running"
    finished_by_a_worker(shell)
    shown = shell("show_execution", execution["id"], "--json", "--logs").json
    assert (shown["status"], shown["output"]["after"]) == ("completed", 1)
    attempts = {node["key"]: [attempt["outcome"] for attempt in node["attempts"]] for node in shown["nodes"]}
    assert attempts == {
        "t": ["succeeded"],
        "before": ["succeeded"],
        "nap": ["abandoned", "succeeded"],
        "after": ["succeeded"],
    }
    (recovered,) = (log for log in shown["logs"] if log["event"] == "execution.recovered")
    (first,) = (log for log in shown["logs"] if log["event"] == "execution.running")
    assert recovered["data"]["before"] == first["data"]["owner"] != recovered["data"]["owner"]


def served(shell):
    """A daphne, which nobody sends a request to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "pastetrader.asgi:application"]
    return subprocess.Popen(
        command, cwd=ROOT, env=shell.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_a_server_runs_what_was_accepted_and_the_next_one_goes_on_after_its_death(shell):
    execution = shell(
        "run_workflow", shell.write("napping.yaml", NAPPING.replace("seconds: 1", "seconds: 6")), "--no-wait"
    )
    execution = execution.out.strip()
    first = served(shell)
    eventually(lambda: node_is(shell, execution, "nap", "running"))
    first.kill()
    first.communicate()
    second = served(shell)
    try:
        eventually(lambda: shell("show_execution", execution, "--json").json["status"] == "completed", seconds=40)
    finally:
        second.terminate()
        _, told = second.communicate(timeout=30)
    assert "Traceback" not in told
    shown = shell("show_execution", execution, "--json", "--logs").json
    assert [log["event"] for log in shown["logs"]].count("execution.recovered") == 1
    attempts = {node["key"]: [attempt["outcome"] for attempt in node["attempts"]] for node in shown["nodes"]}
    assert attempts == {
        "t": ["succeeded"], "before": ["succeeded"], "nap": ["abandoned", "succeeded"], "after": ["succeeded"],
    }  # fmt: skip
    assert shell("engine_fsck").code == 0


def node_is(shell, execution, key, status):
    nodes = shell("show_execution", execution, "--json").json["nodes"]
    return next(node["status"] for node in nodes if node["key"] == key) == status
