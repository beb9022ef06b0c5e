"""The simulation of a fleet, where its result can be counted by hand."""

import pytest

from benchmarks.fleet.model import Costs, simulate

COSTS = Costs(
    worker_node=0.001,
    worker_commit=0.002,
    database_node=0.0005,
    database_commit=0.001,
    flush=0.004,
    database_idle=0.0,
)
# Six nodes with the trigger, a transaction after each, one for the claim and one for the end.
ONE_RUN = 6 * (0.001 + 0.002 + 0.001 + 0.0005 + 0.004) + 2 * (0.002 + 0.001 + 0.004)


def test_one_run_takes_the_sum_of_what_its_steps_take():
    made = simulate(COSTS, "W5", 1, 1, cores=2, apart=False)
    assert made.seconds == pytest.approx(ONE_RUN)
    assert (made.commits, made.flushes, made.nodes) == (8, 8, 5)
    assert made.worker_busy == pytest.approx(6 * 0.001 + 8 * 0.002)
    assert made.database_busy == pytest.approx(6 * 0.0005 + 8 * 0.001)


def test_runs_of_one_worker_share_their_transactions():
    made = simulate(COSTS, "W5", 1, 32, cores=2, apart=False)
    assert made.seconds < 32 * ONE_RUN / 2
    assert made.commits < 32 * 8 / 4


def test_nodes_that_sleep_take_their_time_whatever_the_machine_is():
    free = Costs(
        worker_node=0.0, worker_commit=0.0, database_node=0.0, database_commit=0.0, flush=0.0, database_idle=0.0
    )
    assert simulate(free, "IO", 1, 32, cores=1, apart=False).seconds == pytest.approx(0.340)
    # More than a worker has places for come after the first ones.
    assert simulate(free, "IO", 1, 33, cores=1, apart=False).seconds == pytest.approx(0.680)


def test_a_second_worker_helps_where_there_is_a_core_for_it_and_not_where_there_is_none():
    one = simulate(COSTS, "W5", 1, 256, cores=8, apart=True)
    two = simulate(COSTS, "W5", 2, 256, cores=8, apart=True)
    assert one.rate * 1.8 < two.rate <= one.rate * 2.05
    crowded = [simulate(COSTS, "W5", count, 256, cores=1, apart=False) for count in (8, 16)]
    assert crowded[1].rate < crowded[0].rate * 1.1
