"""A short storm among workers that are told of runs by a queue; `make reliability` has long ones."""

import random

import pytest

from tests.crash.storm import Storm

pytestmark = pytest.mark.timeout(150)


@pytest.mark.parametrize("fleet", ["procrastinate"], indirect=True)
def test_nothing_is_lost_or_stuck_whatever_dies(fleet, figure):
    seed = random.randrange(10**6)
    storm = Storm(fleet, random.Random(seed), None)
    storm.rage(["kill"] * 8 + ["stop"] * 2 + ["term"] * 2, executions=20)
    assert fleet.verdict() == {}, seed
    figure(f"crash, workers of {fleet.name}, seed {seed}: executions=20 kills=8 ended={dict(fleet.statuses())}; lost=0")
