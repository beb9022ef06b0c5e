"""An exception at every await of the engine, one at a time: whatever it is, the record ends and does not lie."""

import asyncio
from collections.abc import Coroutine

from django.db import OperationalError

from executions_app.engine import run as engine_run
from executions_app.engine.errors import EngineInterrupted
from executions_app.simulation.play import play
from executions_app.simulation.scenario import Strike, scenario

EXCEPTIONS = (asyncio.CancelledError, OperationalError, TimeoutError)
# Small and large workflows, cancels, time limits, retries and code that will not end among them.
SEEDS = range(40)


class Counter:
    """Makes the engine's tasks, counts their steps, and lets one of them raise."""

    def __init__(self, hurt_at=0, error=None):
        self.steps = 0
        self.hurt_at = hurt_at
        self.error = error

    def __call__(self, loop, coroutine, **options):
        return asyncio.Task(Step(coroutine, self), loop=loop, **options)


class Step(Coroutine):
    """A coroutine that counts how often it is resumed."""

    def __init__(self, inner, counter):
        self._inner = inner
        self._counter = counter

    def send(self, value):
        counter = self._counter
        counter.steps += 1
        if counter.steps == counter.hurt_at:
            return self._inner.throw(counter.error("injected"))
        return self._inner.send(value)

    def throw(self, *error):
        return self._inner.throw(*error)

    def close(self):
        self._inner.close()

    def __await__(self):
        return self


def hurt_everywhere(seed):
    """What is wrong after an exception at each step of the run of a seed, and how many exceptions there were."""
    counted = Counter()
    assert not play(scenario(seed), hurt=counted).violations
    found, injected = [], 0
    for step in range(1, counted.steps + 1):
        for error in EXCEPTIONS:
            counter = Counter(step, error)
            played = play(scenario(seed), hurt=counter)
            injected += counter.steps >= step
            found += [f"seed {seed}, step {step}, {error.__name__}: {sentence}" for sentence in played.violations]
    return found, counted.steps, injected


def test_an_exception_at_any_await_leaves_a_record_that_is_right(figure):
    awaits = injections = 0
    for seed in SEEDS:
        found, steps, injected = hurt_everywhere(seed)
        assert found == []
        awaits += steps
        injections += injected
    assert injections == 3 * awaits > 2000
    figure(f"awaits={awaits} injections={injections} violations=0")


def test_a_task_that_is_cancelled_from_outside_ends_the_run_as_interrupted():
    """The second step is the first of the watcher, which has not begun then."""
    unharmed = next(one for one in map(scenario, SEEDS) if one.strike is Strike.NOTHING)
    played = play(unharmed, hurt=Counter(2, asyncio.CancelledError))
    assert isinstance(played.raised, EngineInterrupted)
    assert (played.record.status, played.record.reason) == ("failed", "crashed")


def test_an_engine_that_does_not_notice_is_noticed(monkeypatch):
    """The control: without the engine's own care the same injections find runs that never end."""
    monkeypatch.setattr(engine_run._Run, "_notice", lambda self, task: None)
    stuck = [sentence for seed in range(5) for sentence in hurt_everywhere(seed)[0] if "wait for ever" in sentence]
    assert stuck
