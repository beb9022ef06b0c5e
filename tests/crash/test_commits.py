"""A process dies or loses a reply before and after every commit of the engine: no run is the worse for it."""

import ast
import re
from itertools import product

import pytest

from tests.architecture.source import ROOT
from tests.crash import test_job_commits
from tests.crash.world import EXECUTIONS, LOGS
from tests.eventually import eventually

MOMENTS = ("before", "after")
ACTS = ("kill", "lose")
# Which command comes to a commit, with what has to go wrong before.
REACHED_BY = {
    "start": ("run_workflow", "crash"),
    "claim": ("run_workflow", "crash"),
    "write": ("run_workflow", "crash"),
    "renew": ("run_workflow", "slow"),
    "release": ("run_workflow", "slow", "--timeout", "0.1"),
    "fail_run": ("run_workflow", "crash"),
    "request_cancel": ("cancel_execution",),
    "rerun": ("rerun_execution",),
    "reclaim": (),
}
BEFORE = {"fail_run": "write:before:break:3 "}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Of a run's many batches: the first, one with an effect's start, a late one.
TIMES = {"write": (1, 3, 6)}
AT_A_TIME = 8


def commits():
    """The names in the source, and the transactions of the apps that have none."""
    names, nameless = set(), set()
    for path in (ROOT / "executions_app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "committed":
                names.add(node.args[0].value)
            if isinstance(node, ast.Attribute) and node.attr == "atomic":
                nameless.add(str(path.relative_to(ROOT)))
    return names, nameless


def test_every_commit_of_the_engine_is_struck():
    names, nameless = commits()
    # Those of node jobs have tests of their own.
    assert names == {*REACHED_BY, *test_job_commits.REACHED_BY}
    # One makes the named ones; a cancel is within its service's; the others change no run: reads as of one moment, a
    # probe, the deletion of what ended, word to workers.
    assert nameless == {
        "executions_app/dispatch/chosen.py",
        "executions_app/models/querysets.py",
        "executions_app/models/commits.py",
        "executions_app/models/moment.py",
        "executions_app/recorder/thread.py",
        "executions_app/services/prune.py",
    }


@pytest.mark.timeout(120)
def test_no_commit_is_a_bad_moment_to_die(world, figure):
    cells = [cell for cell in product(REACHED_BY, MOMENTS, ACTS) if cell[0] != "reclaim"]
    processes = []
    for name, moment, act in cells:
        for number in TIMES.get(name, (1,)):
            arguments = REACHED_BY[name]
            if name in ("request_cancel", "rerun"):
                leave = ["--no-wait"] if name == "request_cancel" else ["--json"]
                _, out = world.finished("run_workflow", "crash", *leave)
                arguments = (*arguments, UUID.search(out)[0])
            strikes = f"{BEFORE.get(name, '')}{name}:{moment}:{act}:{number}"
            # All at a time would wait for each other's locks until they gave up, and never come to their commit.
            eventually(lambda: sum(process.is_alive() for _, process in processes) < AT_A_TIME, seconds=30)
            processes.append((strikes, world.command(*arguments, strikes=strikes)))
    for strikes, process in processes:
        process.join(30)
        assert process.exitcode is not None, f"{strikes}: hangs"
        said = f"{strikes}: ended with {process.exitcode}: {world.output(process)[-500:]}"
        assert (process.exitcode == -9) == ("kill" in strikes), said
    for moment, act in product(MOMENTS, ACTS):
        _ = world.finished("recover_executions", strikes=f"reclaim:{moment}:{act}:1")
    healthy = world.worker()
    accepted = len(world.rows(f"SELECT 1 FROM {EXECUTIONS}"))
    # Every command but those that died before they accepted anything.
    reruns = len(MOMENTS) * len(ACTS)
    assert accepted == len(processes) - len(ACTS) + reruns - len(ACTS)
    world.all_over(accepted)
    assert world.verdict() == {}
    recovered = len(world.rows(f"SELECT 1 FROM {LOGS} WHERE event = 'execution.recovered'"))
    assert healthy.is_alive()
    struck = f"{len(REACHED_BY)} commits struck before and after, by kill -9 and by a lost reply"
    figure(f"{struck}: executions={accepted} recovered={recovered} violations=0")
