"""An execution as a picture: where its nodes stand, what led where, and how often each was tried."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.db.models import Count

from executions_app.engine.states import NodeStatus
from executions_app.models import NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.progress import progress_json
from executions_app.queries import node_json
from workflows_app.dag.branching import EdgeState
from workflows_app.dag.layout import layout
from workflows_app.dag.plan import Plan
from workflows_app.models import WorkflowVersion

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

# Beyond this a picture is no picture: browsers and people lose their way.
MOST_NODES = 5000
# Plans of so many versions are kept in memory with their layout.
_KEPT = 16
_TAKEN = {EdgeState.OPEN: None, EdgeState.TAKEN: True}
_RETRYING: dict[str, Any] = {"retry_count__gt": 0, "started_at__isnull": False}


def graph_json(execution: WorkflowExecution) -> dict[str, Any]:
    """Nodes at their places in a grid, and edges with what became of them; neither where there are too many."""
    plan, (nodes, edges) = _picture(execution.version_id)
    if len(plan.nodes) > MOST_NODES:
        return {"nodes": [], "edges": [], "count": len(plan.nodes), "most": MOST_NODES}
    states = _edge_states(execution, plan)
    return {
        "nodes": nodes,
        "edges": [
            {
                **edge,
                "state": state.name.lower(),
                "taken": None if state is EdgeState.OPEN else state is EdgeState.TAKEN,
            }
            for edge, state in zip(edges, states, strict=True)
        ],
        "count": len(plan.nodes),
        "most": MOST_NODES,
    }


def edges_json(execution: WorkflowExecution) -> dict[str, Any]:
    """The states of all edges, in the order of the graph."""
    plan, _ = _picture(execution.version_id)
    return {"seq": execution.last_seq, "states": [state.name.lower() for state in _edge_states(execution, plan)]}


def tries_json(execution: WorkflowExecution) -> dict[str, Any]:
    """The attempts of every node that was tried more than once, by its key, without their errors."""
    rows = NodeAttempt.objects.filter(execution=execution)
    often = rows.order_by().values("order").annotate(times=Count("pk")).filter(times__gt=1)
    orders = [row["order"] for row in often]
    keys = dict(NodeExecution.objects.filter(execution=execution, item=-1).values_list("order", "key"))
    shown: dict[str, list[dict[str, Any]]] = {}
    tried = rows.filter(order__in=orders) if len(orders) < MOST_NODES else rows
    columns = ("order", "number", "outcome", "started_at", "ended_at")
    for order, number, outcome, started_at, ended_at in tried.order_by("order", "number").values_list(*columns):
        one = {"number": number, "outcome": outcome, "started_at": started_at, "ended_at": ended_at}
        shown.setdefault(keys[order], []).append(one)
    return {"seq": execution.last_seq, "attempts": shown}


def plan_of_execution(execution: WorkflowExecution) -> Plan:
    return _picture(execution.version_id)[0]


@lru_cache(maxsize=_KEPT)
def _picture(version_id: uuid.UUID) -> tuple[Plan, tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]]:
    """A version never changes: its plan and the layout of it are made once."""
    plan = Plan.from_json(WorkflowVersion.objects.values_list("plan", flat=True).get(pk=version_id))
    if len(plan.nodes) > MOST_NODES:
        return plan, ([], [])
    placed = layout(plan.levels, plan.ends)
    nodes = [
        {"key": node.key, "name": node.label, "type": str(node.type), "level": level, "x": column, "y": row}
        for node, level, column, row in zip(plan.nodes, plan.levels, placed.columns, placed.rows, strict=True)
    ]
    edges = [
        {
            "from": edge.source,
            "to": edge.target,
            "label": edge.label,
            "condition": edge.condition,
            "default": edge.default,
            "handle": str(edge.handle),
            "bends": bends,
        }
        for edge, bends in zip(plan.edges, placed.bends, strict=True)
    ]
    return plan, (nodes, edges)


def _edge_states(execution: WorkflowExecution, plan: Plan) -> list[EdgeState]:
    states = [EdgeState.OPEN] * len(plan.edges)
    settled = NodeExecution.objects.filter(execution=execution, item=-1).exclude(edges="")
    for node in settled.only("order", "edges"):
        for edge, digit in zip(plan.outgoing[node.order], node.edges, strict=False):
            states[edge] = EdgeState(int(digit))
    return states


def counts_of(execution: WorkflowExecution) -> dict[str, int]:
    """How many nodes there are of every status that any has; those that wait for a retry count as retrying."""
    nodes = NodeExecution.objects.filter(execution=execution).order_by()
    counts: dict[str, int] = dict(nodes.values_list("status").annotate(Count("pk")))
    retrying = nodes.filter(status=str(NodeStatus.PENDING), **_RETRYING).count()
    if retrying:
        counts |= {"retrying": retrying, "pending": counts["pending"] - retrying}
    return counts


def table_of(execution: WorkflowExecution, most: int) -> list[dict[str, Any]]:
    """The first nodes, each as a row for people: without data, with the status that it is shown under."""
    nodes = NodeExecution.objects.filter(execution=execution).order_by("order").defer("input", "output", "traceback")
    rows = list(nodes[:most])
    progress = progress_json(execution, rows)
    return [
        {**node_json(node, with_data=False), "shown": shown_status(node), "progress": progress.get(node.key)}
        for node in rows
    ]


def shown_status(node: NodeExecution) -> str:
    """A pending node that has been tried waits for its next attempt."""
    waits = node.status == NodeStatus.PENDING and node.retry_count > 0 and node.started_at is not None
    return "retrying" if waits else node.status
