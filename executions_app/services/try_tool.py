"""Call a tool once, outside of any execution, to see what it does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import uuid_utils
from asgiref.sync import sync_to_async
from django.utils import timezone

from executions_app.conf import execution_settings
from executions_app.dispatch.runner import configure_tools, turns
from executions_app.engine.errors import NodeTimeoutError
from executions_app.engine.failures import describe
from executions_app.engine.secrecy import NO_SECRETS, Secrets
from executions_app.engine.turns import take
from workflows_app.dag import jsontext
from workflows_app.dag.plan import NodePlan, names_of
from workflows_app.dag.templates import secrets_of
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey, NodeType
from workflows_app.processors.configured import arguments
from workflows_app.processors.tool import checked, kind_of
from workflows_app.services.audit import audit_name
from workflows_app.services.errors import DefinitionError
from workflows_app.services.secrets import resolver_for
from workflows_app.services.toolbox import toolbox_for
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeConfigurationError, NodeOutputError
from workflows_app.tools.registry import registry

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it: an output, or an error `{code, message, type, node}`; and what the tool logged."""

    output: JsonValue = None
    error: dict[str, object] | None = None
    duration_ms: Decimal
    logs: list[dict[str, object]] = field(default_factory=list)


async def try_tool(name: str, inputs: JsonObject, user: User) -> Trial:
    """Raises `UnknownTool`. Whatever the tool does is a trial; it is cancelled after `SECONDS`."""
    node = await sync_to_async(_node)(name, inputs, user)
    configure_tools(execution_settings())
    loop = asyncio.get_running_loop()
    started, logs = loop.time(), list[dict[str, object]]()
    attempt_id, secrets = str(uuid_utils.uuid7()), NO_SECRETS

    def took() -> Decimal:
        return Decimal(round((loop.time() - started) * 1_000_000)).scaleb(-3)

    def journal(level: str, message: str, data: JsonObject | None) -> None:
        shown = None if data is None else secrets.value(data)
        logs.append({"level": level, "message": secrets.text(message), "data": shown})

    context = ToolContext(
        execution_id="",
        node=node.key,
        attempt_id=attempt_id,
        idempotency_key=attempt_id,
        number=1,
        deadline=started + SECONDS,
        journal=journal,
    )
    limit = asyncio.timeout(SECONDS)
    try:
        async with limit:
            secrets = await sync_to_async(_secrets)(node, user)
            rules = turns(names_of(node.tool, node.configured))
            await take(rules, lambda rule: context.log(f"It waits for its turn: {rule}."))
            with secrets.in_use():
                output = await _called(node, inputs, context, secrets)
        return Trial(output=secrets.value(_checked(output, node)), duration_ms=took(), logs=logs)
    except Exception as error:  # noqa: BLE001 - tools raise what they like; all of it is shown
        shown = NodeTimeoutError(node.key, SECONDS) if limit.expired() else error
        return Trial(error=describe(shown, node, secrets.mask).public(), duration_ms=took(), logs=logs)


def _node(name: str, inputs: JsonObject, user: User) -> NodePlan:
    """The only node of a trial, which the audit has."""
    tools = toolbox_for(user, name)
    node = NodePlan(
        key=NodeKey("trial"),
        type=NodeType.TOOL,
        tool=name,
        effect=tools.effect_of(name, inputs),
        configured=tools.configured(name),
    )
    audit_name(user, "tool.tried", "tool", name)
    return node


def _secrets(node: NodePlan, user: User) -> Secrets:
    """The secrets that the tool's configuration names: those of whoever tries it. Raises `NodeConfigurationError`."""
    names = [] if node.configured is None else secrets_of(node.configured.configuration)
    if not names:
        return NO_SECRETS
    try:
        return Secrets.of(resolver_for(user.pk)(names))
    except DefinitionError as error:
        raise NodeConfigurationError(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What is around a trial: no execution, and nothing but secrets."""

    now: datetime
    secrets: Secrets

    def lookup(self, name: str) -> object:
        if name == "secrets":
            return self.secrets.values
        raise KeyError(name)


async def _called(node: NodePlan, inputs: JsonObject, context: ToolContext, secrets: Secrets) -> object:
    tool, own = registry.get(kind_of(node)), node.configured
    if own is not None:
        around = _Around(now=timezone.now(), secrets=secrets)
        inputs = arguments(own, tool.info.input_schema, inputs, strict=True, scope=around)
    return await tool.call(inputs, context)


def _checked(output: object, node: NodePlan) -> JsonValue:
    limit = execution_settings().limits.output_bytes
    if jsontext.is_longer(output, limit):
        raise NodeOutputError.too_long("trial", limit)
    try:
        return jsontext.clean(checked(output, node))
    except jsontext.JsonError as error:
        raise NodeOutputError.not_json("trial", error) from error
