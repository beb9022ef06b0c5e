"""Random workflows with random faults on virtual time: no record may be wrong, and every seed replays exactly."""

import asyncio
from collections import Counter

import pytest
from django.core.management import call_command

from executions_app.engine.states import AttemptOutcome
from executions_app.simulation import campaign
from executions_app.simulation.campaign import simulate, trace
from executions_app.simulation.play import Played, play
from executions_app.simulation.scenario import Does, Strike, scenario
from executions_app.simulation.virtual_time import Stuck, run
from workflows_app.dag import jsontext, validation
from workflows_app.dag.problems import errors_of
from workflows_app.dag.types import Effect, ToolInfo

SEEDS = 10_000
# Run side by side.
PARTS = 4
CATALOGUE = {
    "simulated": ToolInfo(
        name="simulated", effect=Effect.NONE, effects=frozenset(Effect), input_schema={}, output_schema={}
    )
}


@pytest.mark.parametrize("part", range(PARTS))
def test_no_record_is_wrong(part, figure):
    size = SEEDS // PARTS
    tally = simulate(range(part * size, (part + 1) * size))
    assert tally.violations == []
    assert tally.seeds == size
    figure(f"simulation part {part + 1} of {PARTS}: " + "; ".join(tally.lines()))


def test_everything_that_can_go_wrong_does():
    tally = simulate(range(1500))
    assert set(tally.strikes) == set(Strike)
    assert set(tally.attempts) == set(AttemptOutcome) - {AttemptOutcome.STARTED}
    assert tally.kills > 300
    assert set(tally.ends) == {"completed", "failed", "cancelled", "lost to another engine"}
    assert tally.late_results > 10
    done = Counter(deed.does for seed in range(300) for deeds in scenario(seed).deeds.values() for deed in deeds)
    assert set(done) == set(Does)


def test_the_workflows_are_valid():
    for seed in range(300):
        document = jsontext.loads(scenario(seed).plan.to_json())
        problems = errors_of(validation.validate(document, CATALOGUE))
        # A workflow of one node has no edges to check.
        assert not problems, (seed, problems)


def test_a_seed_replays_to_the_letter():
    seen = set()
    for seed in range(200):
        first, second = (list(trace(play(scenario(seed)))) for _ in range(2))
        assert first == second
        seen.add(tuple(first))
    assert len(seen) > 180


def test_a_task_that_nothing_will_wake_is_noticed():
    async def waits():
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match=r"Nothing is ready, no timer is set, and these wait for ever: "):
        run(waits())


def test_virtual_time_passes_in_order_and_at_once():
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        for seconds in (3, 1, 86_400 * 30, 2):
            loop.call_later(seconds, lambda seconds=seconds: seen.append((seconds, loop.time())))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(86_400 * 365):
                await asyncio.sleep(86_400 * 366)
        return loop.time()

    assert run(main()) == 86_400 * 365
    assert seen == [(1, 1), (2, 2), (3, 3), (86_400 * 30, 86_400 * 30)]


def test_the_command_prints_its_figures(capsys):
    call_command("simulate", seeds=30)
    printed = capsys.readouterr().out
    assert "seeds 0 to 29\n30 schedules, " in printed
    assert "violations=0" in printed


def test_the_command_traces_one_seed_exactly(capsys):
    printed = []
    for _ in range(2):
        call_command("simulate", seed=5, trace=True)
        # The last figure is of the machine.
        printed.append([line for line in capsys.readouterr().out.splitlines() if "a second" not in line])
    assert printed[0] == printed[1]
    assert printed[0][0].startswith("seed 5: ")
    assert any("node.running" in line for line in printed[0])
    assert printed[0][-1] == "violations=0"


def test_the_command_says_which_seed_to_look_at(monkeypatch, capsys):
    def broken(one):
        return Played(scenario=one, violations=["nothing is right"])

    monkeypatch.setattr(campaign, "play", broken)
    with pytest.raises(SystemExit) as exit_:
        call_command("simulate", seed=5, seeds=2)
    assert exit_.value.code == 1
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "seed 5: nothing is right",
        "seed 6: nothing is right",
        "Look at one with: manage.py simulate --seed 5 --trace",
    ]
    assert "violations=2" in told.out
