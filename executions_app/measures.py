"""What this process counts of itself. Plain numbers: the library that shows them is loaded by who asks for them."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from workflows_app.agents.calls import BILLIONTHS

# Seconds, from a tool that only computes to one that waits for people.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)

# Adding to a number is two steps, and several threads count.
_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """`name` without the prefix of the product; `labels` are the names of what its numbers are told apart by."""

    name: str
    text: str
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Measure):
    """How often something happened since the process began."""

    # What is shown is what was counted, divided by this.
    parts: int = 1
    values: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, *labels: str, number: int = 1) -> None:
        with _lock:
            self.values[labels] = self.values.get(labels, 0) + number


@dataclass(slots=True)
class Spread:
    """How many observations were at most as large as each bound, the last place for those beyond all; and their sum."""

    counts: list[int]
    sum: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Measure):
    """How large something was, each time."""

    bounds: Sequence[float] = _SECONDS
    values: dict[tuple[str, ...], Spread] = field(default_factory=dict)

    def observe(self, value: float, *labels: str) -> None:
        with _lock:
            spread = self.values.get(labels)
            if spread is None:
                spread = self.values[labels] = Spread([0] * (len(self.bounds) + 1))
            spread.counts[bisect_left(self.bounds, value)] += 1
            spread.sum += value


executions_ended = Count(name="executions_ended", text="Executions that ended here", labels=("status",))
node_seconds = Histogram(
    name="node_seconds", text="From the start of a node's first attempt to its end", labels=("type", "status")
)
step_seconds = Histogram(
    name="attempt_step_seconds", text="The steps of attempts of tool and agent nodes", labels=("type", "step")
)
attempt_bytes = Count(
    name="attempt_bytes", text="JSON text that went into tools and agents and came out", labels=("type", "direction")
)
nodes_abandoned = Count(name="nodes_abandoned", text="Nodes whose code did not end when it was told to")
agent_requests = Count(name="agent_requests", text="Requests of agents to their models")
agent_tokens = Count(name="agent_tokens", text="Tokens of agents, as their providers count", labels=("direction",))
agent_cost = Count(name="agent_cost", text="What agents cost, in the unit of the price table", parts=BILLIONTHS)
batch_events = Histogram(name="recorder_batch_events", text="Events that were committed together", bounds=_SIZES)
batch_seconds = Histogram(name="recorder_batch_seconds", text="What a commit took, its repetitions included")
lease_renewals = Count(
    name="lease_renewals", text="Leases that were prolonged, lost, or not answered for", labels=("outcome",)
)
loop_lag = Histogram(name="loop_lag_seconds", text="How long the engine's event loop took to answer a call")
loops_blocked = Count(name="loops_blocked", text="Times that an event loop was silent for half a lease")
request_seconds = Histogram(
    name="http_request_seconds", text="Requests to the API", labels=("operation", "method", "status")
)

COUNTS = (
    executions_ended, attempt_bytes, nodes_abandoned, agent_requests, agent_tokens, agent_cost, lease_renewals,
    loops_blocked,
)  # fmt: skip
HISTOGRAMS = (node_seconds, step_seconds, batch_events, batch_seconds, loop_lag, request_seconds)
