"""The read side: executions as JSON, in the one shape that commands, API and sockets share."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import Prefetch, Q, QuerySet

from executions_app.engine.states import ExecutionStatus, NodeStatus
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.models.newest import newest_for, newest_of_versions
from executions_app.services.errors import ExecutionNotFound, NodeNotFound
from executions_app.spans import duration_ms
from executions_app.usage import calls_json, usage_of_calls, usage_of_execution
from workflows_app.dag.types import NodeType
from workflows_app.models import Workflow, WorkflowVersion
from workflows_app.models.access import sees_everything
from workflows_app.models.pages import Page, page_of
from workflows_app.services.access import may_read

if TYPE_CHECKING:
    from workflows_app.models.access import Account

# These have an index of their own.
RARE = [{status} for status in ExecutionStatus if status is not ExecutionStatus.COMPLETED]
# Above this many nodes an execution is shown without its nodes' input and output.
FULL_NODES_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """`workflow` is an id or a name; `since` is inclusive, `until` exclusive, both of the acceptance.

    `started_by` is the id of a user. `search` is the beginning of an id, or a part of a workflow's name.
    """

    status: Sequence[ExecutionStatus] = ()
    workflow: str | None = None
    trigger_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    label: str | None = None
    started_by: int | None = None
    search: str | None = None


def execution_for(user: Account, text: str) -> WorkflowExecution:
    """The execution with this id. Raises `ExecutionNotFound`, also where it is another user's."""
    execution = execution_by_id(text)
    if not may_read(user, execution):
        raise ExecutionNotFound(text)
    return execution


def executions_page(
    user: Account, wanted: ExecutionFilter, limit: int, cursor: str | None, *, with_data: bool = True
) -> Page[WorkflowExecution]:
    """The newest first; without data what they were given and what they gave is not read. Raises `InvalidCursor`."""

    def visible(rows: QuerySet[WorkflowExecution], count: int) -> QuerySet[WorkflowExecution]:
        in_order = wanted.workflow is not None or set(wanted.status) in RARE or _id_range(wanted.search) is not None
        seen = rows & WorkflowExecution.objects.visible_to(user, one_by_one=in_order)
        versions = _versions_of(wanted)
        if versions is not None:
            return seen.filter(pk__in=newest_of_versions(versions, seen, count))
        if in_order or user.pk is None or (sees_everything(user) and wanted.started_by is None):
            # An index has them in this order.
            return seen
        return seen.filter(pk__in=newest_for(user.pk, Workflow.objects.visible_to(user), rows, count))

    rows = _listed() if with_data else _listed().defer("input", "output")
    return page_of(rows.filter(_matching(wanted)), ("-created_at", "-id"), limit, cursor, visible)


def _matching(wanted: ExecutionFilter) -> Q:
    found = Q()
    if len(wanted.status) == 1:
        # Not a list of one, which SQLite does not take for what the index of a status has.
        found &= Q(status=wanted.status[0])
    elif wanted.status:
        found &= Q(status__in=wanted.status)
    if wanted.workflow is not None:
        by_id = _is_id(wanted.workflow)
        found &= Q(workflow_id=wanted.workflow) if by_id else Q(version__in=_named(wanted.workflow))
    if wanted.trigger_type is not None:
        found &= Q(trigger_type=wanted.trigger_type)
    if wanted.since is not None:
        found &= Q(created_at__gte=wanted.since)
    if wanted.until is not None:
        found &= Q(created_at__lt=wanted.until)
    if wanted.label is not None:
        found &= Q(labels__has_item=wanted.label)
    if wanted.started_by is not None:
        found &= Q(started_by=wanted.started_by)
    if wanted.search:
        ids = _id_range(wanted.search)
        found &= Q(version__in=_named_like(wanted.search)) if ids is None else Q(pk__range=ids)
    return found


def _versions_of(wanted: ExecutionFilter) -> QuerySet[WorkflowVersion] | None:
    """The versions whose executions are wanted, where names are asked for."""
    if wanted.workflow is not None:
        return None if _is_id(wanted.workflow) else _named(wanted.workflow)
    return _named_like(wanted.search) if wanted.search and _id_range(wanted.search) is None else None


def _named(name: str) -> QuerySet[WorkflowVersion]:
    return WorkflowVersion.objects.filter(name=name)


def _named_like(part: str) -> QuerySet[WorkflowVersion]:
    return WorkflowVersion.objects.filter(name__icontains=part)


_DIGITS_OF_ID = 32
# Fewer digits may as well be a word.
_LEAST_DIGITS = 8


