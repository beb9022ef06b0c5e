"""Which of the runs that wait are next: queues, priorities, due times, turns, and limits for runs with one key."""

import asyncio
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, WorkflowExecution, ownership, querysets, turns
from executions_app.models.turns import Asked
from executions_app.services.errors import ConcurrencyLimit, InvalidInput
from executions_app.services.rerun import rerun
from executions_app.services.start import StartRequest, start
from tests.architecture.source import ROOT
from tests.integration.api import program_of
from tests.integration.conftest import document
from workflows_app.services.documents import read, save
from workflows_app.services.errors import InvalidDefinition
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_is_left_running():
    yield
    for one in WorkflowExecution.objects.filter(status="pending"):
        querysets.request_cancel(one.pk)
    for one in WorkflowExecution.objects.filter(status="running"):
        end(one.pk)


@pytest.fixture
def workflow(import_document):
    def imported(**settings):
        return import_document(document("t>a", settings=settings, name=settings.pop("name", "test")))

    return imported


def accepted(workflow, value=None, **request):
    return start(StartRequest(target=workflow, input=value or {}, **request)).execution.id


def taken(limit=1, queues=(), patience=0.0):
    return [claim.execution_id for claim in ownership.claim_waiting(Asked(limit, queues, patience), "engine", 30)]


def all_taken(**asked):
    """One after the other, as engines with one free place would take them."""
    found = []
    while one := taken(**asked):
        found += one
    return found


def end(execution_id):
    fence = WorkflowExecution.objects.get(pk=execution_id).fence
    assert querysets.fail_run(execution_id, fence, {"code": "x", "message": "over", "type": "X", "node": None})


def status(execution_id):
    return WorkflowExecution.objects.get(pk=execution_id).status


def now():
    return datetime.now(UTC)


SYMBOL = {"key": "${{ input.symbol }}", "limit": 1}


def test_of_a_higher_priority_comes_first_then_what_has_waited_longest(workflow):
    plain, urgent = workflow(), workflow(name="urgent", priority=10)
    ids = [accepted(plain), accepted(urgent), accepted(plain, priority=-5), accepted(urgent), accepted(plain)]
    assert all_taken() == [ids[1], ids[3], ids[0], ids[4], ids[2]]


def test_a_flood_of_one_user_delays_nobody_elses_first_run(workflow):
    flow = workflow()
    users = get_user_model().objects
    ada, bob, carl = (users.create_superuser(name) for name in ("flooder", "bob", "carl"))
    flood = [accepted(flow, user=ada) for _ in range(30)]
    late = [accepted(flow, user=bob), accepted(flow, user=carl)]
    assert taken(4) == [flood[0], *late, flood[1]]
    # One at a time, and though what was asked for before is older.
    later = accepted(flow, user=bob)
    assert later in taken() + taken() + taken()
    last = accepted(flow, user=carl)
    assert taken() == [last]


def test_within_a_priority_users_have_turns_and_priority_goes_before_turns(workflow):
    flow = workflow()
    users = get_user_model().objects
    ada, bob = users.create_superuser("a"), users.create_superuser("b")
    plain = [accepted(flow, user=ada), accepted(flow, user=ada), accepted(flow, user=bob)]
    urgent = [accepted(flow, user=ada, priority=1), accepted(flow, user=ada, priority=1)]
    # Of what is left it is bob's turn.
    assert taken(5) == [*urgent, plain[2], plain[0], plain[1]]


def test_an_engine_takes_of_its_queues_alone_and_one_without_of_all(workflow):
    cpu, default = workflow(name="heavy", queue="cpu"), workflow()
    ids = [accepted(cpu), accepted(default), accepted(cpu), accepted(default)]
    assert taken(9, queues=["gpu"]) == []
    assert taken(1, queues=["cpu"]) == [ids[0]]
    assert taken(9, queues=["default"]) == [ids[1], ids[3]]
    assert taken(9) == [ids[2]]


