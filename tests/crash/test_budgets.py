"""Engines are killed between a reservation and its settlement: the cap of the execution holds all the same."""

import os
import signal

from tests.crash.prices import PAID, RESERVED
from tests.eventually import eventually

CALLS = "executions_app_agentcall"
CAP = 48 * 10**9


def test_what_killed_engines_had_reserved_counts_and_the_cap_holds(world, figure):
    peak = 0

    def ended(least):
        """Whether so many calls have ended while others are under way."""
        nonlocal peak
        rows = world.rows(f"SELECT outcome, reserved_cost, cost FROM {CALLS}")
        peak = max(peak, sum(reserved if outcome == "started" else cost for outcome, reserved, cost in rows))
        open_ = [outcome for outcome, _, _ in rows].count("started")
        return len(rows) - open_ >= least and open_ > 0

    _ = world.accept("agents", 1)
    for least in (3, 30):
        worker = world.worker()
        eventually(lambda least=least: ended(least))
        os.kill(worker.pid, signal.SIGKILL)
    _ = world.worker()
    world.all_over(1)
    _ = ended(0)
    assert world.verdict() == {}
    calls = world.rows(f"SELECT attempt_id, number, outcome, cost FROM {CALLS}")
    abandoned = [cost for _, _, outcome, cost in calls if outcome == "abandoned"]
    assert len(abandoned) >= 2
    assert set(abandoned) == {RESERVED}
    counted = sum(cost for *_, cost in calls)
    assert peak <= CAP
    assert CAP - RESERVED < counted <= CAP
    # What was paid in truth is all on record, and no more than may be.
    paid = [line["attempt"] for line in world.ledger()]
    assert set(paid) <= {f"{attempt}:{number}" for attempt, number, *_ in calls}
    assert len(paid) * PAID <= counted
    figure(f"2 engines killed: {len(calls)} calls, {len(abandoned)} abandoned, {counted / CAP:.1%} of the cap counted")
