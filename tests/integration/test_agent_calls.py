"""Calls of agents on Django's record: what is reserved, taken and shown, and what becomes of it when an engine dies."""

import asyncio
import io
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from executions_app import measures
from executions_app.dispatch import runner
from executions_app.engine.budget import Budget
from executions_app.executor import WorkflowExecutor
from executions_app.models import AgentCall, ExecutionLog, WorkflowExecution, commits, ownership, querysets, spending
from executions_app.recorder.writer import Run, write
from executions_app.services.prune import prune
from executions_app.services.rerun import rerun
from executions_app.services.soundness import violations
from executions_app.services.start import StartRequest, start
from tests.architecture.source import ROOT
from tests.integration.api import program_of
from tests.integration.conftest import document
from tests.integration.runs import run_text
from tests.integration.test_sink_contract import RESERVED, Events
from workflows_app.agents.calls import BILLIONTHS, CallKind, CallOutcome, Closing, Opening, Spent
from workflows_app.dag import jsontext
from workflows_app.dag.types import Effect, NodeType
from workflows_app.processors import registry
from workflows_app.processors.base import Prepared, Unchecked
from workflows_app.services.compile import plan_of

pytestmark = pytest.mark.django_db(transaction=True)

CENT = BILLIONTHS // 100


class Agent(Unchecked):
    """Does what a test says."""

    def __init__(self, work):
        self.work = work

    def pre_process(self, call):
        return Prepared(input={})

    async def process(self, call, prepared):
        return await self.work(call)


@pytest.fixture
def agents(monkeypatch):
    """Has agents do this."""

    def do(work):
        monkeypatch.setitem(registry._processors, NodeType.AGENT, Agent(work))

    return do


def agent(**fields):
    return {"type": "agent", "provider": "scripted", "model": "m", "prompt": "?", **fields}


def execute(workflow):
    return asyncio.run(WorkflowExecutor().execute(workflow.id))


def asks(reserved, *, spent=None, outcome=CallOutcome.SUCCEEDED, times=1, pause=0.0):
    """Asks its model so many times, each time reserving all of that or nothing."""

    async def work(call):
        for number in range(times):
            opening = Opening(kind=CallKind.MODEL, name="m", provider="p")
            begun = await call.calls.begin(opening, lambda left: reserved if _fits(reserved, left) else None)
            await asyncio.sleep(pause)
            took = begun.reserved if spent is None else spent(number)
            call.calls.end(begun.number, Closing(outcome=outcome, result={"text": "yes"}, spent=took))
        return {}

    return work


def _fits(wanted, left):
    return (left.max_cost is None or wanted.cost <= left.max_cost) and (
        left.max_tokens is None or wanted.tokens <= left.max_tokens
    )


def counted():
    """All that was taken or may be, in billionths, as the table says."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT SUM(CASE outcome WHEN 'started' THEN reserved_cost ELSE cost END) FROM {spending.CALLS}"
        )
        return int(cursor.fetchone()[0] or 0)


@pytest.fixture
def every_commit(monkeypatch):
    """What was counted at the end of each of the recorder's transactions, in it."""
    seen = []
    monkeypatch.setattr(commits, "strike", lambda _name, moment: seen.append(counted()) if moment == "before" else None)
    return seen


def fifty(import_document, work, agents):
    agents(work)
    nodes = {f"a{number}": agent(limits={"max_requests": 5}) for number in range(50)}
    settings = {"budget": {"max_cost": Decimal("0.10")}, "max_parallel_nodes": 50}
    return execute(import_document(document(*(f"t>{key}" for key in nodes), settings=settings, **nodes)))


# Each asks three times; what it takes is less than what it reserves, and differs.
STEPS = asks(
    Spent(requests=1, input_tokens=50, output_tokens=100, cost=3_141_593),
    spent=lambda number: Spent(requests=1, input_tokens=50, output_tokens=number, cost=900_001 + 700_000 * number),
    times=3,
    pause=0.001,
)


def test_fifty_agents_at_once_never_exceed_the_executions_cap_at_any_commit(
    import_document, agents, every_commit, figure
):
    result = fifty(import_document, STEPS, agents)
    assert max(every_commit) <= 10 * CENT
    assert counted() > Decimal("0.95") * 10 * CENT
    refused = [key for key, node in result.node_results.items() if node.status == "failed"]
    assert refused
    assert result.node_results[refused[0]].error["code"] == "budget_exceeded"
    share = Decimal(counted()) / (10 * CENT)
    figure(f"50 agents, cap 0.10: taken {share:.1%}, most at any of {len(every_commit)} commits {max(every_commit)}")