def _id_range(text: str | None) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The first and the last id that begin so; None for what is no beginning of an id."""
    digits = (text or "").strip().replace("-", "").lower()
    if not _LEAST_DIGITS <= len(digits) <= _DIGITS_OF_ID or set(digits) - set("0123456789abcdef"):
        return None
    return uuid.UUID(digits.ljust(_DIGITS_OF_ID, "0")), uuid.UUID(digits.ljust(_DIGITS_OF_ID, "f"))


def _is_id(text: str) -> bool:
    try:
        _ = uuid.UUID(text)
    except ValueError:
        return False
    return True


def is_finished(execution_id: uuid.UUID) -> bool:
    return WorkflowExecution.objects.filter(pk=execution_id, ended_at__isnull=False).exists()


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
    return list(_listed().order_by("-created_at", "-id")[:limit])


def _listed() -> QuerySet[WorkflowExecution]:
    # Not by a join: without statistics SQLite would begin with the versions, and sort all their executions.
    versions = WorkflowVersion.objects.defer("plan")
    return WorkflowExecution.objects.prefetch_related(Prefetch("version", queryset=versions))


def _executions() -> Any:
    return WorkflowExecution.objects.select_related("version").defer("version__plan")


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
        shown["usage"] = usage_json(execution, {node["type"] for node in shown["nodes"]})
    # From `due_at` on it may start.
    return shown | {"queue": execution.queue, "priority": execution.priority, "due_at": execution.due_at}


def usage_json(execution: WorkflowExecution, types: set[str]) -> dict[str, Any] | None:
    """What the agents of an execution whose nodes have these types took; null where none called anything."""
    return usage_of_execution(execution) if NodeType.AGENT in types else None


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


def nodes_page(
    execution: WorkflowExecution, status: Sequence[NodeStatus], limit: int, cursor: str | None
) -> Page[dict[str, Any]]:
    """Nodes in the order of the document, each with its attempts. Raises `InvalidCursor`."""
    rows = NodeExecution.objects.filter(execution=execution)
    if status:
        rows = rows.filter(status__in=status)
    page = page_of(rows, ("order", "item"), limit, cursor)
    attempts = attempts_json(execution, page.items)
    items = [{**node_json(node), "attempts": attempts.get(node.key, [])} for node in page.items]
    return Page(items=items, next=page.next)


def node_detail(execution: WorkflowExecution, key: str) -> dict[str, Any]:
    """One node with its attempts and their calls. Raises `NodeNotFound`."""
    node = NodeExecution.objects.filter(execution=execution, key=key).first()
    if node is None:
        raise NodeNotFound(key)
    attempts = attempts_json(execution, [node], with_calls=True).get(key, [])
    return {
        **node_json(node),
        "attempts": attempts,
        "usage": usage_of_calls(call for attempt in attempts for call in attempt["calls"]),
    }


def attempts_json(
    execution: WorkflowExecution, nodes: Sequence[NodeExecution] | None = None, *, with_calls: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """The attempts of every node that began, or of these nodes, by its key; with the calls that agents made."""
    rows = NodeAttempt.objects.filter(execution=execution)
    if nodes is None:
        nodes = list(NodeExecution.objects.filter(execution=execution).only("order", "key", "type"))
        keys = {node.order: node.key for node in nodes}
    else:
        keys = {node.order: node.key for node in nodes}
        rows = rows.filter(order__in=keys)
    agents = [node.order for node in nodes if with_calls and node.type == NodeType.AGENT]
    calls = calls_json(execution, agents)
    shown: dict[str, list[dict[str, Any]]] = {}
    for attempt in rows:
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
                "measures": _measures_json(attempt),
                **({"calls": calls.get(attempt.attempt_id, [])} if with_calls else {}),
            }
        )
    return shown


def _measures_json(attempt: NodeAttempt) -> dict[str, Any] | None:
    """What an attempt took, in milliseconds and bytes; null while it is under way, and where its engine died."""
    if attempt.pre_process_us is None:
        return None
    return {
        "pre_process_ms": _milliseconds(attempt.pre_process_us),
        "process_ms": _milliseconds(attempt.process_us),
        "post_process_ms": _milliseconds(attempt.post_process_us),
        "bytes_in": attempt.bytes_in,
        "bytes_out": attempt.bytes_out,
    }


def _milliseconds(microseconds: int | None) -> Decimal | None:
    return None if microseconds is None else Decimal(microseconds).scaleb(-3)


# From the least to the gravest.
LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFilter:
    """Entries of at least a level, of one node, and after a number."""

    level: str = LEVELS[0]
    node: str | None = None
    after: int = 0


def journal_page(
    execution: WorkflowExecution, wanted: JournalFilter, limit: int, cursor: str | None
) -> Page[ExecutionLog]:
    """Entries in their order. Raises `InvalidCursor`."""
    rows = ExecutionLog.objects.filter(execution=execution, seq__gt=wanted.after)
    if wanted.level != LEVELS[0]:
        rows = rows.filter(level__in=LEVELS[LEVELS.index(wanted.level) :])
    if wanted.node is not None:
        rows = rows.filter(node=wanted.node)
    return page_of(rows, ("seq",), limit, cursor)


def logs_json(execution: WorkflowExecution) -> list[dict[str, Any]]:
    """The whole journal, in order."""
    return [log_json(log) for log in ExecutionLog.objects.filter(execution=execution).order_by("seq")]


def log_json(log: ExecutionLog) -> dict[str, Any]:
    """A journal entry as people read it."""
    return {**event_json(log), "level": log.level, "message": log.message}


def event_json(log: ExecutionLog) -> dict[str, Any]:
    """A journal entry as programs read it."""
    return {"seq": log.seq, "event": log.event, "node": log.node or None, "at": log.at, "data": log.data}


def node_shown_to(user: Account, node: dict[str, Any]) -> dict[str, Any]:
    """Tracebacks tell of the server: they are for its staff."""
    if not user.is_staff:
        for attempt in node["attempts"]:
            attempt["traceback"] = None
    return node


def entry_shown_to(user: Account, entry: dict[str, Any]) -> dict[str, Any]:
    """A journal entry, its traceback for staff alone."""
    if entry["data"] and "traceback" in entry["data"] and not user.is_staff:
        entry["data"] = {**entry["data"], "traceback": None}
    return entry
