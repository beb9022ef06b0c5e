"""Rates of tools, with the database's own clock and statements: what runs, trials and pages have of them."""

import asyncio
import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import F
from django.test import Client
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from executions_app.dispatch import runner
from executions_app.engine.cancellation import CancelToken
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, ToolRate, WorkflowExecution
from executions_app.models.rate import take
from executions_app.services import try_tool
from executions_app.services.start import StartRequest, start
from tests.integration.api import program_of
from tests.integration.buckets import Bucket, surplus
from tests.integration.conftest import document
from workflows_app.checks import check_tool_rates
from workflows_app.tools import tool
from workflows_app.tools.rates import Rate

pytestmark = pytest.mark.django_db(transaction=True)
TOOL = "rated.tool"


def pass_(seconds):
    """Let time pass for the buckets."""
    _ = ToolRate.objects.update(at=F("at") - seconds)


# The time that the test itself takes is none at these rates.
_SLOW = st.sampled_from(["60/h", "30/h burst 7", "1/m burst 3", "100/h burst 100"])
_STEPS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 12)), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_SLOW, _SLOW, _STEPS)
def test_the_statement_does_what_a_bucket_does_also_when_the_rate_changes(first, second, steps):
    _ = ToolRate.objects.all().delete()
    bucket, now = Bucket(), 0.0
    for number, (pause, wanted) in enumerate(steps):
        rate = Rate.parse(first if number < len(steps) / 2 else second)
        pass_(pause)
        now += pause
        level = min(rate.capacity, bucket.tokens + pause * rate.per_second)
        # At a whole call the millisecond between the two matters.
        assume(level == rate.capacity or abs(level - round(level)) > 0.01)
        expected, found = bucket.take(rate, wanted, now), take(TOOL, rate, wanted)
        assert found.granted == expected.granted
        assert (found.left, found.crowd) == (pytest.approx(expected.left, abs=0.01), pytest.approx(expected.crowd))


def test_calls_come_back_and_a_bucket_never_has_more_than_it_holds():
    rate = Rate.parse("1/h burst 3")
    assert take(TOOL, rate, 3).granted == 3
    assert take(TOOL, rate, 1).crowd == 1.25
    # Who gives back has found nobody in the way.
    assert take(TOOL, rate, -2)[::2] == (-2, 1.25)
    assert take(TOOL, rate, 5).granted == 2
    assert take(TOOL, rate, -10).granted == -10
    assert take(TOOL, rate, 5).granted == 3
    # A bucket that is not there is full.
    assert take("other.tool", rate, -1).granted == 0
    assert take("other.tool", rate, 5).granted == 3


def test_a_clock_that_was_set_back_neither_gives_nor_keeps_calls():
    rate = Rate.parse("1/m burst 3")
    assert take(TOOL, rate, 3).granted == 3
    # As if the row were of a time that has not come yet.
    pass_(-3600)
    assert take(TOOL, rate, 3).granted == 0
    pass_(61)
    assert take(TOOL, rate, 3).granted == 1


def test_many_connections_at_once_get_no_more_than_the_rate(figure):
    rate, grants, ended = Rate.parse("100/s"), [], threading.Event()

    def asks():
        try:
            while not ended.is_set():
                grants.append(take(TOOL, rate, 5).granted)
        finally:
            connection.close()

    def moment():
        return ToolRate.objects.values_list("at", flat=True).get(tool=TOOL)

    assert take(TOOL, rate, 11).granted == 11
    began = moment()
    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    _ = ended.wait(1.0)
    ended.set()
    for thread in threads:
        thread.join()
    took = moment() - began
    share = sum(grants) / (100 * took)
    assert share > 0.9
    assert sum(grants) <= 100 * took + 1e-6
    figure(f"rate 100/s asked {len(grants) / took:.0f} times a second by 4 connections: {share:.3f} of it granted")


def test_a_thousand_that_wait_send_a_few_statements(settings, monkeypatch):
    settings.PASTETRADER = {**settings.PASTETRADER, "TOOL_RATES": {TOOL: "2000/s burst 400"}}
    wishes = []
    monkeypatch.setattr(runner.rate, "take", lambda *asked: wishes.append(asked[2]) or take(*asked))

    async def one():
        for turn in runner.turns([TOOL]):
            await turn.wait()

    async def main():
        await asyncio.gather(*(one() for _ in range(1000)))

    asyncio.run(main())
    assert wishes[0] == 400
    assert len(wishes) <= 15


@pytest.fixture
def calls(tools):
    """The loop's times of the tool's calls."""
    times = []

    @tool(TOOL, rate="40/s", effect="at_most_once")
    async def rated() -> int:
        times.append(asyncio.get_running_loop().time())
        return len(times)

    return times


def rated(count, **fields):
    nodes = {f"n{number}": {"tool": TOOL} | fields for number in range(count)}
    more = {"settings": {"max_parallel_nodes": count}}
    return document(*(f"t>{key}" for key in nodes), **nodes, **more)


