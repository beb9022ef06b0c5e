"""All that there is to know of one node of an execution: what it was to do, what it did, and what followed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from executions_app.engine.policy import backoff
from executions_app.engine.states import NodeStatus
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.pictures import plan_of_execution
from executions_app.progress import progress_json, text_json
from executions_app.queries import node_detail
from workflows_app.dag.types import Jitter, NodeType

if TYPE_CHECKING:
    from workflows_app.dag.plan import NodePlan

# So many names of nodes tell enough.
_NAMED = 20
_LONGEST_SCHEDULE = 20

_FIELDS: dict[NodeType, tuple[str, ...]] = {
    NodeType.TRIGGER: (),
    NodeType.TOOL: ("tool", "inputs", "effect", "timeout_seconds"),
    NodeType.AGENT: (
        *("agent", "provider", "model", "system", "prompt", "tools", "limits", "inputs", "effect"),
        *("timeout_seconds", "output_schema"),
    ),
    NodeType.CONDITION: ("inputs", "match"),
    NodeType.ADAPTER: ("output",),
    NodeType.AGGREGATOR: ("strategy", "field"),
}
_OF_RETRY = ("max_retries", "delay", "multiplier", "max_delay", "jitter", "retry_on", "never_retry_on")


def inspection_json(execution: WorkflowExecution, key: str) -> dict[str, Any]:
    """A node with its attempts, its configuration, its retries and its effect. Raises `NodeNotFound`."""
    shown = node_detail(execution, key)
    plan = plan_of_execution(execution)
    position = plan.index.get(shown["key"])
    node = plan.nodes[position] if position is not None else None
    row = NodeExecution.objects.only("key", "status", "due_at").get(execution=execution, key=key, item=-1)
    return {
        **shown,
        "configuration": None if node is None else configuration_of(node),
        "retry": None
        if node is None
        else _schedule(node, shown["retry_count"], row.due_at if shown["status"] == NodeStatus.PENDING else None),
        "progress": progress_json(execution, [row]).get(row.key),
        "text": text_json(execution, key),
        "downstream": _downstream(execution, key),
        "incoming": [] if position is None else [plan.edges[edge].source for edge in plan.incoming[position]],
        "outgoing": [] if position is None else [plan.edges[edge].target for edge in plan.outgoing[position]],
    }


def configuration_of(node: NodePlan) -> dict[str, Any]:
    """What its document says, with every default that holds for its type; expressions as they were written."""
    shown: dict[str, Any] = {"join": str(node.join), "on_error": str(node.on_error)}
    for field in _FIELDS[node.type]:
        value = getattr(node, field)
        if value not in (None, "", ()):
            shown[field] = value
    if node.type in (NodeType.TOOL, NodeType.AGENT):
        shown["retry"] = {field: getattr(node.retry, field) for field in _OF_RETRY}
    return shown


def _schedule(node: NodePlan, used: int, due_at: Any) -> dict[str, Any] | None:
    """How long each retry waits, in seconds, without the chance that jitter adds."""
    policy = node.retry
    if node.type not in (NodeType.TOOL, NodeType.AGENT) or not policy.max_retries:
        return None
    waits = [backoff(policy, number) for number in range(min(policy.max_retries, _LONGEST_SCHEDULE))]
    return {
        "used": used,
        "max_retries": policy.max_retries,
        "waits": waits,
        "jitter": None if policy.jitter is Jitter.NONE else str(policy.jitter),
        "due_at": due_at,
    }


def _downstream(execution: WorkflowExecution, key: str) -> list[dict[str, Any]]:
    """What did not run because of this node, by status and reason: how many, and the first of them."""
    left = NodeExecution.objects.filter(
        execution=execution, status__in=[str(NodeStatus.SKIPPED), str(NodeStatus.CANCELLED)]
    )
    found: dict[tuple[str, str], list[str]] = {}
    for node in left.order_by("order").only("key", "status", "reason", "details"):
        if node.key != key and (node.details or {}).get("cause") == key:
            found.setdefault((node.status, node.reason), []).append(node.key)
    return [
        {"status": status, "reason": reason, "count": len(keys), "nodes": keys[:_NAMED]}
        for (status, reason), keys in found.items()
    ]
