"""The contenders of a workload, one after the other, round by round: what was seen, in seconds."""

import asyncio
import gc
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import planning, product
from benchmarks.database import Database, difference
from benchmarks.floors import Contender, DjangoGroupCommit, Limit, Raw
from benchmarks.workloads import Workload, workload

NAMES = ("W0", "W1a", "W1b", "W2", "W3", "W4 levels", "W4 eager", "W5", "planning")


@dataclass(kw_only=True)
class Measurement:
    """`seconds` has a list for each contender, a sample per round; `peak_bytes` is known for planning alone."""

    name: str
    nodes: int
    executions: int = 1
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: int | None = None

    def add(self, contender: str, took: float) -> None:
        self.seconds.setdefault(contender, []).append(took)


def measure(name: str, rounds: int, database: Database, folder: Path) -> Measurement:
    """The first round of each contender warms up, checks what can be checked, and does not count."""
    if name == "planning":
        return _planning(rounds)
    work = workload(name)
    workflow, snapshot = product.install(work, database)
    measurement = Measurement(name=name, nodes=work.node_count, executions=work.executions)
    if name == "W0":
        _processes(measurement, product.Processes(work, database, folder), rounds)
        return measurement
    contenders: dict[str, Contender] = {
        "product": product.Product(work, database, workflow),
        "floor": DjangoGroupCommit(work, database, snapshot),
        "raw": Raw(work, database.raw),
        "limit": Limit(work),
    }
    asyncio.run(_in_turns(measurement, work, contenders, database, rounds))
    return measurement


async def _in_turns(
    measurement: Measurement, work: Workload, contenders: Mapping[str, Contender], database: Database, rounds: int
) -> None:
    expected = [work.expected()] * work.executions
    records: dict[str, dict[str, list[str]]] = {}
    for number in range(rounds + 1):
        for name in _turns(contenders, number):
            took, values = await _one(contenders[name])
            if values != expected:
                raise RuntimeError(f"{name} computed something else in {work.name}")
            if number:
                measurement.add(name, took)
            elif name in ("product", "floor"):
                records[name] = database.record()
    found = difference(records["product"], records["floor"])
    if found is not None:
        raise RuntimeError(f"The floor of {work.name} does not keep what the product keeps: {found}")


def _turns(names: Iterable[str], number: int) -> list[str]:
    """Every other round backwards: nobody always runs after the same one."""
    return list(names)[:: -1 if number % 2 else 1]


async def _one(contender: Contender) -> tuple[float, list[dict[str, int]]]:
    await contender.open()
    _ = gc.collect()
    begun = time.perf_counter()
    values = await contender.run()
    took = time.perf_counter() - begun
    await contender.close()
    return took, values


def _processes(measurement: Measurement, processes: product.Processes, rounds: int) -> None:
    for number in range(rounds + 1):
        for contender in _turns(processes.commands, number):
            processes.open()
            begun = time.perf_counter()
            printed = processes.run(contender)
            took = time.perf_counter() - begun
            processes.check(contender, printed)
            if number:
                measurement.add(contender, took)


def _planning(rounds: int) -> Measurement:
    text = planning.snapshot_text()
    measurement = Measurement(name="planning", nodes=planning.NODES, peak_bytes=planning.peak_bytes(text))
    for number in range(rounds + 1):
        took = planning.seconds(text)
        if number:
            measurement.add("product", took)
    return measurement
