"""Fifty agents over HTTP on one budget, with requests that end well and badly: what is charged is within the record."""

import asyncio
from decimal import Decimal

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.models import AgentCall, NodeExecution
from tests.http_server import serving_in_thread
from tests.integration.conftest import document
from tests.model_server import begin_stream, event, fails, give, says, sent
from workflows_app.agents.calls import BILLIONTHS

pytestmark = pytest.mark.django_db(transaction=True)

AGENTS = 50
CAP = Decimal("0.02")
PRICES = {"local/small": {"input": "2.50", "output": "10"}}
# What each request costs, in billionths: 100 tokens in, 90 out.
CHARGE = 100 * 2500 + 90 * 10_000
# A request sends some 250 bytes and may have 100 tokens.
MOST_RESERVED = 2_000_000


class Provider:
    """Charges for each request that it does not refuse, and says so only where its answer is whole."""

    def __init__(self):
        self.asked = 0
        self.charged = 0

    async def answer(self, request, connection):
        self.asked += 1
        number = self.asked
        assert sent(request)["max_completion_tokens"] <= 100
        if number % 5 == 0:
            connection.write(fails(429))
            return
        self.charged += CHARGE
        if number % 5 == 1:
            begin_stream(connection)
            connection.write(event(says("It fell.").events[1]))
            await connection.drain()
            connection.abort()
        elif number % 5 == 2:
            connection.write(fails(500))
        else:
            give(connection, request, says("It fell.", tokens=(100, 90)))


@pytest.fixture
def ask_fifty(settings, monkeypatch, import_document):
    """Let fifty agents of one run ask at the same time, each again where it fails; what they were charged for."""
    monkeypatch.setenv("LOCAL_KEY", "sk-do-not-tell-4711")

    def ask(**bounds):
        provider, keys = Provider(), [f"n{number}" for number in range(AGENTS)]
        agent = {
            "type": "agent", "provider": "local", "model": "small", "prompt": "?" * 100, "on_error": "continue",
            "limits": {"max_output_tokens": 100}, "retry": {"max_retries": 2, "delay": 0},
        }  # fmt: skip
        with serving_in_thread(provider.answer) as server:
            local = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key_env": "LOCAL_KEY"}
            settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDERS": {"local": local}, "AGENT_PRICES": PRICES}
            nodes = dict.fromkeys(keys, agent)
            made = document(*[f"t>{key}" for key in keys], **nodes, settings={"max_parallel_nodes": AGENTS, **bounds})
            result = asyncio.run(WorkflowExecutor().execute(import_document(made).id, {}))
        assert result.status == "completed"
        return provider

    return ask


def test_fifty_agents_never_spend_more_than_their_execution_may(ask_fifty):
    provider = ask_fifty(budget={"max_cost": CAP})
    calls = list(AgentCall.objects.all())
    on_record = sum(call.cost or 0 for call in calls)
    assert provider.charged <= on_record <= CAP * BILLIONTHS
    assert len(calls) == provider.asked
    assert {call.outcome for call in calls} == {"succeeded", "failed", "abandoned"}
    # It was not enough for all, and was used up but for less than one more request.
    assert "BudgetExceeded" in {row.error["type"] for row in NodeExecution.objects.all() if row.error}
    assert on_record > CAP * BILLIONTHS - MOST_RESERVED


def test_without_a_budget_the_same_agents_spend_more(ask_fifty):
    assert ask_fifty().charged > CAP * BILLIONTHS
