"""The graphs that are measured, as lists of nodes and as workflow documents."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SPECIFICATIONS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "workloads.json").read_text())
MODULUS = 1_000_003


@dataclass(frozen=True)
class BenchNode:
    key: str
    sources: tuple[str, ...] = ()
    sleep_ms: int = 0


@dataclass(frozen=True)
class Workload:
    """`executions` runs of one graph, started at once. Nodes are in topological order."""

    name: str
    nodes: tuple[BenchNode, ...]
    executions: int
    scheduling: str = "levels"

    @property
    def node_count(self) -> int:
        return len(self.nodes) * self.executions

    @property
    def width(self) -> int:
        """The parallelism that is allowed: all of it, for the product and for the floors."""
        return min(10_000, len(self.nodes))

    def expected(self) -> dict[str, int]:
        values: dict[str, int] = {}
        for node in self.nodes:
            values[node.key] = body([values[source] for source in node.sources])
        return values

    def document(self) -> dict[str, Any]:
        """A trigger before the graph; every node is a tool that gets its predecessors' values by expressions."""
        nodes: list[dict[str, Any]] = [{"key": "start", "type": "trigger"}]
        edges: list[dict[str, Any]] = []
        for node in self.nodes:
            nodes.append({"key": node.key, "type": "tool", **self._call(node)})
            edges += [{"from": source, "to": node.key} for source in node.sources or ("start",)]
        settings = {"max_parallel_nodes": self.width, "scheduling": self.scheduling}
        return {"name": self.name.lower(), "settings": settings, "nodes": nodes, "edges": edges}

    def _call(self, node: BenchNode) -> dict[str, Any]:
        if self.name == "W0":
            # A process of its own knows only the tools that are installed: this one gives its inputs back.
            return {"tool": "core.set", "inputs": {"v": body([])}}
        inputs: dict[str, Any] = {"values": [f"${{{{ nodes.{source}.v }}}}" for source in node.sources]}
        if node.sleep_ms:
            inputs["milliseconds"] = node.sleep_ms
        return {"tool": "bench.node", "inputs": inputs}


def body(values: list[int]) -> int:
    """What every node computes."""
    return (1 + sum(values)) % MODULUS


def workload(name: str) -> Workload:
    """A workload by its name; `W4 eager` is W4 with the other scheduling."""
    identity, _, scheduling = name.partition(" ")
    specification = SPECIFICATIONS[identity]
    return Workload(
        name=name.replace(" ", "-"),
        nodes=tuple(_nodes(specification)),
        executions=specification.get("executions", 1),
        scheduling=scheduling or "levels",
    )


def _nodes(specification: dict[str, Any]) -> list[BenchNode]:
    match specification["kind"]:
        case "layered":
            return _layered(specification["layers"], specification["width"], specification["fan_in"])
        case "fan":
            middle = [BenchNode(f"m{number}", ("source",)) for number in range(specification["width"])]
            return [BenchNode("source"), *middle, BenchNode("sink", tuple(node.key for node in middle))]
        case "mix":
            return _mix()
        case "sleepskew":
            return _chains(specification["sleeps_ms"])
        case _:
            return [
                BenchNode(f"n{number}", (f"n{number - 1}",) if number else ())
                for number in range(specification["length"])
            ]


def _layered(layers: int, width: int, fan_in: int) -> list[BenchNode]:
    return [
        BenchNode(
            f"n{layer}_{place}",
            tuple(f"n{layer - 1}_{(place + shift) % width}" for shift in range(fan_in)) if layer else (),
        )
        for layer in range(layers)
        for place in range(width)
    ]


def _chains(sleeps: list[list[int]]) -> list[BenchNode]:
    nodes = [
        BenchNode(f"c{chain}_{place}", (f"c{chain}_{place - 1}",) if place else (), milliseconds)
        for chain, row in enumerate(sleeps)
        for place, milliseconds in enumerate(row)
    ]
    return [*nodes, BenchNode("join", tuple(f"c{chain}_{len(row) - 1}" for chain, row in enumerate(sleeps)))]


def _mix() -> list[BenchNode]:
    """What most workflows do: they wait for others. 340 ms, however quick the engine is."""
    answers = [BenchNode(f"fetch{number}", ("ask",), wait) for number, wait in enumerate((20, 100, 200))]
    return [
        BenchNode("ask", (), 50),
        *answers,
        BenchNode("decide", tuple(node.key for node in answers), 30),
        BenchNode("store", ("decide",), 60),
    ]
