"""An engine that lends a node out, or the worker that has it, dies or loses a reply around each commit of the job."""

import os
import signal
from itertools import product

import pytest

from tests import databases
from tests.crash.test_node_jobs import FULL, JOBS, accepted, flow
from tests.crash.world import EXECUTIONS, OVER
from tests.eventually import eventually

# Which of both comes to a commit, by the queue that it serves.
REACHED_BY = {
    "post_job": "default",
    "withdraw_job": "default",
    "lose_job": "default",
    "take_job": "cpu",
    "renew_jobs": "cpu",
    "tell_job": "cpu",
    "end_job": "cpu",
}
CELLS = tuple(product(REACHED_BY, ("before", "after"), ("kill", "lose")))
# Longer than two beats of a heart.
COUNT = "tool: crash.count, inputs: {steps: 4, seconds: 0.3}"
pytestmark = pytest.mark.timeout(900 if FULL else 120)


def is_over(world, id_):
    return world.rows(f"SELECT status FROM {EXECUTIONS} WHERE id = '{id_}'")[0][0] in OVER


def is_taken(world):
    return world.rows(f"SELECT 1 FROM {JOBS} WHERE state = 'taken'")


def struck(world, number, name, moment, act):
    """A run, one of whose processes is struck; it has ended when this returns."""
    queue = REACHED_BY[name]
    other = world.worker("cpu" if queue == "default" else "default")
    process = world.command("run_worker", "--queue", queue, strikes=f"{name}:{moment}:{act}:1")
    (execution,) = accepted(world, flow(f"job-{number}", COUNT))
    # SQLite's rows have no hyphens.
    id_ = execution if databases.ON_POSTGRESQL else execution.replace("-", "")
    if name in ("withdraw_job", "lose_job"):
        eventually(lambda: is_taken(world))
    if name == "withdraw_job":
        _ = world.finished("cancel_execution", execution)
    if name == "lose_job":
        os.kill(other.pid, signal.SIGKILL)
    if (name, act) != ("lose_job", "lose"):
        # There it waits for another worker.
        eventually(lambda: not process.is_alive() or is_over(world, id_), seconds=40)
    healthy = world.worker()
    eventually(lambda: is_over(world, id_), seconds=40)
    process.join(0 if act == "lose" else 20)
    assert (process.exitcode == -9) == (act == "kill"), f"{name}:{moment}:{act}: {world.output(process)[-800:]}"
    for each in (other, process, healthy):
        if each.is_alive():
            os.kill(each.pid, signal.SIGTERM)
            each.join(20)


def test_no_commit_of_a_node_job_is_a_bad_moment_to_die(world, figure):
    # In the quick suite: the worker that dies with a job, and with its result on record.
    cells = (
        CELLS if FULL else [cell for cell in CELLS if cell[0] in ("take_job", "end_job") and cell[2] == "kill"][1::2]
    )
    for number, cell in enumerate(cells):
        struck(world, number, *cell)
    assert world.rows(f"SELECT state FROM {JOBS}") == []
    assert world.verdict() == {}
    figure(f"commits of node jobs struck: {len(cells)} of {len(CELLS)} cells, violations=0")
