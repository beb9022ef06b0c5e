"""The read side: executions as JSON, in the one shape that commands, API and sockets share."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.services.errors import ExecutionNotFound

# Above this many nodes an execution is shown without its nodes' input and output.
FULL_NODES_LIMIT = 1000


def execution_by_id(text: str) -> WorkflowExecution:
    """Raises `ExecutionNotFound`, also for text that is no id."""
    try:
        execution = _executions().filter(pk=uuid.UUID(text)).first()
    except ValueError:
        execution = None
    if execution is None:
        raise ExecutionNotFound(text)
    return execution


def latest_executions(limit: int) -> Sequence[WorkflowExecution]:
    return list(_executions().order_by("-created_at", "-id")[:limit])


def _executions() -> Any:
    return WorkflowExecution.objects.select_related("version")


def execution_json(execution: WorkflowExecution, *, with_nodes: bool = True) -> dict[str, Any]:
    """An execution as every interface shows it; without nodes it is an item of a list."""
    version = execution.version
    shown: dict[str, Any] = {
        "id": str(execution.id),
        "workflow": {
            "id": None if execution.workflow_id is None else str(execution.workflow_id),
            "name": version.name,
            "version": version.number,
        },
        "status": execution.status,
        "reason": execution.reason or None,
        "labels": execution.labels,
        "rerun_of": None if execution.rerun_of_id is None else str(execution.rerun_of_id),
        "trigger_type": execution.trigger_type,
        "scheduling": execution.scheduling,
        "input": execution.input,
        "output": execution.output,
        "error": execution.error,
        "seq": execution.last_seq,
        "created_at": execution.created_at,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "duration_ms": duration_ms(execution.started_at, execution.ended_at),
    }
    if with_nodes:
        shown["nodes"] = nodes_json(execution)
    return shown


def reruns_of(execution: WorkflowExecution) -> list[str]:
    """The ids of the executions that run this one again, the oldest first."""
    again = WorkflowExecution.objects.filter(rerun_of=execution).order_by("created_at", "id")
    return [str(id_) for id_ in again.values_list("id", flat=True)]


def nodes_json(execution: WorkflowExecution) -> list[dict[str, Any]]:
    nodes = NodeExecution.objects.filter(execution=execution).order_by("order")
    if nodes.count() > FULL_NODES_LIMIT:
        return [node_json(node, with_data=False) for node in nodes.defer("input", "output", "traceback")]
    return [node_json(node) for node in nodes]


def node_json(node: NodeExecution, *, with_data: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "key": node.key,
        "type": node.type,
        "name": node.name,
        "status": node.status,
        "reason": node.reason or None,
        "level": node.level,
        "retry_count": node.retry_count,
    }
    if with_data:
        shown |= {"input": node.input, "output": node.output}
    return shown | {
        "error": node.error,
        "details": node.details,
        "started_at": node.started_at,
        "ended_at": node.ended_at,
        "duration_ms": duration_ms(node.started_at, node.ended_at),
    }


def attempts_json(execution: WorkflowExecution) -> dict[str, list[dict[str, Any]]]:
    """The attempts of every node that began, by its key."""
    keys = dict(NodeExecution.objects.filter(execution=execution).values_list("order", "key"))
    shown: dict[str, list[dict[str, Any]]] = {}
    for attempt in NodeAttempt.objects.filter(execution=execution):
        shown.setdefault(keys[attempt.order], []).append(
            {
                "attempt_id": attempt.attempt_id,
                "number": attempt.number,
                "outcome": attempt.outcome,
                "error": attempt.error,
                "traceback": attempt.traceback or None,
                "started_at": attempt.started_at,
                "ended_at": attempt.ended_at,
                "duration_ms": duration_ms(attempt.started_at, attempt.ended_at),
            }
        )
    return shown


def logs_json(execution: WorkflowExecution) -> list[dict[str, Any]]:
    """The whole journal, in order."""
    return [
        {
            "seq": log.seq,
            "event": log.event,
            "level": log.level,
            "node": log.node or None,
            "message": log.message,
            "data": log.data,
            "at": log.at,
        }
        for log in ExecutionLog.objects.filter(execution=execution).order_by("seq")
    ]


def duration_ms(started_at: datetime | None, ended_at: datetime | None) -> Decimal | None:
    """Milliseconds with three decimals; None where it has not ended or never started."""
    if started_at is None or ended_at is None:
        return None
    span = ended_at - started_at
    return Decimal(span.days * 86_400_000_000 + span.seconds * 1_000_000 + span.microseconds).scaleb(-3)
