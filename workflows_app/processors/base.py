"""The port between the engine and a node type: what a processor gets and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from workflows_app.dag.plan import NodePlan
from workflows_app.dag.rendering import Scope
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey
from workflows_app.tools.context import ToolContext
from workflows_app.tools.reconciling import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one predecessor hands over along a taken edge: its output, or `{"error": {...}}` of an error edge."""

    node: NodeKey
    value: JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCall:
    """Everything a processor may use. All values are the node's own copies and may be changed.

    `merged_input()` are the predecessors' outputs over the workflow's variables and the execution's input;
    `contributions()` are those outputs one by one, in edge order.
    """

    node: NodePlan
    attempt: ToolContext
    scope: Scope
    execution_input: Callable[[], JsonObject]
    merged_input: Callable[[], JsonObject]
    contributions: Callable[[], Sequence[Contribution]]
    started_at: datetime


class Processor(Protocol):
    """One node type at work. `prepare` renders what goes on record as the node's input; `process` does it.

    Both methods report failure by raising; the class name of the error is what retry policies see. The result
    may be any value that `jsontext.dumps` accepts.
    """

    def prepare(self, call: NodeCall) -> JsonValue: ...

    async def process(self, call: NodeCall, prepared: JsonValue) -> object: ...


class Reconciler(Processor, Protocol):
    """The processor of nodes with effect `checkable`, asked about the attempt of `call`, which was interrupted."""

    async def reconcile(self, call: NodeCall, prepared: JsonValue) -> Verdict: ...
