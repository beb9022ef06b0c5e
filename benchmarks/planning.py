"""Planning: from a large snapshot's JSON text to the level of every node."""

import gc
import json
import time
import tracemalloc

NODES, EDGES = 100_000, 200_000


def snapshot_text() -> str:
    """A graph in which every node but the first has two predecessors, or nearly so."""
    nodes = [{"key": "n0", "type": "trigger"}] + [
        {"key": f"n{number}", "type": "tool", "tool": "core.set"} for number in range(1, NODES)
    ]
    halves = [(number // 2, number) for number in range(1, NODES)]
    thirds = [(number // 3, number) for number in range(6, NODES)]
    more = [(0, NODES - 1 - number) for number in range(EDGES - len(halves) - len(thirds))]
    edges = [{"from": f"n{source}", "to": f"n{target}"} for source, target in [*halves, *thirds, *more]]
    return json.dumps({"name": "large", "nodes": nodes, "edges": edges})


def seconds(text: str) -> float:
    from workflows_app.dag.plan import Plan

    _ = gc.collect()
    begun = time.perf_counter()
    plan = Plan.from_json(text)
    levels = plan.levels
    took = time.perf_counter() - begun
    if (len(levels), len(plan.edges)) != (NODES, EDGES):
        raise RuntimeError("the plan is not the one that was written")
    return took


def peak_bytes(text: str) -> int:
    """The most memory that planning had at once, the text aside. Apart from the time, since it slows that down."""
    from workflows_app.dag.plan import Plan

    tracemalloc.start()
    try:
        plan = Plan.from_json(text)
        _ = plan.levels
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
