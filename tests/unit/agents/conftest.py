"""The calls of processors, for the nodes that ask models: a provider `local`, and what an agent asked and called."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.http_server import Server, serving
from tests.model_server import one_by_one
from tests.recorded_calls import RecordedCalls
from tests.unit.processors.conftest import MakeCall, _forgetful, call_of, lines, run
from workflows_app.agents import models, providers
from workflows_app.agents.limits import caps_of, limits_of
from workflows_app.agents.providers import providers_of
from workflows_app.dag.types import NodeType
from workflows_app.processors.base import NodeCall

__all__ = ["_forgetful", "call_of", "lines", "run"]

KEY = "sk-do-not-tell-4711"

type Run = Callable[[NodeCall], Awaitable[object]]
type Ask = Callable[..., Awaitable[tuple[object, Server]]]


@pytest.fixture(autouse=True, scope="package")
def _imported() -> None:
    """It takes seconds, which are no test's."""
    models.load("openai")
    models.load("anthropic")


@pytest.fixture
def know(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a server the provider `local`."""
    monkeypatch.setenv("LOCAL_KEY", KEY)

    def know_(server: Server, **more: object) -> None:
        entry = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key_env": "LOCAL_KEY", **more}
        monkeypatch.setattr(providers, "current", lambda: providers_of({"local": entry}))

    return know_


@pytest.fixture
def calls() -> RecordedCalls:
    """What was asked and called."""
    return RecordedCalls()


@pytest.fixture
def ask(call_of: MakeCall, run: Run, know: Callable[..., None], calls: RecordedCalls) -> Ask:
    async def ask_(*answers: Any, provider: dict[str, object] | None = None, **node: Any) -> tuple[object, Server]:
        answer = answers[0] if callable(answers[0]) else one_by_one(*answers)
        async with serving(answer) as server:
            know(server, **(provider or {}))
            fields = {"provider": "local", "model": "small", "prompt": "What now?", **node}
            calls.caps = caps_of(limits_of(fields.get("limits")))
            call = call_of(NodeType.AGENT, **fields)
            attempt = replace(call.attempt, deadline=asyncio.get_running_loop().time() + 60)
            return await run(replace(call, calls=calls, attempt=attempt)), server

    return ask_
