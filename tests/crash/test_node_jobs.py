"""Nodes that other processes run: workers of two kinds, their deaths, and what is not lost or done twice by them."""

import json
import os
import random
import re
import signal
import time

import pytest

from tests.architecture.source import ROOT
from tests.crash import delegating
from tests.crash.world import ATTEMPTS, EXECUTIONS, LOGS, NODES
from tests.eventually import eventually

JOBS = "executions_app_nodejob"
FULL = os.environ.get("CRASH_SIZE") == "full"
SEED = int(os.environ.get("CRASH_SEED", random.randrange(10**6)))
of_the_full_suite = pytest.mark.skipif(not FULL, reason="of the full suite")
pytestmark = pytest.mark.timeout(600 if FULL else 150)


def flow(name, rest, *, settings="", queue="cpu"):
    return f"""name: {name}
settings: {{{settings}}}
nodes:
  - {{key: t, type: trigger}}
  - {{key: a, type: tool, runs_on: 'queue:{queue}', {rest}}}
edges:
  - {{from: t, to: a}}
"""


def accepted(world, *texts, **secrets):
    """The ids of a run of each of these documents."""
    process = world.fork(delegating.accept, texts, secrets)
    process.join(60)
    assert process.exitcode == 0, world.output(process)
    return world.output(process).split()


def nodes(world, *columns):
    """By the name of the workflow: columns of its node `a`, the JSON ones as values."""
    query = f"""SELECT w.name, {", ".join(f"n.{column}" for column in columns)} FROM {NODES} n
        JOIN {EXECUTIONS} e ON e.id = n.execution_id JOIN workflows_app_workflow w ON w.id = e.workflow_id
        WHERE n.key = 'a'"""
    rows = [dict(zip(("name", *columns), row, strict=True)) for row in world.rows(query)]
    for row in rows:
        if row.get("output"):
            row["output"] = json.loads(row["output"])
    return {row["name"]: tuple(row[column] for column in columns) for row in rows}


def outcomes(world):
    """By the name of the workflow: how the attempts of its node ended, and how often it was retried."""
    found = {}
    query = f"""SELECT w.name, a.outcome FROM {ATTEMPTS} a JOIN {EXECUTIONS} e ON e.id = a.execution_id
        JOIN workflows_app_workflow w ON w.id = e.workflow_id WHERE a."order" = 1 ORDER BY a.number"""
    for name, outcome in world.rows(query):
        found.setdefault(name, []).append(outcome)
    return found


def journal(world):
    return [message for (message,) in world.rows(f"SELECT message FROM {LOGS} ORDER BY execution_id, seq")]


def jobs(world):
    return sorted(state for (state,) in world.rows(f"SELECT state FROM {JOBS}"))


def at_work(world, count=1):
    eventually(lambda: len(world.ledger()) >= count)


def sound(world):
    assert jobs(world) == []
    assert world.verdict() == {}


COUNT = 'tool: crash.count, inputs: {steps: 3, seconds: 0.3, key: "${{ secrets.broker }}"}'


def test_a_node_runs_on_a_worker_of_its_queue_and_gives_what_it_would_give_here(world):
    value = "value-that-nobody-may-see"
    engine, there = world.worker("default"), world.worker("cpu")
    accepted(world, flow("there", COUNT), broker=value)
    seen = []

    def look():
        seen.extend(str(row) for row in world.rows(f"SELECT * FROM {JOBS}"))
        return world.statuses() == {"completed": 1}

    eventually(look)
    told = journal(world)
    ours = [line for line in told if "queue 'cpu'" in line or "runs on" in line or line.startswith("step")]
    assert ours[0] == "Node 'a' waits for a worker of queue 'cpu'."
    assert ours[1].startswith("Node 'a' runs on ")
    assert f"/{there.pid}-" in ours[1]
    assert ours[2:] == [f"step {number} with ***" for number in range(3)]
    progress = [json.loads(data)["progress"] for (data,) in world.rows(f"SELECT data FROM {LOGS} ORDER BY seq")
                if data and "progress" in data]  # fmt: skip
    assert progress == sorted(progress)
    assert progress[-1] == 1
    # The secret was there, and is in nothing that is on record.
    assert any("step 0 with ***" in row for row in seen)
    assert not [text for text in (*seen, *told, str(world.rows(f"SELECT * FROM {NODES}"))) if value in text]
    # A process that serves the queue itself makes no job of it, and comes to the same.
    for process in (engine, there):
        os.kill(process.pid, signal.SIGTERM)
        process.join(20)
    before, here = len(told), world.worker("cpu", "default")
    accepted(world, flow("here", COUNT))
    world.all_over(2)
    assert not [line for line in journal(world)[before:] if "waits for a worker" in line or "runs on" in line]
    found = nodes(world, "status", "output")
    expected = {"length": len(value), "key": "***", "number": 1}
    assert found == {
        "there": ("completed", {"process": there.pid, **expected}),
        "here": ("completed", {"process": here.pid, **expected}),
    }
    sound(world)


