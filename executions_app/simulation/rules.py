"""The rules of joins and edges, read back from a record: written apart from the engine, and never used by it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from executions_app.engine.events import NodeSettled
from executions_app.engine.states import NodeStatus, Reason
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Handle, Join, OnError

TAKEN, REFUSED, BROKEN, DEAD = "taken", "refused", "broken", "dead"


def edge_states(plan: Plan, settled: Mapping[str, NodeSettled]) -> list[str | None]:
    """The state of every edge as the record of its source says; None while the source is open."""
    return [_edge_state(plan, edge, settled.get(plan.edges[edge].source)) for edge in range(len(plan.edges))]


def _edge_state(plan: Plan, position: int, source: NodeSettled | None) -> str | None:
    if source is None:
        return None
    edge = plan.edges[position]
    match source.status:
        case NodeStatus.CANCELLED:
            return DEAD
        case NodeStatus.SKIPPED:
            return BROKEN if source.reason is Reason.UPSTREAM_FAILED else DEAD
        case _:
            pass
    is_error_edge = edge.handle is Handle.ERROR
    completed = source.status is NodeStatus.COMPLETED
    if completed or plan.nodes[source.node].on_error is OnError.CONTINUE:
        chosen = details(source).get("taken")
        if is_error_edge or (chosen is not None and edge.target not in chosen):
            return REFUSED
        return TAKEN
    if is_error_edge:
        return TAKEN
    return REFUSED if is_handled(plan, source) else BROKEN


def is_handled(plan: Plan, failed: NodeSettled) -> bool:
    """Error edges of simulated workflows have no conditions: a failure that has one is handled."""
    return any(plan.edges[edge].handle is Handle.ERROR for edge in plan.outgoing[failed.node])


def is_unhandled_failure(plan: Plan, settled: NodeSettled) -> bool:
    if settled.status is not NodeStatus.FAILED or plan.nodes[settled.node].on_error is OnError.CONTINUE:
        return False
    return not is_handled(plan, settled)


def details(settled: NodeSettled) -> dict[str, Any]:
    return cast("dict[str, Any]", jsontext.loads(settled.details)) if settled.details else {}


def fate(join: Join, states: Sequence[str | None]) -> Reason | None:
    """None where a node with these incoming edges runs, else why it is skipped."""
    runs = {
        Join.NONE_FAILED_MIN_ONE_SUCCESS: TAKEN in states and BROKEN not in states,
        Join.ALL_SUCCESS: all(state == TAKEN for state in states),
        Join.ONE_SUCCESS: TAKEN in states,
        Join.ALL_DONE: True,
    }
    if runs[join]:
        return None
    for state, reason in (
        (BROKEN, Reason.UPSTREAM_FAILED),
        (TAKEN, Reason.JOIN_RULE),
        (REFUSED, Reason.NOT_TAKEN),
    ):
        if state in states:
            return reason
    return Reason.UPSTREAM_SKIPPED
