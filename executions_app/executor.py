"""`WorkflowExecutor`: the Python face of the product.

    result = await WorkflowExecutor().execute(workflow_id, {"symbol": "AAPL"})

The names of the engine that a program meets are here too.
"""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from executions_app.dispatch import runner
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import ExecutionCancelledError, NodeTimeoutError
from executions_app.engine.states import ExecutionStatus, NodeStatus
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.recorder.thread import in_recorder
from executions_app.services.cancel import cancel
from executions_app.services.errors import AlreadyFinished
from executions_app.services.run import run_to_its_end
from executions_app.services.start import StartRequest, start
from workflows_app.dag import jsontext
from workflows_app.dag.graph import DAGGraph, DAGValidationError, topological_sort
from workflows_app.dag.types import JsonObject, JsonValue
from workflows_app.services.errors import WorkflowNotFoundError
from workflows_app.services.lookup import find

__all__ = [
    "DAGGraph",
    "DAGValidationError",
    "ExecutionCancelledError",
    "ExecutionContext",
    "ExecutionResult",
    "NodeResult",
    "NodeTimeoutError",
    "WorkflowExecutor",
    "WorkflowNotFoundError",
    "topological_sort",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What happened to one node. `error` is `{code, message, type, node}`."""

    key: str
    status: NodeStatus
    reason: str | None
    input_data: JsonValue
    output_data: JsonValue
    error: JsonObject | None
    error_message: str | None
    retry_count: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """How an execution ended, with one result per node by its key."""

    execution_id: uuid.UUID
    status: ExecutionStatus
    reason: str | None
    output_data: JsonValue
    error: JsonObject | None
    error_message: str | None
    node_results: Mapping[str, NodeResult]


class WorkflowExecutor:
    """Runs workflows in the caller's event loop, with everything on record."""

    async def execute(
        self, workflow_id: uuid.UUID | str, input_data: Mapping[str, object] | None = None
    ) -> ExecutionResult:
        """Run a workflow, by id or name, and wait for its end. A failed run is a result, never an exception.

        Raises what `services.start` raises for a request that is refused (such as `InvalidInput` or
        `InvalidDefinition`), and `WorkflowNotFoundError`. Cancelling the awaiting task cancels the execution.
        """
        value = cast(JsonObject, jsontext.clean(dict(input_data or {})))

        def accept() -> uuid.UUID:
            return start(StartRequest(target=find(str(workflow_id)), input=value, reserved=True)).execution.id

        accepting = asyncio.ensure_future(in_recorder(accept))
        try:
            execution_id = await asyncio.shield(accepting)
        except asyncio.CancelledError:
            # It may be accepted by now: then it must not stay pending.
            accepted = await accepting
            _ = await in_recorder(lambda: cancel(accepted))
            raise
        if not await runner.run(execution_id) and await in_recorder(lambda: _is_pending(execution_id)):
            await self._wait_for(execution_id)
        return await in_recorder(lambda: _result(execution_id))

    async def _wait_for(self, execution_id: uuid.UUID) -> None:
        """Until it has ended: its turn comes later."""
        try:
            _ = await run_to_its_end(execution_id)
        except asyncio.CancelledError:
            with suppress(AlreadyFinished):
                _ = await in_recorder(lambda: cancel(execution_id))
            raise

    async def cancel(self, execution_id: uuid.UUID | str) -> ExecutionStatus:
        """Ask for an execution's end; its status now. A running one ends as soon as its nodes have stopped.

        Raises `ExecutionNotFound` and `AlreadyFinished` (`executions_app.services.errors`).
        """
        target = uuid.UUID(str(execution_id))
        execution = await in_recorder(lambda: cancel(target))
        return ExecutionStatus(execution.status)


def _is_pending(execution_id: uuid.UUID) -> bool:
    return WorkflowExecution.objects.filter(pk=execution_id, status=ExecutionStatus.PENDING).exists()


def _result(execution_id: uuid.UUID) -> ExecutionResult:
    execution = WorkflowExecution.objects.get(pk=execution_id)
    nodes = NodeExecution.objects.filter(execution_id=execution_id).order_by("order").values_list(*_COLUMNS)
    return ExecutionResult(
        execution_id=execution.id,
        status=ExecutionStatus(execution.status),
        reason=execution.reason or None,
        output_data=execution.output,
        error=execution.error,
        error_message=None if execution.error is None else cast(str, execution.error["message"]),
        node_results={node[0]: _node_result(node) for node in nodes},
    )


# In the order of the fields of `NodeResult`.
_COLUMNS = (
    "key", "status", "reason", "input", "output", "error", "error_message", "retry_count", "started_at", "ended_at",
)  # fmt: skip


def _node_result(row: tuple[Any, ...]) -> NodeResult:
    key, status, reason, input_data, output_data, error, error_message, retry_count, started_at, ended_at = row
    return NodeResult(
        key=key,
        status=NodeStatus(status),
        reason=reason or None,
        input_data=input_data,
        output_data=output_data,
        error=error,
        error_message=error_message or None,
        retry_count=retry_count,
        started_at=started_at,
        ended_at=ended_at,
    )
