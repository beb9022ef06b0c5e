"""Mutants of the engine: one line each, and each of them breaks a promise that the simulation must notice.

`python -m tests.simulation.mutants NAME` runs the simulation on the engine with that line changed and says which
seed noticed; without a name it tells the names.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# Enough for the rarest of them; the usual one is noticed within the first fifty.
SEEDS = 4000


class Mutant(NamedTuple):
    name: str
    module: str
    # Text that is in the module once, and what stands there instead.
    original: str
    mutated: str


RUN = "executions_app.engine.run"
LIFECYCLE = "executions_app.engine.lifecycle"
ATTEMPT = "executions_app.engine.attempt"
SETTLING = "executions_app.engine.settling"
FRONTIER = "executions_app.engine.frontier"
POLICY = "executions_app.engine.policy"
FAILURES = "executions_app.engine.failures"
CONTEXT = "executions_app.engine.context"
BRANCHING = "workflows_app.dag.branching"

MUTANTS = [
    Mutant("parallelism has no limit", RUN, "while self._free_slots > 0 and self._queue", "while self._queue"),
    Mutant(
        "a slot is never given back",
        RUN,
        "self._requeue, node)\n        self._free_slots += 1\n",
        "self._requeue, node)\n",
    ),
    Mutant(
        "a node that waits for its retry keeps its slot",
        RUN,
        "self._requeue, node)\n        self._free_slots += 1\n",
        "self._requeue, node)\n        self._free_slots += settlement.retry_in is None\n",
    ),
    Mutant(
        "successors start before the outcome is durable",
        RUN,
        "        await self._sink.commit(settlement.events)\n",
        "        asyncio.ensure_future(self._sink.commit(settlement.events))\n",
    ),
    Mutant("the end of the execution is not written", RUN, "        await self._sink.commit([end])\n", ""),
    Mutant(
        "a cancel does not reach what runs",
        RUN,
        "in tuple(self._lifecycle.under_way.values()):\n                attempt.cancel()\n            await",
        "in ():\n                attempt.cancel()\n            await",
    ),
    Mutant("a cancel does not reach what waits", RUN, "self._settler.cancel_waiting(reason)", "Settlement()"),
    Mutant(
        "nodes start after a cancel",
        SETTLING,
        "return self._cancel.requested or self._stopped_by",
        "return self._stopped_by",
    ),
    Mutant(
        "nodes that have their slot start after a stop",
        RUN,
        "if self._settler.starts_nothing_more\n                else",
        "if False\n                else",
    ),
    Mutant("the execution has no time limit", RUN, "max(0.0, float(limit) - passed)", "1e6"),
    Mutant("code that was let go is not told of", LIFECYCLE, "if outcome.let_go:", "if False:"),
    Mutant(
        "an effect is not on record before it happens",
        LIFECYCLE,
        "if failed is not None or (self._node.effect is Effect.NONE and self._remote is None):",
        "if True:",
    ),
    Mutant(
        "an attempt has no time limit",
        ATTEMPT,
        "loop.call_at(deadline, self._wake",
        "loop.call_at(deadline + 1e6, self._wake",
    ),
    Mutant(
        "a result that comes too late is accepted",
        ATTEMPT,
        "if asyncio.get_running_loop().time() > deadline:",
        "if False:",
    ),
    Mutant(
        "a result that comes after the cancel is accepted",
        ATTEMPT,
        "            let_go = await self._end()\n",
        "            let_go = await self._end()\n            if not let_go and not self._task.cancelled():\n"
        "                return self._finish(self._task.result())\n",
    ),
    Mutant("code that swallows a cancel is waited for", ATTEMPT, "timeout=self._grace", "timeout=None"),
    Mutant("a failure is retried for ever", POLICY, "if retries >= policy.max_retries:", "if False:"),
    Mutant("a failure that is final is retried", POLICY, "if not error.retryable:", "if False:"),
    Mutant("never_retry_on is ignored", POLICY, "if names.intersection(policy.never_retry_on):", "if False:"),
    Mutant("retry_on is ignored", POLICY, "if policy.retry_on and not", "if False and not"),
    Mutant(
        "the backoff grows too early",
        POLICY,
        "Decimal(policy.multiplier), retries)",
        "Decimal(policy.multiplier), retries + 1)",
    ),
    Mutant("max_delay is ignored", POLICY, "float(min(ceiling, wait))", "float(wait)"),
    Mutant("jitter takes more than all", POLICY, "return delay * random()", "return delay * (1 + random())"),
    Mutant("retry_after is ignored", POLICY, "max(wait, min(error.retry_after, LONGEST_RETRY_AFTER))", "wait"),
    Mutant("an unknown outcome is retried", FAILURES, '{_UNKNOWN}", retryable=False)', '{_UNKNOWN}")'),
    Mutant(
        "a continued failure fails the execution",
        SETTLING,
        "if handled or self._plan.nodes[node].on_error is OnError.CONTINUE:",
        "if handled:",
    ),
    Mutant("a handled failure fails the execution", SETTLING, "if handled or self._plan", "if self._plan"),
    Mutant(
        "the last failure is taken for the first",
        SETTLING,
        "if self._first_failure is None:",
        "if True:",
    ),
    Mutant(
        "on_failure: stop does not stop",
        SETTLING,
        "if self._note_failure(node, error, handled=chosen.handled):",
        "if self._note_failure(node, error, handled=chosen.handled) and False:",
    ),
    Mutant("a node that waits for its retry counts as running", SETTLING, "        self._frontier.suspend(node)\n", ""),
    Mutant(
        "what a failed node evaluated is forgotten", SETTLING, "ending), evaluations=failed.evaluations)", "ending))"
    ),
    Mutant("a join is decided early", FRONTIER, "if self._open_edges[target] or self", "if self"),
    Mutant(
        "a level does not wait for the one before", FRONTIER, "(now if level <= self._current else", "(now if True else"
    ),
    Mutant("a failure two nodes up is forgotten", FRONTIER, "return EdgeState.BROKEN if", "return EdgeState.DEAD if"),
    Mutant(
        "one_success runs over anything", FRONTIER, "                runs = taken\n", "                runs = True\n"
    ),
    Mutant("all_success runs over some", FRONTIER, "runs = all(state", "runs = any(state"),
    Mutant("a recovered run counts its retries anew", SETTLING, "one.attempts, one.retry_count", "one.attempts, 0"),
    Mutant("a recovered run forgets its first failure", SETTLING, "_ = self._note_failure(", "_ = bool("),
    Mutant("a recovered run forgets the errors", SETTLING, "self._context.put_error(node, one.error)", "pass"),
    Mutant("a recovered run forgets the outputs", SETTLING, "self._context.put(node, one.output)", "pass"),
    Mutant(
        "a recovered run forgets which edges were taken",
        SETTLING,
        "decode_edges(one.edges)",
        "[EdgeState.TAKEN] * len(one.edges)",
    ),
    Mutant("a recovered run has its whole time again", RUN, "(self._ports.clock.now() - began).total_seconds()", "0.0"),
    Mutant("a recovered run does not wait for its retries", RUN, "elif at is not None and at > now:", "elif False:"),
    Mutant("work that cannot be repeated is repeated after a crash", RUN, "if node in crashed:", "if False:"),
    Mutant(
        "a crash that is settled frees nothing",
        RUN,
        "return\n        self._free_slots += 1\n        self._admit(settlement.ready)\n\n    def _admit(",
        "return\n\n    def _admit(",
    ),
    Mutant("a recovered run forgets its levels", RUN, "self._queue.extend(self._order.close(ended))", "pass"),
    Mutant("a refused edge hands over its data", CONTEXT, "is not EdgeState.TAKEN:", "is EdgeState.OPEN:"),
    Mutant(
        "a condition that cannot be evaluated is false",
        BRANCHING,
        "raise ConditionFailed(error, self.evaluations) from error",
        "return False",
    ),
]
NOTICED, MISSED = 0, 1


class _Patched(importlib.abc.MetaPathFinder):
    """Loads one module from changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname, path, target=None):
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        spec.loader = _Loader(fullname, spec.origin, self._mutant)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname, path, mutant):
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, fullname):
        return compile(mutated_source(self._mutant), self.path, "exec")


def mutated_source(mutant: Mutant) -> str:
    source = (ROOT / (mutant.module.replace(".", "/") + ".py")).read_text()
    if source.count(mutant.original) != 1:
        raise LookupError(f"The text of mutant '{mutant.name}' is {source.count(mutant.original)} times in its module.")
    return source.replace(mutant.original, mutant.mutated)


def main(name: str) -> int:
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    sys.meta_path.insert(0, _Patched(mutant))
    # Only now: these import the engine.
    from executions_app.simulation.play import play  # noqa: PLC0415
    from executions_app.simulation.scenario import scenario  # noqa: PLC0415

    for seed in range(SEEDS):
        try:
            found = play(scenario(seed)).violations
        except Exception as error:  # noqa: BLE001 - an engine that breaks the harness is noticed too
            found = [repr(error)]
        if found:
            print(f"noticed at seed {seed}: {found[0]}")  # noqa: T201
            return NOTICED
    print(f"not noticed by {SEEDS} seeds")  # noqa: T201
    return MISSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if sys.argv[1:] else print("\n".join(mutant.name for mutant in MUTANTS)))  # noqa: T201