def test_nothing_starts_before_it_is_due(workflow):
    flow = workflow()
    due_at = now() + timedelta(hours=1)
    late, past = accepted(flow, run_at=due_at), accepted(flow, run_at=now() - timedelta(days=1))
    assert taken(9) == [past]
    assert ownership.claim(late, "engine", 30) is None
    assert WorkflowExecution.objects.get(pk=late).due_at == due_at
    assert "to start at" in ExecutionLog.objects.get(execution=late, seq=1).message
    WorkflowExecution.objects.filter(pk=late).update(due_at=now())
    assert taken(9) == [late]


def test_many_that_are_due_later_keep_nothing_waiting(workflow):
    flow = workflow()
    for _ in range(5):
        accepted(flow, run_at=now() + timedelta(hours=1))
    soon = accepted(flow)
    assert taken() == [soon]


def test_where_permits_come_an_engine_takes_by_itself_what_was_left_for_a_while(workflow):
    flow = workflow()
    first = accepted(flow)
    assert taken(patience=60.0) == []
    WorkflowExecution.objects.filter(pk=first).update(due_at=now() - timedelta(seconds=61))
    # Patience is no part of the order: what came since is not passed over.
    urgent = accepted(flow, priority=1)
    assert taken(patience=60.0) == [urgent]
    assert taken(patience=60.0) == [first]


def test_of_one_key_so_many_run_at_a_time_and_the_next_begins_when_one_has_ended(workflow):
    flow = workflow(concurrency={**SYMBOL, "limit": 2})
    ids = [accepted(flow, {"symbol": symbol}) for symbol in ("A", "A", "A", "B", "A")]
    assert taken(9) == [ids[0], ids[1], ids[3]]
    assert taken(9) == []
    end(ids[1])
    assert taken(9) == [ids[2]]
    assert ownership.claim(ids[4], "engine", 30) is None
    end(ids[0])
    assert ownership.claim(ids[4], "engine", 30) is not None


def test_runs_that_wait_for_their_key_keep_no_others_waiting(workflow):
    one, other = workflow(concurrency={"limit": 1}), workflow(name="other", concurrency={"limit": 1})
    first, *blocked = (accepted(one) for _ in range(12))
    free = accepted(other)
    assert taken(2) == [first, free]
    assert all(status(each) == "pending" for each in blocked)


@pytest.mark.parametrize("value", [1, "1", {"a": [1]}, None, True])
def test_a_key_is_the_text_of_whatever_it_gives(workflow, value):
    flow = workflow(concurrency=SYMBOL)
    ids = [accepted(flow, {"symbol": value}), accepted(flow, {"symbol": value}), accepted(flow, {"symbol": "other"})]
    assert taken(9) == [ids[0], ids[2]]


def test_engines_that_ask_at_the_same_time_never_exceed_the_limit_of_a_key(workflow):
    flow = workflow(concurrency={**SYMBOL, "limit": 3})
    for number in range(40):
        accepted(flow, {"symbol": "AB"[number % 2]})
    begin = threading.Barrier(6)

    def take(number):
        try:
            begin.wait(10)
            return [one for _ in range(8) for one in ownership.claim_waiting(Asked(2), f"engine {number}", 30)]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        claims = [claim for claims in pool.map(take, range(6)) for claim in claims]
    running = WorkflowExecution.objects.filter(status="running").values_list("concurrency_key", flat=True)
    assert len(claims) == len(running) == 6
    assert sorted(key[-1] for key in running) == ["A"] * 3 + ["B"] * 3


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite a transaction is alone")
def test_two_that_are_claimed_by_name_at_the_same_time_are_kept_apart_by_the_lock_of_their_key(
    workflow, monkeypatch, locked
):
    flow = workflow(concurrency=SYMBOL)
    ids = [accepted(flow, {"symbol": "A"}) for _ in range(2)]
    both_looked = threading.Barrier(2)
    counted = turns._taken

    def slow(cursor, keys):
        found = counted(cursor, keys)
        with suppress(threading.BrokenBarrierError):
            both_looked.wait(1 if locked else 20)
        return found

    monkeypatch.setattr(turns, "_taken", slow)
    if not locked:
        monkeypatch.setattr(turns, "lock_key", lambda *_: None)

    def take(number):
        try:
            return ownership.claim(ids[number], f"engine {number}", 30)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert len([claim for claim in pool.map(take, range(2)) if claim]) == (1 if locked else 2)