def test_fifty_agents_would_exceed_it_without_reservations(import_document, agents, every_commit, monkeypatch):
    monkeypatch.setattr(Budget, "_left", Budget._hopes)
    fifty(import_document, STEPS, agents)
    assert max(every_commit) > 10 * CENT


def test_a_node_is_shown_with_its_calls_and_what_they_took(import_document, agents, owner):
    async def work(call):
        begun = await call.calls.begin(Opening(kind=CallKind.MODEL, name="large", provider="p"), lambda _left: RESERVED)
        took = Spent(requests=1, input_tokens=7, output_tokens=2, cost=1_500_000_000)
        call.calls.end(begun.number, Closing(outcome=CallOutcome.SUCCEEDED, result={"text": "1"}, spent=took))
        opening = Opening(
            kind=CallKind.TOOL, name="shop.order", effect=Effect.AT_MOST_ONCE, arguments={"price": Decimal("1.10")}
        )
        begun = await call.calls.begin(opening)
        error = {"code": "refused", "message": "No such thing.", "type": "Refused"}
        call.calls.end(begun.number, Closing(outcome=CallOutcome.REFUSED, error=error))
        return {}

    agents(work)
    workflow = import_document(document("t>a", "a>b", a=agent()))
    execution_id = execute(workflow).execution_id
    ada = program_of(owner)
    shown = ada.get(f"/executions/{execution_id}/nodes/a").data
    model, tool = shown["attempts"][0]["calls"]
    assert set(model) == {
        "number", "kind", "provider", "name", "effect", "outcome", "arguments", "result", "error", "reserved", "usage",
        "started_at", "ended_at", "duration_ms",
    }  # fmt: skip
    assert (model["number"], model["kind"], model["provider"], model["name"]) == (1, "model", "p", "large")
    assert (model["outcome"], model["result"], model["error"]) == ("succeeded", {"text": "1"}, None)
    assert model["reserved"] == {"input_tokens": 10, "output_tokens": 20, "cost": 3000}
    usage = {"requests": 1, "input_tokens": 7, "output_tokens": 2, "cost": Decimal("1.5")}
    assert model["usage"] == shown["usage"] == usage
    assert model["duration_ms"] >= 0
    assert (tool["effect"], tool["outcome"], tool["arguments"]) == (
        "at_most_once",
        "refused",
        {"price": Decimal("1.10")},
    )
    assert (tool["reserved"], tool["provider"], tool["error"]["message"]) == (None, None, "No such thing.")
    assert ada.get(f"/executions/{execution_id}").data["usage"] == usage
    assert ada.get(f"/workflows/{workflow.pk}/statistics").data["usage"] == usage
    of_b = ada.get(f"/executions/{execution_id}/nodes/b").data
    assert (of_b["usage"], of_b["attempts"][0]["calls"]) == (None, [])
    # Lists are what they were.
    listed = ada.get(f"/executions/{execution_id}/nodes").data["items"]
    assert "usage" not in listed[1]
    assert "calls" not in listed[1]["attempts"][0]
    assert "usage" not in ada.get("/executions").data["items"][0]
    out = io.StringIO()
    call_command("show_execution", str(execution_id), stdout=out)
    assert "agents took 1 request, 7 tokens in, 2 out, cost 1.5\n" in out.getvalue()
    assert "tool shop.order: refused" in out.getvalue()
    out = io.StringIO()
    call_command("show_execution", str(execution_id), json=True, stdout=out)
    assert '"name": "shop.order"' in out.getvalue()


def test_the_page_of_an_execution_says_what_its_agents_took(import_document, agents, owner, client):
    agents(asks(RESERVED, times=2))
    execution_id = execute(import_document(document("t>a", a=agent()))).execution_id
    owner.is_staff = owner.is_superuser = True
    owner.save()
    client.force_login(owner)
    page = reverse("admin:executions_app_workflowexecution_change", args=[execution_id])
    told = jsontext.loads(client.get(f"{page}usage/").content)["told"]
    assert told == "2 requests · tokens: 20 in, 40 out · cost 6,000"
    assert told in client.get(page).content.decode()


def test_what_agents_take_is_in_the_measures(import_document, agents):
    def taken():
        return [
            measures.agent_requests.values.get((), 0),
            measures.agent_tokens.values.get(("in",), 0),
            measures.agent_tokens.values.get(("out",), 0),
            measures.agent_cost.values.get((), 0),
        ]

    agents(asks(RESERVED, times=2))
    before = taken()
    execute(import_document(document("t>a", a=agent())))
    assert [after - first for after, first in zip(taken(), before, strict=True)] == [2, 20, 40, 6_000_000_000_000]


