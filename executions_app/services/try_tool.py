"""Call a tool once, outside of any execution, to see what it does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import uuid_utils
from asgiref.sync import sync_to_async

from executions_app.conf import execution_settings
from executions_app.dispatch.runner import configure_tools
from executions_app.engine.errors import NodeTimeoutError
from executions_app.engine.failures import describe
from workflows_app.dag import jsontext
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import JsonObject, JsonValue, NodeKey, NodeType
from workflows_app.services.audit import audit_name
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import NodeOutputError
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
    tool = registry.get(name)
    await sync_to_async(audit_name)(user, "tool.tried", "tool", name)
    configure_tools(execution_settings())
    node = NodePlan(key=NodeKey("trial"), type=NodeType.TOOL, tool=name, effect=tool.effect)
    loop = asyncio.get_running_loop()
    started, logs = loop.time(), list[dict[str, object]]()
    attempt_id = str(uuid_utils.uuid7())

    def took() -> Decimal:
        return Decimal(round((loop.time() - started) * 1_000_000)).scaleb(-3)

    def journal(level: str, message: str, data: JsonObject | None) -> None:
        logs.append({"level": level, "message": message, "data": data})

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
            output = await tool.call(inputs, context)
    except Exception as error:  # noqa: BLE001 - tools raise what they like; all of it is shown
        shown = NodeTimeoutError(node.key, SECONDS) if limit.expired() else error
        return Trial(error=describe(shown, node).public(), duration_ms=took(), logs=logs)
    try:
        return Trial(output=_checked(output), duration_ms=took(), logs=logs)
    except NodeOutputError as error:
        return Trial(error=describe(error, node).public(), duration_ms=took(), logs=logs)


def _checked(output: object) -> JsonValue:
    limit = execution_settings().limits.output_bytes
    if jsontext.is_longer(output, limit):
        raise NodeOutputError.too_long("trial", limit)
    try:
        return jsontext.clean(output)
    except jsontext.JsonError as error:
        raise NodeOutputError.not_json("trial", error) from error
