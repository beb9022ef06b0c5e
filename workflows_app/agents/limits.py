"""How much one agent node may ask for. The document's `limits`, checked when it was saved."""

from decimal import Decimal
from typing import Any

import msgspec

from workflows_app.agents.calls import Caps, limit_in_billionths


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, tokens and cost are of all attempts of the node together, the rest is of each.

    `timeout_seconds` is for one request; the node's own limit is for all of them.
    """

    max_requests: int = 10
    # In and out, over all requests; None: whatever they take.
    max_tokens: int | None = None
    # In the unit of the price table.
    max_cost: int | Decimal | None = None
    # Of one request.
    max_output_tokens: int | None = None
    max_tool_calls: int = 20
    # So many answers that do not fit are sent back.
    max_retries: int = 2
    timeout_seconds: int | Decimal | None = None


def limits_of(stated: dict[str, Any] | None) -> AgentLimits:
    return msgspec.convert(stated or {}, AgentLimits)


def caps_of(limits: AgentLimits) -> Caps:
    return Caps(
        max_requests=limits.max_requests,
        max_tokens=limits.max_tokens,
        max_cost=None if limits.max_cost is None else limit_in_billionths(limits.max_cost),
    )