def test_a_node_waits_for_a_worker_and_neither_its_time_limit_nor_a_cancel_does(world):
    world.worker("default"), world.worker("other")
    _, waiting, _ = accepted(
        world,
        flow("late", "tool: crash.pay, timeout_seconds: 0.5"),
        flow("cancelled", "tool: crash.order"),
        flow("patient", "tool: crash.pay"),
    )
    assert world.finished("cancel_execution", waiting)[0] == 0
    eventually(lambda: world.statuses() == {"failed": 1, "cancelled": 1, "running": 1})
    assert jobs(world) == ["waiting"]
    found = nodes(world, "status", "error_message")
    sentence = "Node 'a' did not finish within its limit of 0.5 seconds. It still waited for a worker of queue 'cpu'."
    assert found["late"] == ("failed", sentence)
    # Nobody had begun it: nothing of it is unknown.
    assert found["cancelled"] == ("cancelled", "")
    assert world.ledger() == []
    world.worker("cpu")
    world.all_over(3)
    assert nodes(world, "status")["patient"] == ("completed",)
    assert len(world.ledger()) == 1
    sound(world)


def test_a_node_elsewhere_ends_with_its_time_limit_and_with_a_cancel(world):
    world.worker("default"), world.worker("cpu")
    _, _, taken, _ = accepted(
        world,
        flow("late", "tool: crash.pay, inputs: {seconds: 60}, timeout_seconds: 1.5"),
        flow("asked", "tool: crash.send, inputs: {after: 60}, timeout_seconds: 1.5"),
        flow("cancelled", "tool: crash.pay, inputs: {seconds: 60}"),
        # Nothing can stop its thread.
        flow("deaf", "tool: crash.order, inputs: {seconds: 4}, timeout_seconds: 1.5"),
    )
    at_work(world, 4)
    assert world.finished("cancel_execution", taken)[0] == 0
    world.all_over(4)
    assert nodes(world, "status", "reason") == {
        "late": ("failed", "timeout"),
        "asked": ("completed", ""),
        "cancelled": ("cancelled", "user"),
        "deaf": ("failed", "timeout"),
    }
    assert outcomes(world) == {
        "late": ["timed_out"], "asked": ["timed_out"], "cancelled": ["cancelled"], "deaf": ["timed_out"]
    }  # fmt: skip
    assert any("The code of node 'a' was let go" in line for line in journal(world))
    sound(world)


def test_a_worker_is_killed_and_the_engine_that_waits_does_what_the_effects_allow(world):
    world.worker("default")
    doomed = world.worker("cpu")
    accepted(
        world,
        flow("none", "tool: crash.read, inputs: {seconds: 3}"),
        flow("idempotent", "tool: crash.pay, inputs: {seconds: 3}"),
        flow("at-most-once", "tool: crash.order, inputs: {seconds: 3}"),
        flow("done", "tool: crash.send, inputs: {after: 60}"),
        flow("not-done", "tool: crash.send, inputs: {before: 60}"),
    )
    eventually(lambda: jobs(world) == ["taken"] * 5 and len(world.ledger()) == 4)
    os.kill(doomed.pid, signal.SIGKILL)
    world.worker("cpu")
    world.all_over(5)
    assert nodes(world, "status", "reason", "output", "retry_count") == {
        "none": ("completed", "", 2, 0),
        "idempotent": ("completed", "", 2, 0),
        "at-most-once": ("failed", "crashed", None, 0),
        # What the tool found in the world, and what it did then.
        "done": ("completed", "", -1, 0),
        "not-done": ("completed", "", 2, 0),
    }
    again = ["abandoned", "succeeded"]
    assert outcomes(world) == {
        "none": again, "idempotent": again, "at-most-once": ["abandoned"], "done": ["abandoned"], "not-done": again
    }  # fmt: skip
    (message,) = nodes(world, "error_message")["at-most-once"]
    assert "died. The outcome is unknown: verify at the receiver" in message
    # It is no crash of an engine.
    assert world.rows(f"SELECT 1 FROM {LOGS} WHERE event = 'execution.recovered'") == []
    sound(world)


