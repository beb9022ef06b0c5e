"""A process that is killed in the middle of a run, and another one that goes on with it."""

import signal
import subprocess

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