def test_a_run_that_is_recovered_has_kept_its_place(workflow):
    flow = workflow(concurrency=SYMBOL)
    ids = [accepted(flow, {"symbol": "A"}), accepted(flow, {"symbol": "A"})]
    assert taken() == [ids[0]]
    WorkflowExecution.objects.filter(pk=ids[0]).update(lease_until=now() - timedelta(seconds=1))
    assert taken() == []


def test_a_key_that_cannot_be_made_of_the_input_refuses_the_run(workflow):
    flow = workflow(concurrency=SYMBOL)
    with pytest.raises(InvalidInput, match=r"concurrency\.key.*symbol"):
        accepted(flow, {})
    with pytest.raises(InvalidInput, match="201 characters"):
        accepted(flow, {"symbol": "x" * 201})
    assert not WorkflowExecution.objects.exists()


def test_skip_refuses_what_is_beyond_the_limit_and_says_what_is_in_the_way(workflow):
    flow = workflow(concurrency={**SYMBOL, "overflow": "skip"})
    first = accepted(flow, {"symbol": "A"})
    with pytest.raises(ConcurrencyLimit, match=f"key 'A'.*{first}"):
        accepted(flow, {"symbol": "A"})
    assert accepted(flow, {"symbol": "B"})
    assert taken() == [first]
    with pytest.raises(ConcurrencyLimit):
        accepted(flow, {"symbol": "A"})
    end(first)
    with pytest.raises(ConcurrencyLimit):
        _ = [accepted(flow, {"symbol": "A"}), rerun(first)]


def test_cancel_oldest_makes_room_and_the_journal_says_for_which_run(workflow):
    flow = workflow(concurrency={**SYMBOL, "limit": 2, "overflow": "cancel_oldest"})
    first, second = accepted(flow, {"symbol": "A"}), accepted(flow, {"symbol": "A"})
    assert taken() == [first]
    third = accepted(flow, {"symbol": "A"})
    # The oldest runs: its engine is asked to end it, and the third waits until it has.
    asked = WorkflowExecution.objects.get(pk=first)
    assert (asked.status, asked.cancel_requested_at is not None) == ("running", True)
    line = ExecutionLog.objects.get(execution=first, event="execution.cancel_requested")
    assert line.message == f"Cancellation was requested: execution {third} takes its place."
    assert taken(9) == [second]
    # The next oldest is the second, which runs too; then the third, which waits and ends at once.
    fourth, fifth = accepted(flow, {"symbol": "A"}), accepted(flow, {"symbol": "A"})
    assert WorkflowExecution.objects.get(pk=second).cancel_requested_at is not None
    assert status(third) == "cancelled"
    end(first)
    end(second)
    assert taken(9) == [fourth, fifth]


def test_runs_that_are_accepted_at_the_same_time_count_one_another(workflow):
    flow = workflow(concurrency={"limit": 1, "overflow": "skip"})
    begin = threading.Barrier(6)

    def ask(_):
        try:
            begin.wait(10)
            return accepted(flow)
        except ConcurrencyLimit:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert len([one for one in pool.map(ask, range(6)) if one]) == 1


