"""From an event to the sockets of those who watch, its commit included: with the layer in memory, and with Valkey."""

import asyncio
import json
import statistics
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from websockets.asyncio.client import connect

from benchmarks.api import PRODUCT
from benchmarks.database import Database
from benchmarks.serving import HOST, Served, served
from tests import valkey

NAMES = ("L1", "L2")
VIEWERS = (1, 10, 100)
STEPS = 40
STEP_SECONDS = 0.05
TARGETS_MS = {10: 10, 100: 200}


@dataclass(kw_only=True)
class Latencies:
    """Seconds from an event, by the engine's clock, to when a viewer had it; for each viewer and message."""

    name: str
    viewers: int
    seconds: list[float] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, ...]:
        hundredths = statistics.quantiles(self.seconds, n=100)
        p50, p99 = (f"{hundredths[place] * 1000:.1f}" for place in (49, 98))
        target = TARGETS_MS.get(self.viewers)
        met = "" if target is None else "yes" if hundredths[98] * 1000 <= target else "no"
        text = "" if target is None else f"p99 <= {target}"
        return self.name, str(self.viewers), str(len(self.seconds)), p50, p99, text, met


COLUMNS = ("workload", "viewers", "messages", "p50 ms", "p99 ms", "target", "met")


def measure(name: str, rounds: int, database: Database) -> list[Latencies]:
    """Each number of viewers watches as many runs, one after the other; the first round warms up and does not count."""
    with valkey.serving() if name == "L2" else nullcontext("") as url:
        title = f"{name} {'Valkey' if url else 'in memory'}"
        with served(PRODUCT, database.beside(f"live_{name.lower()}"), REDIS_URL=url) as site:
            workflow = _chain(site)
            found = [Latencies(name=title, viewers=viewers) for viewers in VIEWERS]
            for number in range(rounds + 1):
                for one in found:
                    samples = asyncio.run(_watch(site, workflow, one.viewers))
                    if number:
                        one.seconds += samples
            return found


def _chain(site: Served) -> str:
    keys = ["start", *(f"n{number}" for number in range(STEPS))]
    step = {"type": "tool", "tool": "core.sleep", "inputs": {"seconds": STEP_SECONDS}}
    nodes = [{"key": key, **step} for key in keys[1:]]
    edges = [{"from": source, "to": target} for source, target in pairwise(keys)]
    document = {"name": "chain", "nodes": [{"key": "start", "type": "trigger"}, *nodes], "edges": edges}
    return site.ask("POST", "/api/v1/workflows", document)["id"]


async def _watch(site: Served, workflow: str, viewers: int) -> list[float]:
    """What all viewers of one run saw."""
    execution: str = (await asyncio.to_thread(site.ask, "POST", f"/api/v1/workflows/{workflow}/execute", {}))["id"]
    address = f"ws://{HOST}:{site.port}/ws/executions/{execution}/"
    seen = await asyncio.gather(*(_view(address, site.authorization) for _ in range(viewers)))
    return [seconds for one in seen for seconds in one]


async def _view(address: str, authorization: str) -> list[float]:
    samples: list[float] = []
    async with connect(address, additional_headers={"Authorization": authorization}, max_size=None) as socket:
        is_live = False
        async for text in socket:
            now = time.time()
            message: dict[str, Any] = json.loads(text)
            if message["type"] == "end":
                break
            if message["type"] == "events":
                # Those of the beginning are older than the viewer.
                samples += [now - _moment(message["items"][-1]["at"])] if is_live else []
                is_live = True
    return samples


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
