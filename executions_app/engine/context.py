"""The data of one run: what nodes gave, what a node gets, and what expressions see."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import cast, override

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.states import NodeStatus
from workflows_app.dag import jsontext
from workflows_app.dag.branching import EdgeState
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Handle, JsonObject, JsonValue, NodeKey
from workflows_app.processors.base import Contribution
from workflows_app.processors.inputs import merged


class ExecutionContext:
    """Node outputs over the workflow's variables and the execution's input.

    Outputs are kept as JSON text and decoded for every reader: what a node sees is its own. The context belongs
    to one event loop, whose coroutines may read and write it at any time.
    """

    __slots__ = (
        "_edge_states", "_errors", "_input", "_output_sizes", "_outputs", "_variables",
        "execution_id", "plan", "started_at", "trigger_type",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        input_data: JsonObject | str | None = None,
        *,
        execution_id: str = "",
        trigger_type: str = "manual",
        started_at: datetime | None = None,
    ) -> None:
        self.plan = plan
        self.execution_id = execution_id
        self.trigger_type = trigger_type
        self.started_at = started_at
        # A string is JSON text of an object.
        self._input: str = input_data if isinstance(input_data, str) else jsontext.dumps(input_data or {})
        self._variables: str = jsontext.dumps(plan.variables)
        self._outputs: dict[int, str] = {}
        self._errors: dict[int, ErrorInfo] = {}
        self._output_sizes = 0
        # Until a frontier decides, every edge of a node with an output counts as taken.
        self._edge_states: list[EdgeState] | None = None

    def follow(self, edge_states: list[EdgeState]) -> None:
        """Let a frontier's edge states, which it goes on changing, decide what arrives where."""
        self._edge_states = edge_states

    @property
    def input(self) -> JsonObject:
        return cast(JsonObject, jsontext.loads(self._input))

    @property
    def variables(self) -> JsonObject:
        return cast(JsonObject, jsontext.loads(self._variables))

    @property
    def output_size(self) -> int:
        """Bytes of all outputs together."""
        return self._output_sizes

    def set_variable(self, name: str, value: object) -> None:
        variables = self.variables
        variables[name] = jsontext.clean(value)
        self._variables = jsontext.dumps(variables)

    def set_output(self, key: str, value: object) -> None:
        """Keep a node's output. Raises `KeyError` for an unknown node, `JsonError` for a value that is not JSON."""
        self.put(self.plan.index[NodeKey(key)], jsontext.dumps(value))

    def get_output(self, key: str) -> JsonValue:
        """A copy of a node's output; null where it gave none. Raises `KeyError` for an unknown node."""
        return self.output(self.plan.index[NodeKey(key)])

    def resolve_input(self, key: str) -> JsonObject:
        """What a node without `inputs` gets: see `merged_input`."""
        return self.merged_input(self.plan.index[NodeKey(key)])

    def put(self, node: int, text: str) -> None:
        self._outputs[node] = text
        self._output_sizes += len(text)

    def put_error(self, node: int, error: ErrorInfo) -> None:
        self._errors[node] = error

    def output(self, node: int) -> JsonValue:
        text = self._outputs.get(node)
        return None if text is None else jsontext.loads(text)

    def error(self, node: int) -> JsonObject | None:
        error = self._errors.get(node)
        return None if error is None else cast(JsonObject, error.public())

    def contributions(self, node: int) -> list[Contribution]:
        """What arrives along the taken edges, in edge order. A continued failure contributes nothing."""
        arrived: list[Contribution] = []
        plan = self.plan
        for position in plan.incoming[node]:
            if self._edge_states is not None and self._edge_states[position] is not EdgeState.TAKEN:
                continue
            source = plan.ends[position][0]
            key = plan.nodes[source].key
            if plan.edges[position].handle is Handle.ERROR:
                arrived.append(Contribution(node=key, value={"error": self.error(source)}))
            elif source in self._outputs and source not in self._errors:
                arrived.append(Contribution(node=key, value=self.output(source)))
        return arrived

    def merged_input(self, node: int) -> JsonObject:
        """The merged outputs over the execution's input over the workflow's variables."""
        arrived = merged((one.node, one.value) for one in self.contributions(node))
        return {**self.variables, **self.input, **arrived}

    def outputs_by_key(self, statuses: list[NodeStatus]) -> str:
        """JSON text of the outputs of all completed nodes, spliced from the texts as they were committed."""
        parts = [
            f"{jsontext.dumps(self.plan.nodes[node].key)}:{text}"
            for node, text in sorted(self._outputs.items())
            if statuses[node] is NodeStatus.COMPLETED
        ]
        return "{" + ",".join(parts) + "}"