def test_the_nodes_of_a_run_call_a_tool_as_often_as_its_rate_says(calls, import_document, settings):
    workflow = import_document(rated(25))
    result = asyncio.run(WorkflowExecutor().execute(workflow.id))
    assert (result.status, len(calls)) == ("completed", 25)
    # Between its turn and its call the start goes on record, which takes its time once or twice.
    assert surplus(calls, Rate.parse("40/s")) <= 10
    assert NodeAttempt.objects.filter(execution=result.execution_id).count() == 26
    # The control: without a rate all go at once.
    calls.clear()
    settings.PASTETRADER = {**settings.PASTETRADER, "TOOL_RATES": {TOOL: None}}
    _ = asyncio.run(WorkflowExecutor().execute(workflow.id))
    assert surplus(calls, Rate.parse("40/s")) > 10


def test_a_tool_without_a_rate_asks_the_database_nothing(import_document):
    result = asyncio.run(WorkflowExecutor().execute(import_document(document("t>a")).id))
    assert result.status == "completed"
    assert not ToolRate.objects.exists()


def test_a_cancel_reaches_a_node_that_waits_which_has_called_nothing(calls, import_document, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "TOOL_RATES": {TOOL: "1/h burst 1"}}
    execution = start(StartRequest(target=import_document(rated(3)), input={})).execution
    token = CancelToken()

    def observe(entries):
        if any("waits for its turn" in one.entry.message for one in entries):
            token.request()

    assert asyncio.run(runner.run(execution.id, cancel=token, observe=observe))
    execution.refresh_from_db()
    assert (execution.status, len(calls)) == ("cancelled", 1)
    nodes = NodeExecution.objects.filter(execution=execution, key__startswith="n").values_list("status", flat=True)
    assert sorted(nodes) == ["cancelled", "cancelled", "completed"]
    # Nobody is in doubt about what was not called.
    assert NodeAttempt.objects.filter(execution=execution).count() == 2
    said = ExecutionLog.objects.filter(execution=execution, message__contains="waits for its turn")
    assert {one.message.split("waits")[1] for one in said} == {f" for its turn: at most 1 call of '{TOOL}' an hour."}


def test_a_run_that_is_handed_back_while_it_waits_goes_on_elsewhere(calls, import_document, settings):
    settings.PASTETRADER = {
        **settings.PASTETRADER, "TOOL_RATES": {TOOL: "1/h burst 1"}, "CANCEL_GRACE_SECONDS": 60,
    }  # fmt: skip
    execution = start(StartRequest(target=import_document(rated(2)), input={})).execution
    token = CancelToken()

    def observe(entries):
        if any("waits for its turn" in one.entry.message for one in entries):
            token.hand_back()

    # Not after the grace: the test would time out.
    assert not asyncio.run(runner.run(execution.id, cancel=token, observe=observe))
    assert sorted(NodeExecution.objects.filter(execution=execution).values_list("status", flat=True)) == [
        "completed", "completed", "pending",
    ]  # fmt: skip
    pass_(3600)
    (seen,) = runner.ownership.abandoned([], 10)
    assert asyncio.run(runner.resume(seen))
    assert (WorkflowExecution.objects.get().status, len(calls)) == ("completed", 2)


@pytest.fixture
def root():
    return get_user_model().objects.create_superuser("root")


def test_a_trial_waits_for_its_turn_too(calls, root, settings, monkeypatch):
    settings.PASTETRADER = {**settings.PASTETRADER, "TOOL_RATES": {TOOL: "1/h burst 1"}}
    monkeypatch.setattr(try_tool, "SECONDS", 1.2)
    program = program_of(root)
    assert program.post(f"/tools/{TOOL}/test", {"inputs": {}}).data["output"] == 1
    second = program.post(f"/tools/{TOOL}/test", {"inputs": {}}).data
    assert (second["error"]["code"], len(calls)) == ("timeout", 1)
    assert [line["message"] for line in second["logs"]] == [
        f"It waits for its turn: at most 1 call of '{TOOL}' an hour."
    ]


def test_the_catalogue_and_the_page_of_a_tool_show_its_rate(calls, root, settings):
    program = program_of(root)
    assert program.get(f"/tools/{TOOL}").data["rate"] == "40/s"
    assert program.get("/tools/core.set").data["rate"] is None
    made = {"name": "site.own", "kind": TOOL, "configuration": {}}
    assert program.post("/tools", made).status_code == 201
    # The slower one of its own and of its kind's.
    assert program.get("/tools/site.own").data["rate"] == "40/s"
    settings.PASTETRADER = {**settings.PASTETRADER, "TOOL_RATES": {"site.own": "5/m"}}
    assert program.get("/tools/site.own").data["rate"] == "5/m"
    client = Client()
    client.force_login(root)
    page = client.get("/admin/workflows_app/configuredtool/tool/site.own/").content.decode()
    assert "It has a rate: 5/m, for all processes of the site together." in page


@pytest.mark.parametrize(
    "wrong", [["http.request"], "10/s", {"http.request": 10}, {"http.request": "often"}, {1: "10/s"}]
)
def test_a_setting_of_rates_that_are_none_is_an_error_with_a_hint(settings, wrong):
    settings.PASTETRADER = {"TOOL_RATES": wrong}
    (found,) = check_tool_rates(None)
    assert found.id == "pastetrader.E036"
    assert found.msg.startswith("PASTETRADER['TOOL_RATES'] cannot be used. ")
    assert "docs/rates.md" in found.hint


def test_rates_that_are_some_pass(settings):
    settings.PASTETRADER = {"TOOL_RATES": {"http.request": "20/s", "site.own": "5/h burst 2", "market.prices": None}}
    assert check_tool_rates(None) == []
