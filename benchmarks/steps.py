"""What it costs to call a tool that does nothing: bare, by its name, and as an attempt of the engine."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from executions_app.engine.attempt import AttemptStart
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.events import Event
from executions_app.engine.lifecycle import Lifecycle
from executions_app.engine.testing import ports_for
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools.context import ToolContext
from workflows_app.tools.registry import registry, tool

NAME = "N1"
CALLS = 5000
COLUMNS = ("workload", "contender", "us a call", "x bare")


@dataclass(kw_only=True)
class Costs:
    """Microseconds a call, by contender and round."""

    microseconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def rows(self) -> Sequence[tuple[str, ...]]:
        medians = {name: statistics.median(values) for name, values in self.microseconds.items()}
        bare = medians["bare call"]
        return [(NAME, name, f"{took:.2f}", f"{took / bare:.1f}") for name, took in medians.items()]


class _Nowhere:
    """A sink that keeps nothing: the record has a benchmark of its own."""

    def post(self, event: Event) -> None: ...

    async def commit(self, events: Sequence[Event]) -> None: ...


def measure(rounds: int) -> Costs:
    """The first round warms up and does not count."""
    costs = Costs()
    with registry.scoped():
        for number in range(rounds + 1):
            for name, took in asyncio.run(_round()).items():
                if number:
                    costs.microseconds.setdefault(name, []).append(took)
    return costs


async def _round() -> dict[str, float]:
    @tool("bench.nothing", effect="none")
    async def nothing(number: int) -> dict[str, int]:
        return {"number": number}

    inputs = {"number": 1}
    step = {"key": "a", "type": "tool", "tool": "bench.nothing", "inputs": inputs, "effect": "none"}
    plan = Plan.from_json(
        jsontext.dumps(
            {"name": "bench", "nodes": [{"key": "t", "type": "trigger"}, step], "edges": [{"from": "t", "to": "a"}]}
        )
    )
    loop = asyncio.get_running_loop()
    ports = ports_for(loop)
    context = ExecutionContext(plan, {}, execution_id="bench")
    lifecycle = Lifecycle(context, PROCESSORS, _Nowhere(), ports, CancelToken())
    now = ports.clock.now()
    start = AttemptStart(attempt_id="attempt", number=1, retry_count=0, at=now, first_at=now)
    attempt = ToolContext(
        execution_id="bench", node=plan.nodes[1].key, attempt_id="attempt", idempotency_key="bench:a", number=1,
        deadline=loop.time() + 300, journal=lambda _level, _message, _data: None,
    )  # fmt: skip
    known = registry.get("bench.nothing")
    return {
        "bare call": await _each(lambda: nothing(number=1)),
        "tool by name": await _each(lambda: known.call(inputs, attempt)),
        "attempt": await _each(lambda: lifecycle.attempt(1, start)),
    }


async def _each(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    for _ in range(CALLS):
        _ = await call()
    return (time.perf_counter() - begun) / CALLS * 1_000_000
