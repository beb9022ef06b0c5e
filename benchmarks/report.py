"""Medians, ratios and targets: a table for people, a file for machines."""

import json
import platform
import sqlite3
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

type Samples = Mapping[str, Mapping[str, list[float]]]

# Workload: what is promised, as (text, test of own median and of the Django floor's median).
TARGETS: dict[str, tuple[str, Any]] = {
    "W0": ("<= 1.5 x django.setup() and a query", lambda own, floor: own <= 1.5 * floor),
    "W1b": ("<= 2 x floor", lambda own, floor: own <= 2 * floor),
    "W2": ("<= 2 x floor", lambda own, floor: own <= 2 * floor),
    "W4 levels": ("<= 1.05 x 310 ms", lambda own, _floor: own <= 1.05 * 0.310),
    "W4 eager": ("<= 1.10 x 130 ms", lambda own, _floor: own <= 1.10 * 0.130),
    "W5": ("<= 2 x floor, >= 600 runs/s", lambda own, floor: own <= 2 * floor and 200 / own >= 600),
    "planning": ("<= 0.5 s", lambda own, _floor: own <= 0.5),
}
COLUMNS = (
    "workload",
    "nodes",
    "product s",
    "us/node",
    "django floor s",
    "ratio",
    "sqlite s",
    "asyncio s",
    "target",
    "met",
)


def table(samples: Samples, nodes: Mapping[str, int]) -> str:
    rows = [COLUMNS, *(_row(name, found, nodes.get(name, 0)) for name, found in samples.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _row(name: str, found: Mapping[str, list[float]], nodes: int) -> tuple[str, ...]:
    medians = {contender: statistics.median(times) for contender, times in found.items()}
    own, floor = medians["product"], medians.get("django")
    target, met = TARGETS.get(name, ("", None))
    return (
        name,
        str(nodes or ""),
        f"{own:.4f}",
        f"{own / nodes * 1e6:.0f}" if nodes else "",
        "" if floor is None else f"{floor:.4f}",
        "" if floor is None else f"{own / floor:.2f}",
        _seconds(medians.get("sqlite")),
        _seconds(medians.get("asyncio")),
        target,
        "" if met is None else ("yes" if met(own, floor) else "no"),
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def write(path: Path, samples: Samples, nodes: Mapping[str, int]) -> None:
    """All samples, with what they were measured on."""
    facts = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": platform.machine(),
        "system": platform.platform(),
        "nodes": dict(nodes),
        "seconds": {name: dict(found) for name, found in samples.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    _ = path.write_text(json.dumps(facts, indent=2) + "\n")
