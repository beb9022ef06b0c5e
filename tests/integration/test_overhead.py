"""What the engine itself takes: fifty nodes and a hundred edges around no work at all."""

import asyncio
import itertools
import time

import pytest

from executions_app.executor import WorkflowExecutor

pytestmark = pytest.mark.django_db(transaction=True)
NODES = 50


def wide():
    """Ten levels of five nodes, with two edges into each node but the first level's, and a few more across."""
    levels = [[f"n{level}_{place}" for place in range(5)] for level in range(10)]
    edges = [("t", key) for key in levels[0]]
    for above, below in itertools.pairwise(levels):
        edges += [(above[place], below[place]) for place in range(5)]
        edges += [(above[place], below[(place + 1) % 5]) for place in range(5)]
    edges += [(levels[0][place], levels[2][place]) for place in range(5)]
    nodes = [{"key": key, "type": "tool", "tool": "core.set", "inputs": {}} for level in levels for key in level]
    return {
        "name": "wide",
        "nodes": [{"key": "t", "type": "trigger"}, *nodes],
        "edges": [{"from": source, "to": target} for source, target in edges],
    }


def test_fifty_nodes_and_a_hundred_edges(import_document, figure):
    document = wide()
    assert (len(document["nodes"]), len(document["edges"])) == (NODES + 1, 100)
    workflow = import_document(document)

    async def main():
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            result = await WorkflowExecutor().execute(workflow.id)
            taken.append(time.perf_counter() - began)
            assert result.status == "completed"
            assert {node.status for node in result.node_results.values()} == {"completed"}
        return taken

    taken = sorted(asyncio.run(main()))
    figure(
        f"{NODES} nodes and 100 edges of no work, accepted, run and recorded: "
        f"{taken[2] * 1000:.1f} ms (median of {len(taken)})"
    )
