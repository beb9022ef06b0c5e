"""The `Plan`: an immutable, validated workflow, ready to run.

Its JSON form is a workflow document with every default left out and the effect of every tool stated,
so a snapshot can be read by people and run by the engine. Decoding goes straight from JSON text into
these structs (msgspec), which is what makes a graph of 100 000 nodes load in a fraction of a second.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

import msgspec

from workflows_app.dag import jsontext
from workflows_app.dag.graph import topological_levels
from workflows_app.dag.types import (
    DEFAULT_QUEUE,
    Effect,
    Handle,
    Jitter,
    Join,
    JsonObject,
    Match,
    NodeKey,
    NodeType,
    OnError,
    OnFailure,
    Overflow,
    Scheduling,
    Strategy,
)

DEFAULT_ATTEMPT_TIMEOUT = Decimal(300)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Wait `min(max_delay, delay * multiplier ** n)` seconds before retry n + 1, n = 0, 1, ..."""

    max_retries: int = 0
    delay: int | Decimal = 1
    multiplier: int | Decimal = 2
    max_delay: int | Decimal = 60
    jitter: Jitter = Jitter.NONE
    retry_on: tuple[str, ...] = ()
    never_retry_on: tuple[str, ...] = ()


NO_RETRY = RetryPolicy()


class Configured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A tool that was made on the site, as it was when the snapshot was made: see `dag.configured`.

    `configuration` are arguments of the registered tool `kind`, with expressions in their strings.
    """

    name: str
    kind: str
    configuration: dict[str, Any] = {}
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None


def names_of(tool: str, own: Configured | None) -> Sequence[str]:
    """The names for which a tool counts as called: its own, and that of its kind."""
    return (tool,) if own is None else (tool, own.kind)


class Offered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A tool that the model of an agent may call, as it was when the snapshot was made."""

    name: str
    effect: Effect = Effect.NONE
    # Of a tool that was made on the site; code describes the others.
    description: str = ""
    configured: Configured | None = None


def effect_of_agent(tools: Iterable[Effect]) -> Effect:
    """What a repetition would do of an agent whose model may call tools with these effects."""
    effects = set(tools)
    if not all(effect.is_repeatable for effect in effects):
        return Effect.AT_MOST_ONCE
    return Effect.IDEMPOTENT if Effect.IDEMPOTENT in effects else Effect.NONE


class NodePlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One node as the document states it. Fields that its type does not have are at their defaults.

    `inputs` and `output` are JSON values with expressions in their strings. `timeout_seconds` is the limit
    of one attempt.
    """

    key: NodeKey
    type: NodeType
    name: str = ""
    position: dict[str, Any] | None = None
    join: Join = Join.NONE_FAILED_MIN_ONE_SUCCESS
    on_error: OnError = OnError.FAIL
    # tool, agent, condition
    inputs: Any = None
    # tool, agent
    timeout_seconds: int | Decimal = DEFAULT_ATTEMPT_TIMEOUT
    retry: RetryPolicy = NO_RETRY
    effect: Effect = Effect.NONE
    output_schema: dict[str, Any] | None = None
    # `queue:NAME`: a process that serves this queue runs the node.
    runs_on: str | None = None
    # tool
    tool: str = ""
    configured: Configured | None = None
    # The secrets that its expressions name.
    secrets: tuple[str, ...] = ()
    # agent; `from_agent` are the keys that the agent of the site with the name `agent` gave.
    agent: str = ""
    from_agent: tuple[str, ...] = ()
    provider: str = ""
    model: str = ""
    system: str = ""
    prompt: Any = None
    tools: tuple[str, ...] = ()
    # `tools`, each as it was found.
    offered: tuple[Offered, ...] = ()
    allow_effects: bool = False
    limits: dict[str, Any] | None = None
    # condition
    match: Match = Match.FIRST
    # adapter
    output: Any = None
    # aggregator
    strategy: Strategy = Strategy.MERGE
    field: str = ""

    @property
    def label(self) -> str:
        return self.name or self.key


class EdgePlan(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
    rename={"source": "from", "target": "to"},
):
    source: NodeKey
    target: NodeKey
    condition: str | None = None
    default: bool = False
    priority: int = 0
    handle: Handle = Handle.OUT
    label: str = ""


class BudgetPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the agents of an execution may take together; `max_cost` in the unit of the price table."""

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: int | Decimal | None = None


class ConcurrencyPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """So many runs may be under way at a time with one value of the key, which is a template over input and vars."""

    key: str = ""
    limit: int
    overflow: Overflow = Overflow.QUEUE


class PlanSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    scheduling: Scheduling = Scheduling.LEVELS
    max_parallel_nodes: int = 10
    timeout_seconds: int | Decimal | None = 3600
    on_failure: OnFailure = OnFailure.CONTINUE
    allow_concurrent: bool = True
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    concurrency: ConcurrencyPlan | None = None
    budget: BudgetPlan | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, dict=True):
    """A workflow as the engine takes it. Compiled parts are computed once and kept.

    Nodes are addressed by their position in `nodes`, edges by their position in `edges`: that is the
    document order, in which edges are merged and tried.
    """

    name: str
    description: str = ""
    labels: tuple[str, ...] = ()
    variables: dict[str, Any] = {}
    settings: PlanSettings = PlanSettings()
    input_schema: dict[str, Any] | bool | None = None
    output: dict[str, Any] | None = None
    nodes: tuple[NodePlan, ...]
    edges: tuple[EdgePlan, ...]

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a snapshot. Raises `jsontext.JsonError` where the text is no plan."""
        return jsontext.loads_as(cls, text)

    @classmethod
    def from_document(cls, document: JsonObject) -> Self:
        """Make a plan of a document that the validator has accepted."""
        return cls.from_json(jsontext.dumps(document))

    def to_json(self) -> str:
        return jsontext.dumps_struct(self)

    @cached_property
    def index(self) -> dict[NodeKey, int]:
        """Node key to position."""
        return {node.key: position for position, node in enumerate(self.nodes)}

    @cached_property
    def tools(self) -> frozenset[tuple[str, Effect]]:
        """The registered tools that nodes call, each with the effect that they state."""
        return frozenset(
            (node.tool, node.effect) for node in self.nodes if node.type is NodeType.TOOL and node.configured is None
        )

    @cached_property
    def configured(self) -> dict[tuple[str, Effect], Configured]:
        """The tools of the site that are called, by name and by the effect that their nodes state."""
        return {(node.tool, node.effect): node.configured for node in self.nodes if node.configured is not None}

    @cached_property
    def agents(self) -> tuple[NodePlan, ...]:
        """The nodes that ask a model."""
        return tuple(node for node in self.nodes if node.type is NodeType.AGENT)

    @cached_property
    def runs_elsewhere(self) -> bool:
        """Whether any node is for processes of a queue of its own."""
        return any(node.runs_on for node in self.nodes)

    @cached_property
    def outgoing(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the positions of its outgoing edges in document order."""
        return self._edges_by(edge.source for edge in self.edges)

    @cached_property
    def incoming(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the positions of its incoming edges in document order."""
        return self._edges_by(edge.target for edge in self.edges)

    @cached_property
    def ends(self) -> tuple[tuple[int, int], ...]:
        """For each edge, the positions of its two nodes."""
        index = self.index
        return tuple((index[edge.source], index[edge.target]) for edge in self.edges)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """For each node, its level: 0 without predecessors, else one more than the highest of theirs."""
        return topological_levels(len(self.nodes), self.ends)

    def _edges_by(self, ends: Iterable[NodeKey]) -> tuple[tuple[int, ...], ...]:
        lists: list[list[int]] = [[] for _ in self.nodes]
        index = self.index
        for position, key in enumerate(ends):
            lists[index[key]].append(position)
        return tuple(tuple(positions) for positions in lists)
