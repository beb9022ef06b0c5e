"""The tool, called as the engine calls it, and a loopback that it may reach."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from workflows_app.tools import ToolContext
from workflows_app.tools.http.addresses import AllowedHost
from workflows_app.tools.http.limits import HttpLimits, configured
from workflows_app.tools.registry import registry

type Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(autouse=True)
def _own_limits() -> Iterator[None]:
    before = configured.limits
    configured.limits = HttpLimits()
    yield
    configured.limits = before


@pytest.fixture
def limited() -> Callable[..., None]:
    """Set limits; the loopback may be reached."""

    def limit(*hosts: str, **limits: Any) -> None:
        allowed = tuple(AllowedHost.parse(text) for text in (*hosts, "127.0.0.1"))
        configured.limits = HttpLimits(allowed=allowed, **limits)

    limit()
    return limit


@pytest.fixture
def call(context: ToolContext) -> Call:
    async def call(url: str, **inputs: Any) -> dict[str, Any]:
        result = await registry.get("http.request").call({"url": url, **inputs}, context)
        assert isinstance(result, dict)
        return result

    return call
