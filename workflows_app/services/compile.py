"""A document or a workflow's rows to a `Plan`."""

import uuid
from typing import cast

from workflows_app.dag.plan import Plan
from workflows_app.dag.templates import secrets_of
from workflows_app.dag.types import JsonObject, JsonValue, NodeType
from workflows_app.models import WorkflowVersion
from workflows_app.tools.registry import Registry


def compile_document(document: JsonObject, tools: Registry) -> Plan:
    """The plan of a document that the validator accepted, with the effect of every tool and the secrets of every node
    stated in it.
    """
    nodes = [_node(node, tools) for node in cast(list[JsonObject], document["nodes"])]
    return Plan.from_document({**document, "nodes": cast("list[object]", nodes)})  # pyright: ignore[reportArgumentType]


def _node(node: JsonObject, tools: Registry) -> JsonObject:
    if node["type"] not in (NodeType.TOOL, NodeType.AGENT):
        return node
    stated = dict(node)
    if node["type"] == NodeType.TOOL and "effect" not in node:
        stated["effect"] = tools.get(cast(str, node["tool"])).effect_of(node.get("inputs"))
    if secrets := secrets_of(node.get("inputs")):
        stated["secrets"] = cast("list[JsonValue]", secrets)
    return stated


def agrees(plan: Plan, tools: Registry) -> bool:
    """Whether the tools of a plan are still there, with the effects that the plan states."""
    return all(name in tools and effect in tools.get(name).possible_effects for name, effect in plan.tools)


def plan_of(version: WorkflowVersion) -> Plan:
    """The plan of a snapshot; the latest ones are kept in memory."""
    return _plans.get(version.id) or _keep(version.id, Plan.from_json(version.plan))


def plan_by_id(version_id: uuid.UUID) -> Plan:
    """The plan of a snapshot by its id, without a query where it is in memory."""
    return _plans.get(version_id) or plan_of(WorkflowVersion.objects.get(pk=version_id))


PLANS_KEPT = 64
# A snapshot never changes: nothing here goes out of date.
_plans: dict[uuid.UUID, Plan] = {}


def _keep(version_id: uuid.UUID, plan: Plan) -> Plan:
    """Keep a plan, and forget the oldest where there are many. Safe from any thread."""
    if len(_plans) >= PLANS_KEPT:
        _ = _plans.pop(next(iter(tuple(_plans)), version_id), None)
    return _plans.setdefault(version_id, plan)
