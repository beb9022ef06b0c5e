"""Calls as the engine makes them, from plain values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey, NodeType
from workflows_app.processors.base import Contribution, NodeCall
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools import ToolContext
from workflows_app.tools.registry import registry

type MakeCall = Callable[..., NodeCall]
type Line = tuple[str, str, JsonObject | None]


@dataclass(frozen=True, kw_only=True)
class FixedScope:
    """The names of expressions as a dict."""

    names: JsonObject = field(default_factory=dict)
    now: datetime = datetime(2026, 1, 2, tzinfo=UTC)

    def lookup(self, name: str) -> object:
        return self.names[name]


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    with registry.scoped():
        yield


@pytest.fixture
def lines() -> list[Line]:
    """What was written to the journal."""
    return []


@pytest.fixture
def call_of(lines: list[Line]) -> MakeCall:
    def make(
        kind: NodeType,
        *,
        execution_input: JsonObject | None = None,
        variables: JsonObject | None = None,
        arrived: dict[str, JsonValue] | None = None,
        **config: object,
    ) -> NodeCall:
        contributions = [Contribution(node=NodeKey(node), value=value) for node, value in (arrived or {}).items()]
        merged = {**(variables or {}), **(execution_input or {})}
        for contribution in contributions:
            value = contribution.value
            merged |= value if isinstance(value, dict) else {contribution.node: value}
        return NodeCall(
            node=NodePlan(key=NodeKey("n"), type=kind, **config),
            attempt=ToolContext(
                execution_id="execution-1",
                node=NodeKey("n"),
                attempt_id="attempt-2",
                idempotency_key="execution-1:n",
                number=2,
                deadline=300.0,
                journal=lambda level, message, data: lines.append((level, message, data)),
            ),
            scope=FixedScope(names={"input": execution_input or {}, "vars": variables or {}, "nodes": arrived or {}}),
            execution_input=lambda: execution_input or {},
            merged_input=lambda: merged,
            contributions=lambda: contributions,
            started_at=datetime(2026, 1, 2, tzinfo=UTC),
        )

    return make


@pytest.fixture
def run() -> Callable[[NodeCall], object]:
    """The steps of a call, by the processor of its type."""

    async def all_steps(call: NodeCall) -> object:
        processor = PROCESSORS[call.node.type]
        prepared = processor.pre_process(call)
        if prepared.problem is not None:
            raise prepared.problem
        return processor.post_process(call, await processor.process(call, prepared))

    return all_steps
