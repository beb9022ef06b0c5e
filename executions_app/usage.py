"""What agents called and took, as JSON: the calls of attempts, and the sums of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet, Sum

from executions_app.models import AgentCall, WorkflowExecution
from executions_app.spans import duration_ms
from workflows_app.agents.calls import amount

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from workflows_app.models import Workflow

_SUMMED = ("requests", "input_tokens", "output_tokens", "cost")


def calls_json(execution: WorkflowExecution, orders: Collection[int]) -> dict[str, list[dict[str, Any]]]:
    """The calls of the nodes at these places in the plan, by the id of the attempt that made them."""
    shown: dict[str, list[dict[str, Any]]] = {}
    if orders:
        for call in AgentCall.objects.filter(execution=execution, order__in=orders):
            shown.setdefault(call.attempt_id, []).append(call_json(call))
    return shown


def call_json(call: AgentCall) -> dict[str, Any]:
    """`reserved` is null for a call that takes nothing; costs are in the unit of the price table."""
    return {
        "number": call.number,
        "kind": call.kind,
        "provider": call.provider or None,
        "name": call.name,
        "effect": call.effect,
        "outcome": call.outcome,
        "arguments": call.arguments,
        "result": call.result,
        "error": call.error,
        "reserved": None
        if call.reserved_requests is None
        else {
            "input_tokens": call.reserved_input_tokens,
            "output_tokens": call.reserved_output_tokens,
            "cost": amount(call.reserved_cost),
        },
        "usage": {
            "requests": call.requests,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "cost": amount(call.cost),
        },
        "started_at": call.started_at,
        "ended_at": call.ended_at,
        "duration_ms": duration_ms(call.started_at, call.ended_at),
    }


def usage_of_calls(calls: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The sum of calls as `calls_json` gives them; null where there are none."""
    taken = [call["usage"] for call in calls]
    costs = [one["cost"] for one in taken if one["cost"] is not None]
    if not taken:
        return None
    return {
        **{name: sum(one[name] for one in taken) for name in _SUMMED[:-1]},
        "cost": sum(costs) if costs else None,
    }


def usage_of_execution(execution: WorkflowExecution) -> dict[str, Any] | None:
    """What its agents took together; null where none called anything."""
    return _sum(AgentCall.objects.filter(execution=execution))


def usage_of_workflow(workflow: Workflow) -> dict[str, Any] | None:
    """What the agents of all its executions took."""
    executions = WorkflowExecution.objects.filter(workflow_id=workflow.pk).order_by()
    return _sum(AgentCall.objects.filter(execution_id__in=executions.values("pk")))


def _sum(calls: QuerySet[AgentCall]) -> dict[str, Any] | None:
    found = calls.order_by().aggregate(**{f"{name}_sum": Sum(name) for name in _SUMMED})
    if found["requests_sum"] is None:
        return None
    whole = {name: None if (number := found[f"{name}_sum"]) is None else int(number) for name in _SUMMED}
    return {**whole, "cost": amount(whole["cost"])}


def usage_sentence(usage: dict[str, Any]) -> str:
    """In one plain line: `3 requests, 1200 tokens in, 300 out, cost 0.0042`."""
    requests = usage["requests"]
    line = f"{requests} request{'' if requests == 1 else 's'}, {usage['input_tokens']} tokens in"
    line += f", {usage['output_tokens']} out"
    return line if usage["cost"] is None else f"{line}, cost {usage['cost'].normalize():f}"