def test_runs_that_python_waits_for_wait_for_their_turn_too(import_document, tools):
    at_work, most = 0, 0

    @tool("test.alone", effect="none")
    async def alone() -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.02)
        at_work -= 1
        return most

    def most_at_a_time(name, **settings):
        nonlocal most
        most = 0
        flow = import_document(document("t>a", a={"tool": "test.alone"}, name=name, settings=settings))

        async def three():
            return await asyncio.gather(*(WorkflowExecutor().execute(flow.id) for _ in range(3)))

        assert [result.status for result in asyncio.run(three())] == ["completed"] * 3
        return most

    assert most_at_a_time("alone", concurrency={"limit": 1}) == 1
    # Control: without a limit they run at the same time.
    assert most_at_a_time("free") > 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"concurrency": {"key": "${{ nodes.a.x }}", "limit": 1}}, "not known before a run begins"),
        ({"concurrency": {"key": "${{ secrets.x }}", "limit": 1}}, "not known before a run begins"),
        ({"concurrency": {"key": "${{ vars.x }}", "limit": 1}}, "x"),
        ({"concurrency": {"key": "${{ input.", "limit": 1}}, "settings.concurrency.key"),
        ({"concurrency": {"key": "k"}}, "limit"),
        ({"concurrency": {"limit": 0}}, "from 1 to"),
        ({"concurrency": {"limit": 1, "overflow": "drop"}}, "cancel_oldest"),
        ({"queue": "Big Queue"}, "settings.queue"),
        ({"priority": 101}, "from -100 to 100"),
        ({"priority": True}, "from -100 to 100"),
    ],
)
def test_settings_that_mean_nothing_are_refused_with_the_document(import_document, settings, sentence):
    with pytest.raises(InvalidDefinition) as refused:
        import_document(document("t>a", settings=settings))
    assert sentence in " ".join(f"{one.field} {one.message}" for one in refused.value.problems)


def test_the_api_takes_a_priority_and_a_time_and_shows_where_a_run_waits(workflow, owner):
    ada = program_of(owner)
    flow = workflow(queue="cpu", concurrency={"limit": 1, "overflow": "skip"})
    address = f"/workflows/{flow.pk}/execute"
    body = {"run_at": "2100-01-02T03:04:05Z", "priority": 7}
    first = ada.post(address, body, Idempotency_Key="k")
    assert first.status_code == 202
    shown = {name: first.data[name] for name in ("queue", "priority", "due_at")}
    assert shown == {"queue": "cpu", "priority": 7, "due_at": "2100-01-02T03:04:05.000000Z"}
    assert ada.get(first["Location"]).data["due_at"] == shown["due_at"]
    assert ada.post(address, body, Idempotency_Key="k").data["id"] == first.data["id"]
    assert ada.post(address, body | {"priority": 8}, Idempotency_Key="k").data["code"] == "idempotency_conflict"
    beyond = ada.post(address, {})
    assert (beyond.status_code, beyond.data["code"]) == (409, "concurrency_limit")
    for wrong in ({"run_at": "2100-01-02T03:04:05"}, {"run_at": 5}, {"priority": 101}, {"priority": "1"}):
        assert ada.post(address, wrong).status_code == 422, wrong


def test_the_command_line_takes_them_too_and_leaves_what_is_due_later_to_a_worker(workflow, capsys):
    workflow()
    call_command("run_workflow", "test", "--run-at", "2100-01-02T03:04:05+01:00", "--priority", "-3")
    execution = WorkflowExecution.objects.get(pk=capsys.readouterr().out.strip())
    assert (execution.status, execution.priority, execution.due_at.hour) == ("pending", -3, 2)
    for wrong in (["--run-at", "2100-01-02T03:04:05"], ["--run-at", "soon"], ["--priority", "1e1"]):
        with pytest.raises(CommandError, match=r"no time|no priority"):
            call_command("run_workflow", "test", *wrong)


def test_the_workflow_of_the_page_is_one(owner):
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "queues.md").read_text(), re.DOTALL)
    flow, _ = save(read(text), owner)
    first = accepted(flow, {"account": "A"})
    second, other = accepted(flow, {"account": "A"}), accepted(flow, {"account": "B"})
    assert taken(9, queues=["trading"]) == [first, other]
    assert WorkflowExecution.objects.get(pk=second).priority == 10