@of_the_full_suite
def test_a_node_that_kills_its_workers_is_given_up_and_one_that_is_handed_back_is_not(world):
    world.worker("default")
    leaving = world.worker("cpu")
    accepted(world, flow("handed-back", "tool: crash.read, inputs: {seconds: 5}"))
    at_work(world)
    os.kill(leaving.pid, signal.SIGTERM)
    leaving.join(20)
    assert leaving.exitcode == 0
    accepted(world, flow("deadly", "tool: crash.poison"))
    for _ in range(5):
        world.worker("cpu", concurrency=1)
    world.all_over(2, seconds=90)
    found = nodes(world, "status", "reason", "error_message")
    assert found["deadly"] == ("failed", "crash_loop", "4 processes in a row died while they ran node 'a'.")
    assert outcomes(world)["deadly"] == ["abandoned"] * 4
    # One of those may have gone down with the other node.
    assert found["handed-back"][0] == "completed"
    assert any("was told to stop" in line for line in journal(world))
    sound(world)


def test_an_engine_is_killed_while_another_process_runs_its_nodes(world):
    doomed = world.worker("default")
    world.worker("cpu")
    accepted(
        world,
        flow("idempotent", "tool: crash.pay, inputs: {seconds: 1}"),
        flow("at-most-once", "tool: crash.order, inputs: {seconds: 1}"),
        flow("not-done", "tool: crash.send, inputs: {before: 2}"),
    )
    at_work(world, 2)
    eventually(lambda: jobs(world) == ["taken"] * 3)
    os.kill(doomed.pid, signal.SIGKILL)
    world.worker("default")
    world.all_over(3)
    again = ["abandoned", "succeeded"]
    assert outcomes(world) == {"idempotent": again, "at-most-once": ["abandoned"], "not-done": again}
    assert nodes(world, "status", "reason") == {
        "idempotent": ("completed", ""),
        "at-most-once": ("failed", "crashed"),
        "not-done": ("completed", ""),
    }
    # The worker had stopped before the tool was asked.
    assert [line["effect"] for line in world.ledger()].count("checkable") == 1
    sound(world)


def test_the_example_of_the_page_runs(world):
    page = (ROOT / "docs" / "node-jobs.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    commands = re.findall(r"manage.py run_worker (.*)", page)
    for command in commands:
        world.command("run_worker", *command.split())
    accepted(world, text)
    world.all_over(1)
    ((status, output),) = world.rows(f"SELECT status, output FROM {EXECUTIONS}")
    assert (status, json.loads(output)["report"]) == ("completed", "Slept 0.5 s over 100.1.")
    (said,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    patterns = [re.escape(line).replace(r"host\-b/1f2e3d4c/4711\-9a8b7c", ".*") for line in said.splitlines()]
    told = [line for line in journal(world) if "'simulate'" in line]
    assert len(told) == len(patterns)
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(patterns, told, strict=True)), told
    sound(world)


@of_the_full_suite
def test_nothing_is_lost_stuck_or_done_twice_whatever_dies(world):
    chosen = random.Random(SEED)
    effects = ("read", "pay", "order", "send")
    tools = {name: f"tool: crash.{name}, inputs: {{seconds: 0.2}}" for name in effects}
    tools["send"] = "tool: crash.send, inputs: {before: 0.1, after: 0.1}"
    accepted(world, *(flow(f"{name}-{number}", tools[name]) for name in effects for number in range(15)))
    workers = {queue: [world.worker(queue) for _ in range(2)] for queue in ("default", "cpu")}
    for _ in range(60):
        time.sleep(chosen.uniform(0.1, 0.4))
        queue = chosen.choice(["default", "cpu", "cpu"])
        doomed = workers[queue].pop(0)
        os.kill(doomed.pid, chosen.choice([signal.SIGKILL, signal.SIGTERM]))
        workers[queue].append(world.worker(queue))
    world.all_over(4 * 15, seconds=300)
    sound(world)


@of_the_full_suite
def test_what_a_worker_says_that_slept_beyond_its_lease_is_refused(world):
    world.worker("default")
    sleepy = world.worker("cpu")
    accepted(world, flow("slept", "tool: crash.pay, inputs: {seconds: 1}"))
    at_work(world)
    os.kill(sleepy.pid, signal.SIGSTOP)
    eventually(lambda: outcomes(world)["slept"][0] == "abandoned")
    os.kill(sleepy.pid, signal.SIGCONT)
    world.all_over(1)
    assert nodes(world, "status", "output") == {"slept": ("completed", 2)}
    assert outcomes(world) == {"slept": ["abandoned", "succeeded"]}
    sound(world)


@of_the_full_suite
def test_two_kinds_of_workers_whose_runs_wait_for_each_other_do_not_wait_for_ever(world):
    accepted(
        world,
        flow("first", "tool: crash.read", settings="queue: cpu", queue="default"),
        flow("second", "tool: crash.read", settings="queue: default", queue="cpu"),
    )
    world.worker("cpu", concurrency=1), world.worker("default", concurrency=1)
    world.all_over(2)
    assert world.statuses() == {"completed": 2}
    sound(world)
