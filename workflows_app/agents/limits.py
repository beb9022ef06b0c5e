"""How much one agent node may ask for. The document's `limits`, checked when it was saved."""

from decimal import Decimal
from typing import Any

import msgspec


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of one attempt. `timeout_seconds` is for one request; the node's own limit is for all of them."""

    max_requests: int = 10
    # In and out, over all requests; None: whatever they take.
    max_tokens: int | None = None
    # So many answers that do not fit are sent back.
    max_retries: int = 2
    timeout_seconds: int | Decimal | None = None


def limits_of(stated: dict[str, Any] | None) -> AgentLimits:
    return msgspec.convert(stated or {}, AgentLimits)
