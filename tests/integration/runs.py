"""Running a document's text with the real recorder, and reading what the run left on record."""

import asyncio
from typing import Any

from executions_app.executor import ExecutionResult, WorkflowExecutor
from executions_app.models import ExecutionLog, NodeExecution
from workflows_app.services.documents import read, save


def run_text(text: str, owner: Any, input_data: Any = None) -> ExecutionResult:
    """Import a document and run it to its end."""
    workflow, _ = save(read(text), owner)
    return asyncio.run(WorkflowExecutor().execute(workflow.id, input_data))


def fates(result: ExecutionResult) -> dict[str, str]:
    """Every node's status, with its reason where it has one: `skipped not_taken`."""
    return {key: " ".join(filter(None, (node.status, node.reason))) for key, node in result.node_results.items()}


def row(result: ExecutionResult, key: str) -> NodeExecution:
    return NodeExecution.objects.get(execution=result.execution_id, key=key)


def outputs(result: ExecutionResult) -> dict[str, Any]:
    return {key: node.output_data for key, node in result.node_results.items()}


def journal(result: ExecutionResult) -> list[ExecutionLog]:
    return list(ExecutionLog.objects.filter(execution=result.execution_id).order_by("seq"))
