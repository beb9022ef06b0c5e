"""An attempt for tools to run in, and a registry that forgets what a test registers."""

from collections.abc import Callable, Iterator

import pytest

from workflows_app.dag.types import JsonObject, NodeKey
from workflows_app.tools import ToolContext
from workflows_app.tools.registry import registry

type Line = tuple[str, str, JsonObject | None]


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    with registry.scoped():
        yield


@pytest.fixture
def lines() -> list[Line]:
    """What was written to the journal."""
    return []


@pytest.fixture
def context_of(lines: list[Line]) -> Callable[..., ToolContext]:
    def make(number: int = 1) -> ToolContext:
        return ToolContext(
            execution_id="execution-1",
            node=NodeKey("n"),
            attempt_id=f"attempt-{number}",
            idempotency_key="execution-1:n",
            number=number,
            deadline=300.0,
            journal=lambda level, message, data: lines.append((level, message, data)),
        )

    return make


@pytest.fixture
def context(context_of: Callable[..., ToolContext]) -> ToolContext:
    return context_of()
