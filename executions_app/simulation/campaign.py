"""Many seeds, one after the other, and what they came to."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from executions_app.engine.states import AttemptOutcome
from executions_app.simulation.play import Played, play
from executions_app.simulation.scenario import Strike, scenario
from workflows_app.dag import jsontext


@dataclass(slots=True)
class Tally:
    """`violations` are pairs of seed and sentence; `seconds` is real time."""

    seeds: int = 0
    seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    strikes: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    late_results: int = 0
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, played: Played) -> None:
        self.seeds += 1
        self.violations += [(played.scenario.seed, sentence) for sentence in played.violations]
        self.strikes[played.scenario.strike] += 1
        self.kills += played.kills
        self.late_results += played.late_results
        record = played.record
        if record is not None:
            self.ends["lost to another engine" if record.status == "running" else str(record.status)] += 1
            self.attempts.update(attempt.outcome for attempt in record.attempts.values())

    def lines(self) -> Iterator[str]:
        """The figures, for people."""
        yield f"{self.seeds} schedules, {self.seeds / self.seconds:.0f} a second"
        yield "ended: " + _counted(self.ends)
        yield "struck: " + _counted({str(kind): self.strikes[kind] for kind in Strike if kind is not Strike.NOTHING})
        yield "attempts: " + _counted({str(kind): self.attempts[kind] for kind in AttemptOutcome})
        yield f"engines killed: {self.kills}"
        yield f"late results refused: {self.late_results}"
        yield f"violations={len(self.violations)}"


def simulate(seeds: Iterable[int]) -> Tally:
    tally = Tally()
    began = time.perf_counter()
    for seed in seeds:
        tally.add(play(scenario(seed)))
    tally.seconds = time.perf_counter() - began
    return tally


def trace(played: Played) -> Iterator[str]:
    """The journal of a played scenario, line by line in virtual seconds; the same for the same seed, to the letter."""
    record = played.record
    if record is None:
        return
    for at, entry in zip(record.times, record.entries, strict=True):
        data = {name: value for name, value in entry.data.items() if name != "traceback"}
        suffix = f"  {jsontext.dumps(data)}" if data else ""
        yield f"{at:12.6f}  {entry.event:<26}{entry.node:<5}{entry.message}{suffix}"


def _counted(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
