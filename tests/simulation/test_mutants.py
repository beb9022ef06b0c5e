"""The simulation would notice: every mutant of the engine is found by a seed, and the engine itself by none."""

import subprocess
import sys

import pytest

from tests.simulation.mutants import MUTANTS, NOTICED, ROOT, mutated_source


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant, figure):
    compile(mutated_source(mutant), mutant.module, "exec")
    command = [sys.executable, "-m", "tests.simulation.mutants", mutant.name]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=55)
    assert ran.returncode == NOTICED, ran.stdout + ran.stderr
    assert ran.stdout.startswith("noticed at seed "), ran.stdout + ran.stderr
    figure("mutants killed", counted_of=len(MUTANTS))


def test_there_are_enough_of_them_and_none_twice():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
    assert len({mutated_source(mutant) for mutant in MUTANTS}) == len(MUTANTS)
