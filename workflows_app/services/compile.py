"""A document or a workflow's rows to a `Plan`."""

from collections.abc import Mapping
from typing import cast

from workflows_app.dag.plan import Plan
from workflows_app.dag.types import JsonObject, NodeType, ToolInfo
from workflows_app.models import WorkflowVersion


def compile_document(document: JsonObject, catalogue: Mapping[str, ToolInfo]) -> Plan:
    """The plan of a document that the validator accepted, with the effect of every tool stated in it."""
    nodes = [
        {**node, "effect": catalogue[cast(str, node["tool"])].effect}
        if node["type"] == NodeType.TOOL and "effect" not in node
        else node
        for node in cast(list[JsonObject], document["nodes"])
    ]
    return Plan.from_document({**document, "nodes": cast("list[object]", nodes)})  # pyright: ignore[reportArgumentType]


def agrees(plan: Plan, catalogue: Mapping[str, ToolInfo]) -> bool:
    """Whether the tools of a plan are still there, active, and have the effects that the plan states."""
    for node in plan.nodes:
        if node.type is NodeType.TOOL:
            info = catalogue.get(node.tool)
            if info is None or not info.active or node.effect not in {info.effect, *info.effects}:
                return False
    return True


def plan_of(version: WorkflowVersion) -> Plan:
    """The plan of a snapshot; the latest ones are kept in memory."""
    plan = _plans.pop(version.content_hash, None) or Plan.from_json(version.plan)
    # Taken out and put back, so that the least recently used one is the first.
    _plans[version.content_hash] = plan
    if len(_plans) > PLANS_KEPT:
        _ = _plans.pop(next(iter(_plans)), None)
    return plan


PLANS_KEPT = 64
_plans: dict[str, Plan] = {}
