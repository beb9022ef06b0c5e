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


def test_a_run_whose_process_was_killed_is_finished_by_a_worker(shell):
    killed = shell.start("run_workflow", shell.write("napping.yaml", NAPPING), stderr=subprocess.PIPE)
    eventually(lambda: "'nap' started" in killed.stderr.readline())
    killed.kill()
    killed.communicate()
    (execution,) = shell("list_executions", "--json").json["items"]
    assert execution["status"] == "running"
    worker = shell.start("run_worker", "--concurrency", "2", stderr=subprocess.PIPE)
    try:
        eventually(lambda: shell("list_executions", "--json").json["items"][0]["status"] != "running")
    finally:
        worker.send_signal(signal.SIGTERM)
        _, told = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert "Traceback" not in told
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
