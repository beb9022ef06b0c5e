"""Workflows that tests look at in a browser."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EVIL = "</script><img src=x onerror=alert(1)>"
LONG = "12345678901234567890.123456789"

# Everything that a node can become, within five seconds; what it says wants to be markup.
MIXED = f"""
name: mixed
nodes:
  - {{key: start, type: trigger}}
  - {{key: prices, type: tool, tool: core.sleep, inputs: {{seconds: 4}}}}
  - {{key: flaky, type: tool, tool: core.fail, inputs: {{times: 1}}, retry: {{max_retries: 2, delay: 0.5}}}}
  - {{key: broken, type: tool, tool: core.fail, inputs: {{message: "{EVIL}", type: QuotaError}}}}
  - {{key: after_broken, type: tool, tool: core.set}}
  - {{key: check, type: condition}}
  - {{key: buy, type: adapter, output: {{amount: {LONG}, note: "{EVIL}"}}}}
  - {{key: hold, type: adapter, name: "{EVIL}", output: {{signal: hold}}}}
  - {{key: talk, type: tool, tool: core.log, inputs: {{message: "{EVIL}", level: warning}}}}
edges:
  - {{from: start, to: prices}}
  - {{from: start, to: flaky}}
  - {{from: start, to: broken}}
  - {{from: broken, to: after_broken}}
  - {{from: prices, to: check}}
  - {{from: check, to: buy, condition: 1 < 2}}
  - {{from: check, to: hold, default: true}}
  - {{from: buy, to: talk}}
"""

SLEEPY = """
name: sleepy
nodes:
  - {key: start, type: trigger}
  - {key: nap, type: tool, tool: core.sleep, inputs: {seconds: 30}}
  - {key: later, type: tool, tool: core.set}
edges:
  - {from: start, to: nap}
  - {from: nap, to: later}
"""


# It does what a file says: a line of a fraction and a text, until all is done.
STEPS_TOOL = """
import asyncio
from pathlib import Path
from workflows_app.tools import ToolContext, tool

@tool("site.steps", effect="none")
async def steps(context: ToolContext, path: str) -> str:
    while True:
        fraction, _, text = Path(path).read_text().partition(" ")
        context.progress(float(fraction or 0), text)
        if fraction == "1":
            return text
        await asyncio.sleep(0.05)
"""
STEPS = """
name: steps
nodes:
  - {key: start, type: trigger}
  - {key: load, type: tool, tool: site.steps, inputs: {path: "${{ input.path }}"}}
  - {key: idle, type: tool, tool: core.set}
edges:
  - {from: start, to: load}
  - {from: load, to: idle}
"""


# It writes what a file has, as an agent writes what its model says, until the text ends with a full stop.
WRITES_TOOL = """
import asyncio
from pathlib import Path
from workflows_app.tools import ToolContext, tool

@tool("site.writes", effect="none")
async def writes(context: ToolContext, path: str) -> str:
    written = ""
    while not written.endswith("THE END."):
        text = Path(path).read_text()
        if delta := text[len(written):]:
            context.log(f"Wrote {len(delta)} characters.", "debug", text={"call": 1, "delta": delta})
        written = text
        await asyncio.sleep(0.05)
    return "written"
"""
WRITES = """
name: writes
nodes:
  - {key: start, type: trigger}
  - {key: report, type: tool, tool: site.writes, inputs: {path: "${{ input.path }}"}}
edges:
  - {from: start, to: report}
"""


def wide(name: str, columns: int, rows: int, seconds: float) -> str:
    """A grid of nodes that sleep, each column after the one before, with some edges across."""
    nodes: list[dict[str, Any]] = [{"key": "start", "type": "trigger"}]
    edges = []
    for column in range(columns):
        for row in range(rows):
            key = f"n{column}_{row}"
            nodes.append({"key": key, "type": "tool", "tool": "core.sleep", "inputs": {"seconds": seconds}})
            edges.append({"from": f"n{column - 1}_{row}" if column else "start", "to": key})
            if column and row % 3 == 0:
                edges.append({"from": f"n{column - 1}_{(row + 1) % rows}", "to": key})
    settings = {"max_parallel_nodes": 20, "scheduling": "eager"}
    return json.dumps({"name": name, "settings": settings, "nodes": nodes, "edges": edges})


def chance(name: str, count: int, seed: int) -> str:
    """A graph by chance, in which nodes sleep, fail for a while or for good, and choose."""
    draw = random.Random(seed)
    nodes: list[dict[str, Any]] = [{"key": "start", "type": "trigger"}]
    edges: list[dict[str, Any]] = []
    for number in range(count):
        key = f"n{number}"
        kind = draw.random()
        if kind < 0.8:
            inputs = {"seconds": round(draw.uniform(0.1, 0.8), 2)}
            nodes.append({"key": key, "type": "tool", "tool": "core.sleep", "inputs": inputs})
        elif kind < 0.9:
            retry = {"max_retries": 2, "delay": 0.2}
            nodes.append({"key": key, "type": "tool", "tool": "core.fail", "inputs": {"times": 1}, "retry": retry})
        elif kind < 0.95:
            nodes.append({"key": key, "type": "tool", "tool": "core.fail", "on_error": "continue"})
        else:
            nodes.append({"key": key, "type": "aggregator", "strategy": "count"})
        near = ["start", *(f"n{before}" for before in range(max(0, number - 25), number))]
        sources = draw.sample(near, min(len(near), draw.choice((1, 1, 2))))
        refused = {"condition": "1 > 2"} if draw.random() < 0.05 else {}
        edges += [{"from": source, "to": key, **(refused if source != "start" else {})} for source in sources]
    settings = {"max_parallel_nodes": 6, "scheduling": "eager"}
    return json.dumps({"name": name, "settings": settings, "nodes": nodes, "edges": edges})


def write_all(folder: Path) -> Sequence[Path]:
    """A file of each."""
    texts = {
        "mixed": MIXED,
        "sleepy": SLEEPY,
        "steps": STEPS,
        "writes": WRITES,
        "many": wide("many", 16, 6, 0.25),
        "thousand": wide("thousand", 25, 40, 0),
    }
    paths = []
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        _ = path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
