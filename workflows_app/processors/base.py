"""The port between the engine and a node type: what a processor gets and what it gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from workflows_app.agents.calls import Calls, Unrecorded
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.rendering import Scope
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey
from workflows_app.processors.errors import NodeError
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
    # Of agents.
    calls: Calls = field(default_factory=Unrecorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a node works on: `input` goes on record, `arguments` is what its processor made of it.

    `problem` is what is wrong with the input: the node fails with it, without an effect, and the input is on record.
    """

    input: JsonValue
    arguments: object = None
    problem: NodeError | None = None


class Processor(Protocol):
    """One node type at work: three steps, each of which reports failure by raising.

    `pre_process` renders the expressions and checks what came of them, `process` does the work, `post_process` checks
    its result. Only `process` may wait, and only what it does can have an effect. The class name of an error is what
    retry policies see. A result may be any value that `jsontext.dumps` accepts.
    """

    def pre_process(self, call: NodeCall) -> Prepared: ...

    async def process(self, call: NodeCall, prepared: Prepared) -> object: ...

    def post_process(self, call: NodeCall, result: object) -> object: ...


class Reconciler(Processor, Protocol):
    """The processor of nodes with effect `checkable`, asked about the attempt of `call`, which was interrupted.

    The output of a `Done` is checked as `post_process` does.
    """

    async def reconcile(self, call: NodeCall, prepared: Prepared) -> Verdict: ...


class Unchecked:
    """A base of processors whose results need no check."""

    def post_process(self, call: NodeCall, result: object) -> object:
        del call
        return result