class _Nodes(Mapping[str, object]):
    """`nodes` or `errors` in an expression: looked up one by one, so that only what is used is decoded."""

    __slots__ = ("_may_see", "_plan", "_read")

    def __init__(self, plan: Plan, may_see: Callable[[int], bool], read: Callable[[int], JsonValue]) -> None:
        self._plan = plan
        self._may_see = may_see
        self._read = read

    @override
    def __getitem__(self, key: str) -> object:
        node = self._plan.index[NodeKey(key)]
        if not self._may_see(node):
            raise KeyError(key)
        return self._read(node)

    @override
    def __iter__(self) -> Iterator[str]:
        return (node.key for position, node in enumerate(self._plan.nodes) if self._may_see(position))

    @override
    def __len__(self) -> int:
        return sum(1 for _ in self)


class NodeScope:
    """The names that the expressions of one node see; `node` is None for the workflow's own output."""

    __slots__ = ("_context", "_node", "now", "secrets")

    def __init__(self, context: ExecutionContext, node: int | None, now: datetime) -> None:
        # Values by name, only while they are needed.
        self.secrets: Mapping[str, str] | None = None
        self._context = context
        self._node = node
        self.now = now

    def lookup(self, name: str) -> object:
        """The value of a root. Raises `KeyError` for any other name."""
        context = self._context
        match name:
            case "input":
                return context.input
            case "vars":
                return context.variables
            case "nodes":
                return _Nodes(context.plan, self._may_see, self._read_output)
            case "errors":
                return _Nodes(context.plan, self._may_see, context.error)
            case "execution":
                return {
                    "id": context.execution_id,
                    "trigger_type": context.trigger_type,
                    "started_at": context.started_at,
                }
            case "secrets" if self.secrets is not None:
                return self.secrets
            case _:
                raise KeyError(name)

    def _read_output(self, node: int) -> JsonValue:
        return None if self._context.error(node) is not None else self._context.output(node)

    def _may_see(self, node: int) -> bool:
        return self._node is None or _is_ancestor(self._context.plan, node, self._node)


class ConditionScope(NodeScope):
    """A node's scope after it has settled: its own output, and bare names for its output's and input's keys."""

    __slots__ = ("_merged", "_own")

    def __init__(self, context: ExecutionContext, node: int, now: datetime) -> None:
        super().__init__(context, node, now)
        self._own: JsonValue = self._read_output(node)
        self._merged: JsonObject | None = None

    @override
    def lookup(self, name: str) -> object:
        try:
            return super().lookup(name)
        except KeyError:
            if isinstance(self._own, dict) and name in self._own:
                return self._own[name]
            assert self._node is not None
            if self._merged is None:
                self._merged = self._context.merged_input(self._node)
            return self._merged[name]

    @override
    def _may_see(self, node: int) -> bool:
        return node == self._node or super()._may_see(node)


def _is_ancestor(plan: Plan, ancestor: int, node: int) -> bool:
    """Walk up from `node`, never above the level of `ancestor`: most references go to near nodes."""
    ends, levels = plan.ends, plan.levels
    seen: set[int] = set()
    stack = [node]
    while stack:
        for edge in plan.incoming[stack.pop()]:
            source = ends[edge][0]
            if source == ancestor:
                return True
            if levels[source] > levels[ancestor] and source not in seen:
                seen.add(source)
                stack.append(source)
    return False
