"""`python -m benchmarks [--only W1b,W2] [--rounds N] [--json FILE]`: measure, interleaved, and print a table."""

import argparse
import asyncio
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import floors, product, report
from benchmarks.workloads import Workload, workload

NAMES = ("W0", "W1a", "W1b", "W2", "W3", "W4 levels", "W4 eager", "W5", "planning")
PLANNED_NODES, PLANNED_EDGES = 100_000, 200_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    _ = parser.add_argument("--only", default=",".join(NAMES), help="names of workloads, by commas")
    _ = parser.add_argument("--rounds", type=int, default=5)
    _ = parser.add_argument("--json", type=Path, default=Path("benchmarks/results/latest.json"))
    options = parser.parse_args()
    chosen = [
        name for name in NAMES if name.split(" ")[0] in options.only.split(",") or name in options.only.split(",")
    ]
    samples: dict[str, dict[str, list[float]]] = {}
    nodes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="pastetrader-bench-") as folder:
        product.set_up(Path(folder))
        for name in chosen:
            print(f"measuring {name}", flush=True)
            samples[name], nodes[name] = measure(name, options.rounds, Path(folder))
    print()
    print(report.table(samples, nodes))
    report.write(options.json, samples, nodes)
    print(f"\nMedians of {options.rounds} interleaved rounds on one machine: read the ratios. Samples: {options.json}")


def measure(name: str, rounds: int, folder: Path) -> tuple[dict[str, list[float]], int]:
    if name == "W0":
        product.save(workload(name))
        commands = product.processes()
        runs = {contender: _process(command) for contender, command in commands.items()}
        return interleave(runs, rounds), 1
    if name == "planning":
        return {"product": [_planning() for _ in range(rounds)]}, PLANNED_NODES
    return asyncio.run(_measure_graph(workload(name), rounds, folder)), workload(name).node_count


async def _measure_graph(work: Workload, rounds: int, folder: Path) -> dict[str, list[float]]:
    """All contenders in one event loop; the first round of each warms up and does not count."""
    from executions_app.dispatch.runner import in_recorder

    workflow = await in_recorder(lambda: product.save(work))
    accept = await in_recorder(lambda: product.floor_rows(workflow))
    contenders: dict[str, Any] = {
        "product": product.whole(work, workflow),
        "django": floors.django_group_commit(work, accept),
        "sqlite": floors.raw_sqlite(work, folder),
        "asyncio": floors.asyncio_alone(work),
    }
    expected = work.expected()
    found: dict[str, list[float]] = {contender: [] for contender in contenders}
    for number in range(rounds + 1):
        for contender, run in contenders.items():
            begun = time.perf_counter()
            results = await run()
            took = time.perf_counter() - begun
            if any(result != expected for result in results):
                raise RuntimeError(f"{contender} computed something else in {work.name}")
            if number:
                found[contender].append(took)
    return found


def interleave(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {contender: [] for contender in runs}
    for number in range(rounds + 1):
        for contender, run in runs.items():
            begun = time.perf_counter()
            run()
            if number:
                found[contender].append(time.perf_counter() - begun)
    return found


def _process(command: list[str]) -> Callable[[], None]:
    return lambda: product.run_process(command)


def _planning() -> float:
    """From a snapshot's JSON text to levels; the memory is measured apart, since that slows it down."""
    from workflows_app.dag.plan import Plan

    text = _large_plan()
    begun = time.perf_counter()
    plan = Plan.from_json(text)
    levels = plan.levels
    took = time.perf_counter() - begun
    if len(levels) != PLANNED_NODES or len(plan.edges) != PLANNED_EDGES:
        raise RuntimeError("the plan is not the one that was written")
    del plan, levels
    tracemalloc.start()
    plan = Plan.from_json(text)
    _ = plan.levels
    print(f"  planning: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB at its peak")
    tracemalloc.stop()
    return took


def _large_plan() -> str:
    import json

    nodes = [{"key": "n0", "type": "trigger"}] + [
        {"key": f"n{number}", "type": "tool", "tool": "core.set"} for number in range(1, PLANNED_NODES)
    ]
    first = [{"from": f"n{number // 2}", "to": f"n{number}"} for number in range(1, PLANNED_NODES)]
    second = [
        {"from": f"n{number // 3}", "to": f"n{number}", "handle": "out", "priority": 1}
        for number in range(2, PLANNED_NODES)
    ]
    third = [{"from": "n0", "to": "n99998"}, {"from": "n0", "to": "n99999"}, {"from": "n1", "to": "n99999"}]
    return json.dumps({"name": "large", "nodes": nodes, "edges": first + second + third})


if __name__ == "__main__":
    main()
