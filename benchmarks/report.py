"""Medians, ratios and targets: a table for people, a file for machines."""

import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks.api import Answers
from benchmarks.calls import COLUMNS as CALLS_COLUMNS
from benchmarks.calls import Calls
from benchmarks.live import COLUMNS as LATENCIES_COLUMNS
from benchmarks.live import Latencies
from benchmarks.measuring import Measurement
from benchmarks.steps import COLUMNS as COSTS_COLUMNS
from benchmarks.steps import Costs
from benchmarks.workloads import SPECIFICATIONS

DISTRIBUTIONS = ("django", "msgspec", "uuid-utils", "pydantic", "django-ninja", "daphne", "httpx")
COLUMNS = (
    "workload", "nodes", "product s", "floor s", "ratio", "limit s", "raw s", "per node us", "target", "met",
)  # fmt: skip
ANSWERS_COLUMNS = (
    "workload", "connections", "p50 ms", "p99 ms", "requests/s", "plain p50 ms", "plain p99 ms", "plain requests/s",
    "plain : ours",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Found:
    """All that was measured."""

    measurements: list[Measurement] = field(default_factory=list[Measurement])
    answers: list[Answers] = field(default_factory=list[Answers])
    latencies: list[Latencies] = field(default_factory=list[Latencies])
    calls: list[Calls] = field(default_factory=list[Calls])
    costs: list[Costs] = field(default_factory=list[Costs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is promised; every bound that is given must hold. `reference` is in seconds, the floor's where None."""

    text: str
    ratio: float | None = None
    reference: float | None = None
    seconds: float | None = None
    executions_per_second: float | None = None
    peak_bytes: int | None = None


_sleeps = SPECIFICATIONS["W4"]
_barriers, _path = _sleeps["level_barrier_ms"], _sleeps["critical_path_ms"]
TARGETS = {
    "W0": Target(text="<= 1.5 x django.setup() and a query", ratio=1.5),
    "W1b": Target(text="<= 2 x floor", ratio=2),
    "W2": Target(text="<= 2 x floor", ratio=2),
    "W4 levels": Target(text=f"<= 1.05 x {_barriers} ms, the barriers", ratio=1.05, reference=_barriers / 1000),
    "W4 eager": Target(text=f"<= 1.10 x {_path} ms, the critical path", ratio=1.10, reference=_path / 1000),
    "W5": Target(text="<= 2 x floor, >= 600 executions/s", ratio=2, executions_per_second=600),
    "planning": Target(text="<= 0.5 s, <= 100 MB", seconds=0.5, peak_bytes=100_000_000),
}


def table(measurements: Sequence[Measurement]) -> str:
    return _lines(COLUMNS, [_row(one) for one in measurements])


def answers_table(answers: Sequence[Answers]) -> str:
    """Milliseconds, and requests a second on one core; the ratio is that of the requests a second."""
    return _lines(ANSWERS_COLUMNS, [_answers_row(one) for one in answers])


def tables(found: Found) -> list[str]:
    """Those of which something was measured."""
    shown = [table(found.measurements)] if found.measurements else []
    shown += [answers_table(found.answers)] if found.answers else []
    shown += [_lines(LATENCIES_COLUMNS, [one.row for one in found.latencies])] if found.latencies else []
    shown += [_lines(CALLS_COLUMNS, [one.row for one in found.calls])] if found.calls else []
    return shown + [_lines(COSTS_COLUMNS, one.rows) for one in found.costs]


def _answers_row(one: Answers) -> tuple[str, ...]:
    columns: list[str] = []
    for contender in ("product", "plain"):
        if contender in one.seconds:
            hundredths = statistics.quantiles(one.seconds[contender], n=100)
            rate = statistics.median(one.per_second[contender])
            columns += [_number(hundredths[49] * 1000, 1), _number(hundredths[98] * 1000, 1), _number(rate, 0)]
    if "plain" in one.seconds:
        rates = {contender: statistics.median(samples) for contender, samples in one.per_second.items()}
        columns.append(_number(rates["plain"] / rates["product"], 2))
    return (one.name, str(one.connections), *columns)


def _lines(columns: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    rows = [columns, *([*row, *[""] * (len(columns) - len(row))] for row in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _row(one: Measurement) -> tuple[str, ...]:
    medians = {contender: statistics.median(samples) for contender, samples in one.seconds.items()}
    own, target = medians["product"], TARGETS.get(one.name)
    ratio = _ratio(one, own, medians.get("floor"))
    return (
        one.name,
        str(one.nodes),
        f"{own:.4f}",
        _number(medians.get("floor"), 4),
        _number(ratio, 2),
        _number(medians.get("limit"), 4),
        _number(medians.get("raw"), 4),
        f"{own / one.nodes * 1e6:.0f}",
        "" if target is None else target.text,
        "" if target is None else _met(one, target, own, ratio),
    )


def _ratio(one: Measurement, own: float, floor: float | None) -> float | None:
    """To what the target names: the floor, or the time that the workload's own sleeps take."""
    target = TARGETS.get(one.name)
    reference = floor if target is None or target.reference is None else target.reference
    return None if reference is None else own / reference


def _met(one: Measurement, target: Target, own: float, ratio: float | None) -> str:
    rate = one.executions / own
    kept = [
        target.ratio is None or (ratio is not None and ratio <= target.ratio),
        target.seconds is None or own <= target.seconds,
        target.executions_per_second is None or rate >= target.executions_per_second,
        target.peak_bytes is None or (one.peak_bytes is not None and one.peak_bytes <= target.peak_bytes),
    ]
    seen = f" ({rate:.0f} executions/s)" if target.executions_per_second else ""
    if one.peak_bytes is not None:
        seen = f" ({one.peak_bytes / 1e6:.0f} MB)"
    return f"{'yes' if all(kept) else 'no'}{seen}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def write(path: Path, database: str, found: Found) -> None:
    """All samples, with what they were measured on."""
    facts = {
        "database": database,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "versions": {name: version(name) for name in DISTRIBUTIONS},
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "cpus_allowed": os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(),
        "load_average": os.getloadavg(),
        **asdict(found),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _ = path.write_text(json.dumps(facts, indent=2) + "\n")
