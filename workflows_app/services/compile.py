"""A document or a workflow's rows to a `Plan`."""

import uuid
from collections.abc import Mapping
from typing import cast

from workflows_app.agents import providers
from workflows_app.dag import jsontext
from workflows_app.dag.agents import expanded
from workflows_app.dag.plan import NodePlan, Offered, Plan, effect_of_agent
from workflows_app.dag.templates import secrets_of
from workflows_app.dag.types import Effect, JsonObject, NodeType
from workflows_app.models import WorkflowVersion
from workflows_app.services.toolbox import Toolbox


def compile_document(document: JsonObject, tools: Toolbox) -> Plan:
    """The plan of a document that the validator accepted, with the effect of every tool and the secrets of every node
    stated in it.

    What a tool of the site is configured with is in the plan, too, and all that an agent of the site gives its nodes:
    a run does not ask what became of them since.
    """
    nodes = [_node(node, tools) for node in cast(list[JsonObject], document["nodes"])]
    return Plan.from_document({**document, "nodes": cast("list[object]", nodes)})  # pyright: ignore[reportArgumentType]


def _node(node: JsonObject, tools: Toolbox) -> Mapping[str, object]:
    if node["type"] not in (NodeType.TOOL, NodeType.AGENT):
        return node
    if node["type"] == NodeType.AGENT:
        node = expanded(node, tools.agents)
    stated: dict[str, object] = dict(node)
    secrets = secrets_of(node.get("inputs"))
    if node["type"] == NodeType.TOOL:
        name = cast(str, node["tool"])
        _ = stated.setdefault("effect", tools.effect_of(name, node.get("inputs")))
        if (configured := tools.configured(name)) is not None:
            stated["configured"] = configured
            secrets += [secret for secret in secrets_of(configured.configuration) if secret not in secrets]
    else:
        _offer(stated, secrets, tools)
        if (secret := _key_of(str(node.get("provider") or ""))) and secret not in secrets:
            secrets.append(secret)
    if secrets:
        stated["secrets"] = secrets
    return stated


def _offer(agent: dict[str, object], secrets: list[str], tools: Toolbox) -> None:
    """State what an agent's model may call, the effect that the node has by it, and the secrets that it needs."""
    offered = [_offered(name, tools) for name in cast("list[str]", agent.get("tools") or [])]
    if not offered:
        return
    agent["offered"] = offered
    stated = [Effect(word)] if (word := cast("str | None", agent.get("effect"))) else []
    agent["effect"] = effect_of_agent([*stated, *(tool.effect for tool in offered)])
    for tool in offered:
        if tool.configured is not None:
            secrets += [name for name in secrets_of(tool.configured.configuration) if name not in secrets]


def _offered(name: str, tools: Toolbox) -> Offered:
    return Offered(
        name=name,
        # What a model will give to it is not known.
        effect=tools.effect_of(name, None),
        description=tools.description(name),
        configured=tools.configured(name),
    )


def _key_of(provider: str) -> str:
    """The secret of the owner that pays for what is asked of a provider of models; empty where none does."""
    try:
        found = providers.current().get(provider)
    except providers.ProviderSettingError:
        # The run says it.
        return ""
    return "" if found is None else found.api_key_secret


def agrees(plan: Plan, tools: Toolbox) -> bool:
    """Whether the tools and agents of a plan are still there, as the plan has them, and its agents have their keys.

    Costs a query where some tools are of the site, and one where some agents are.
    """
    return (
        all(name in tools and effect in tools.effects_of(name) for name, effect in plan.tools)
        and all(
            tools.runs(name)
            and effect in tools.effects_of(name)
            # As text: 1.0 and 1.00 are equal and not the same.
            and jsontext.dumps_struct(tools.configured(name)) == jsontext.dumps_struct(configured)
            for (name, effect), configured in plan.configured.items()
        )
        and all(_agent_agrees(node, tools) for node in plan.agents)
    )


def _agent_agrees(node: NodePlan, tools: Toolbox) -> bool:
    return (
        (not (secret := _key_of(node.provider)) or secret in node.secrets)
        and (not node.agent or tools.agents.agrees(node))
        and tuple(tool.name for tool in node.offered) == node.tools
        and all(
            (tool.name in tools if tool.configured is None else tools.runs(tool.name))
            and jsontext.dumps_struct(_offered(tool.name, tools)) == jsontext.dumps_struct(tool)
            for tool in node.offered
        )
    )


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
