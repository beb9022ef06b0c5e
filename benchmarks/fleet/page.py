"""The tables of docs/scaling.md and its picture; `python -m benchmarks.fleet.page` makes them from the figures."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.fleet import chart
from benchmarks.fleet.model import CONCURRENCY, Costs, Outcome, costs_of, median_of, simulate
from benchmarks.product import ROOT

PAGE = ROOT / "docs" / "scaling.md"
PICTURE = ROOT / "docs" / "images" / "scaling.svg"
FIGURES = ROOT / "docs" / "figures" / "fleet.json"
FLEETS = (1, 2, 5, 10, 20, 50, 100)
DATABASE_CORES = (2, 8, 32)
SHOWN = (1, 10, 100)
# So many runs for each place of a worker that is simulated.
TURNS = 3
# Above this part of what there is, it is what bounds.
FULL = 0.9


def write(figures: Mapping[str, Any]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, part in parts(figures).items():
        begin, end = f"<!-- {name}: made by make bench-fleet -->", f"<!-- end of {name} -->"
        text, count = re.subn(
            f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, b=begin, p=part, e=end: f"{b}\n\n{p}\n\n{e}", text,
            flags=re.DOTALL,
        )  # fmt: skip
        if count != 1:
            raise RuntimeError(f"{PAGE} has no place for {name}.")
    _ = PAGE.write_text(text, encoding="utf-8")
    lines = {cores: [(one.workers, one.rate) for one in _fleets(costs_of(figures), "IO", cores)]
             for cores in DATABASE_CORES}  # fmt: skip
    _ = PICTURE.write_text(chart.picture(lines), encoding="utf-8")


def parts(figures: Mapping[str, Any]) -> dict[str, str]:
    """Markdown, by the name of its place in the page."""
    return {
        "machine": f"{figures['at']}, {figures['cpus']} cores for all of it, Python {figures['python']}, "
        f"PostgreSQL {figures['postgresql']}; load before: {figures['load_average'][0]:.1f}.",
        "throughput": _throughput(figures),
        "pick-up": _pick_up(figures),
        "idle": _idle(figures),
        "commits": _commits(figures),
        "bytes": _bytes(figures),
        "claims": _claims(figures),
        "costs": _costs(figures),
        "check": _check(figures),
        "forecast": _forecast(figures),
    }


def _throughput(figures: Mapping[str, Any]) -> str:
    rows: list[Sequence[str]] = []
    for cell in figures["cells"]:
        used, seconds, runs = _used(cell), _seconds(cell), cell["executions"]
        rows.append(
            (
                cell["dispatch"], cell["workload"], str(cell["workers"]), f"{runs / seconds:.0f}",
                f"{runs * cell['nodes'] / seconds:.0f}", f"{used['workers'] / runs * 1000:.2f}",
                f"{used['postgresql'] / runs * 1000:.2f}", f"{used['workers'] / seconds:.2f}",
                f"{used['postgresql'] / seconds:.2f}", f"{_others(cell):.2f}",
                f"{used['commits'] / seconds:.0f}", f"{used['wal_bytes'] / runs / 1000:.1f}",
            )
        )  # fmt: skip
    head = (
        "dispatcher", "workload", "workers", "executions/s", "nodes/s", "worker ms/run", "database ms/run",
        "worker cores", "database cores", "others' cores", "commits/s", "WAL kB/run",
    )  # fmt: skip
    return _table(head, rows)


def _pick_up(figures: Mapping[str, Any]) -> str:
    head = ("dispatcher", "workers", "p50 ms", "p99 ms", "worker ms/run", "database ms/run", "transactions/run")
    return _table(
        head,
        (
            (
                one["dispatch"], str(one["workers"]), f"{one['p50_ms']:.1f}", f"{one['p99_ms']:.1f}",
                f"{one['worker_cpu_ms_a_run']:.1f}", f"{one['postgresql_cpu_ms_a_run']:.1f}",
                f"{one['transactions_a_run']:.0f}",
            )
            for one in figures["pick_ups"]
        ),
    )  # fmt: skip


def _idle(figures: Mapping[str, Any]) -> str:
    head = (
        "dispatcher", "connections", "transactions/s", "worker ms/s", "database ms/s",
        "of 100 workers: transactions/s", "cores of the database",
    )  # fmt: skip
    return _table(
        head,
        (
            (
                name, f"{one['connections']:.1f}", f"{one['transactions']:.1f}", f"{one['worker_cpu_ms']:.1f}",
                f"{one['postgresql_cpu_ms']:.1f}", f"{100 * one['transactions']:.0f}",
                f"{100 * one['postgresql_cpu_ms'] / 1000:.2f}",
            )
            for name, one in figures["idle"].items()
        ),
    )  # fmt: skip


def _commits(figures: Mapping[str, Any]) -> str:
    return _table(
        ("connections", "commits/s", "database us/commit"),
        (
            (str(one["connections"]), f"{one['commits_a_second']:.0f}", f"{one['postgresql_cpu_us']:.0f}")
            for one in figures["commits"]
        ),
    )


def _bytes(figures: Mapping[str, Any]) -> str:
    found = figures["stored"]["W5"]
    runs = found["rows"]["workflowexecution"]
    names = {
        "workflowexecution": "execution", "nodeexecution": "node", "nodeattempt": "attempt",
        "executionlog": "journal entry",
    }  # fmt: skip
    rows = [
        (what, f"{found['rows'][table] / runs:.0f}", f"{found['size'][table] / found['rows'][table]:.0f}",
         f"{found['size'][table] / runs:.0f}")
        for table, what in names.items()
    ]  # fmt: skip
    whole = sum(found["size"].values()) / runs
    return _table(("row", "rows/run", "bytes/row", "bytes/run"), [*rows, ("all", "", "", f"{whole:.0f}")])


def _claims(figures: Mapping[str, Any]) -> str:
    return _table(
        ("waiting", "lanes", "claim of 1, ms", "claim of 32, ms"),
        (
            (str(one["waiting"]), str(one["lanes"]), f"{one['claim_1_ms']:.1f}", f"{one['claim_32_ms']:.1f}")
            for one in figures["claims"]
        ),
    )


def _costs(figures: Mapping[str, Any]) -> str:
    costs, accepting = costs_of(figures), figures["acceptance"]
    return _table(
        ("milliseconds", "of the worker or the site", "of the database"),
        (
            ("a node", f"{costs.worker_node * 1000:.2f}", f"{costs.database_node * 1000:.2f}"),
            ("a transaction", f"{costs.worker_commit * 1000:.2f}", f"{costs.database_commit * 1000:.2f}"),
            ("a flush of the log", "", f"{costs.flush * 1000:.2f}, waiting"),
            ("an acceptance", f"{accepting['cpu_ms']:.2f}", f"{accepting['postgresql_cpu_ms']:.2f}"),
        ),
    )


def _check(figures: Mapping[str, Any]) -> str:
    costs, rows = costs_of(figures), list[Sequence[str]]()
    for cell in figures["cells"]:
        if cell["dispatch"] != "inline":
            continue
        seconds = _seconds(cell)
        made = simulate(
            costs.slower(figures["cpus"] / (figures["cpus"] - _others(cell))),
            cell["workload"],
            cell["workers"],
            cell["executions"],
            cores=figures["cpus"],
            apart=False,
        )
        rows.append(
            (
                cell["workload"], str(cell["workers"]), f"{cell['executions'] / seconds:.0f}", f"{made.rate:.0f}",
                f"{(made.rate * seconds / cell['executions'] - 1) * 100:+.0f} %", f"{_used(cell)['commits']:.0f}",
                str(made.commits),
            )
        )  # fmt: skip
    return _table(
        ("workload", "workers", "executions/s", "simulated", "error", "commits", "simulated"),
        rows,
    )


def _forecast(figures: Mapping[str, Any]) -> str:
    costs, rows = costs_of(figures), list[Sequence[str]]()
    wal = {cell["workload"]: _used(cell)["wal_bytes"] / cell["executions"] for cell in figures["cells"]}
    disk = {
        name: sum(found["size"].values()) / found["rows"]["workflowexecution"]
        for name, found in figures["stored"].items()
    }
    for name in ("W5", "IO"):
        for cores in DATABASE_CORES:
            fleets = [one for one in _fleets(costs, name, cores) if one.workers in SHOWN]
            for one in [*fleets, *_fleets(costs, name, cores, (10,), places=4 * CONCURRENCY)]:
                rows.append(
                    (
                        name, str(cores), str(one.workers), str(one.places), f"{one.rate:.0f}",
                        f"{one.nodes / one.seconds:.0f}",
                        f"{one.worker_busy / one.seconds / one.workers:.0%}",
                        f"{one.database_busy / one.seconds / cores:.0%}", f"{one.commits / one.seconds:.0f}",
                        f"{one.rate * wal[name] / 1e6:.1f}", f"{one.rate * disk[name] * 86400 / 1e9:.0f}",
                        _bound(one, cores),
                    )
                )  # fmt: skip
    head = (
        "workload", "database cores", "workers", "runs each", "executions/s", "nodes/s", "a worker is busy",
        "the database is busy",
        "commits/s", "WAL MB/s", "GB a day", "bound by",
    )  # fmt: skip
    return _table(head, rows)


def _fleets(
    costs: Costs, name: str, cores: int, fleets: Sequence[int] = FLEETS, places: int = CONCURRENCY
) -> list[Outcome]:
    return [
        simulate(costs, name, count, count * places * TURNS, cores=cores, apart=True, places=places) for count in fleets
    ]


def _bound(one: Outcome, cores: int) -> str:
    """The log is none: whoever waits for it goes with the next flush."""
    if one.database_busy / one.seconds >= FULL * cores:
        return "cores of the database"
    return "cores of workers" if one.worker_busy / one.seconds >= FULL * one.workers else "runs at a time"


def _used(cell: Mapping[str, Any]) -> dict[str, float]:
    return median_of(cell["used"], len(cell["used"]))


def _others(cell: Mapping[str, Any]) -> float:
    """How many cores somebody else used meanwhile, this program included."""
    used = _used(cell)
    return max(0.0, used["busy"] - used["workers"] - used["postgresql"]) / used["at"]


def _seconds(cell: Mapping[str, Any]) -> float:
    return sorted(cell["seconds"])[len(cell["seconds"]) // 2]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    write(json.loads(FIGURES.read_text()))