@pytest.fixture
def left(import_document):
    """A run of `t>a` whose engine died while `a` had a call under way, after one that took a part of the budget."""
    budget = {"max_cost": Decimal(7000)}
    workflow = import_document(document("t>a", a=agent(), settings={"budget": budget}))
    execution = start(StartRequest(target=workflow, input={})).execution
    claim = ownership.claim(execution.id, "dead", 30)
    run = Run(execution_id=execution.id, fence=claim.fence, seq=claim.last_seq, plan=plan_of(execution.version))
    events = Events()
    write([(run, [events.started(0), events.settled(0), events.started(1), events.called(1)])])
    write([(run, [events.answered(1, spent=RESERVED), events.called(1, 2)])])
    WorkflowExecution.objects.filter(pk=execution.id).update(lease_until=querysets.now() - timedelta(seconds=1))
    return execution


def resume(execution):
    (seen,) = ownership.abandoned([], 10)
    assert asyncio.run(runner.resume(seen))
    execution.refresh_from_db()


def outcomes(execution):
    calls = AgentCall.objects.filter(execution=execution).order_by("started_at", "number")
    return list(calls.values_list("number", "outcome", "cost", "fence"))


def test_a_call_that_a_dead_engine_left_counts_in_full_for_the_next_one(left, agents):
    # 6000 of 7000 are gone, half of that because nobody knows better.
    agents(asks(RESERVED))
    resume(left)
    assert outcomes(left) == [(1, "succeeded", 3000 * BILLIONTHS, 1), (2, "abandoned", 3000 * BILLIONTHS, 1)]
    assert left.error["code"] == "budget_exceeded"
    assert "of cost 7000 were allowed, 6000 used and 1000 left" in left.error["message"]
    assert ExecutionLog.objects.get(execution=left, event="execution.recovered").data["abandoned_calls"] == 1


def test_the_next_engine_would_exceed_the_cap_if_it_did_not_count_them(left, agents, monkeypatch):
    monkeypatch.setattr(ownership, "spent_by_node", lambda _id: {})
    agents(asks(RESERVED))
    resume(left)
    assert left.status == "completed"
    assert counted() > 7000 * BILLIONTHS


def test_a_run_that_is_given_up_leaves_no_call_open(left):
    WorkflowExecution.objects.update(recoveries=9)
    resume(left)
    assert left.error["code"] == "crash_loop"
    assert [outcome for _, outcome, _, _ in outcomes(left)] == ["succeeded", "abandoned"]
    assert list(violations()) == []


def test_an_open_call_of_an_execution_that_has_ended_is_found(left):
    WorkflowExecution.objects.update(recoveries=9)
    resume(left)
    AgentCall.objects.filter(number=2).update(outcome="started", ended_at=None)
    (found,) = violations()
    assert (found.code, found.execution_id) == ("I8", left.id)
    assert found.sentence == "Call 2 of attempt 1-1 is open for an engine that no longer has the execution."
    AgentCall.objects.filter(number=2).update(outcome="abandoned", ended_at=querysets.now())


def test_a_rerun_has_a_budget_of_its_own(left, agents):
    agents(asks(RESERVED))
    resume(left)
    again = rerun(left.id)
    assert asyncio.run(runner.run(again.id))
    again.refresh_from_db()
    assert again.status == "completed"
    assert outcomes(again) == [(1, "succeeded", 3000 * BILLIONTHS, 1)]


def test_calls_go_with_their_execution(import_document, agents):
    agents(asks(RESERVED))
    execute(import_document(document("t>a", a=agent())))
    assert AgentCall.objects.count() == 1
    assert list(prune(querysets.now() + timedelta(days=1))) == [1]
    assert AgentCall.objects.count() == 0


def test_the_sites_budget_is_for_every_execution(import_document, agents, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_BUDGET": {"max_cost": "5999.999999999"}}
    agents(asks(RESERVED, times=2))
    result = execute(import_document(document("t>a", a=agent(), settings={"budget": {"max_cost": 9000}})))
    assert "of cost 5999.999999999 were allowed, 3000 used and 2999.999999999 left" in result.error["message"]


def test_the_example_of_the_page_runs(owner):
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "budgets.md").read_text(), re.DOTALL)
    assert run_text(text, owner).status == "completed"
