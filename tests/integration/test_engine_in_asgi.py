"""The engine beside a server: a thread that takes up what is accepted, and gives back what it has at the end."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection

from executions_app.dispatch import inline, runner
from executions_app.dispatch.identity import engine_name
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, WorkflowExecution, commits, ownership, querysets
from executions_app.models.turns import Asked
from executions_app.services.start import StartRequest, start
from executions_app.services.work import work_in_background
from tests.eventually import eventually
from tests.integration.conftest import document
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def engine(settings):
    """Starts the engine of this process; at the end it has stopped."""
    settings.PASTETRADER = {"CONCURRENCY": 2, "CANCEL_GRACE_SECONDS": 0.2, "CANCEL_POLL_SECONDS": 0.1}
    yield work_in_background
    inline.stop_engine()


def statuses():
    return sorted(WorkflowExecution.objects.values_list("status", flat=True))


def test_what_is_accepted_runs_by_itself(import_document, engine):
    engine()
    workflow = import_document(document("t>a", "a>b"))
    for _ in range(3):
        start(StartRequest(target=workflow, input={}))
    eventually(lambda: statuses() == ["completed"] * 3)
    assert set(WorkflowExecution.objects.values_list("claimed_by", flat=True)) == {engine_name()}


def test_a_process_has_one_engine_however_often_it_is_started(engine):
    for _ in range(3):
        engine()
    assert [thread.name for thread in threading.enumerate()].count("engine") == 1


def test_a_process_has_no_engine_where_others_run_executions(settings):
    settings.PASTETRADER = {"ENGINE_IN_ASGI": False}
    work_in_background()
    assert "engine" not in [thread.name for thread in threading.enumerate()]


def test_more_than_may_run_at_a_time_wait_and_start_in_order(import_document, engine, tools):
    free = threading.Semaphore(0)
    most, at_work, lock = 0, 0, threading.Lock()

    @tool("test.hold", effect="none")
    def hold() -> int:
        nonlocal most, at_work
        with lock:
            at_work += 1
            most = max(most, at_work)
        free.acquire()
        with lock:
            at_work -= 1
        return 1

    workflow = import_document(document("t>a", a={"tool": "test.hold"}))
    accepted = [start(StartRequest(target=workflow, input={})).execution.id for _ in range(5)]
    engine()
    eventually(lambda: at_work == 2)
    assert statuses() == ["pending"] * 3 + ["running"] * 2
    free.release(5)
    eventually(lambda: statuses() == ["completed"] * 5)
    assert most == 2
    assert list(WorkflowExecution.objects.order_by("started_at", "id").values_list("id", flat=True)) == accepted


def test_what_is_under_way_is_handed_back_when_the_process_ends(import_document, engine):
    sleeping = {"tool": "core.sleep", "inputs": {"seconds": 60}}
    execution = start(StartRequest(target=import_document(document("t>a", "a>b", a=sleeping)), input={})).execution
    engine()
    eventually(lambda: ExecutionLog.objects.filter(event="node.running", node="a").exists())
    inline.stop_engine()
    execution.refresh_from_db()
    assert (execution.status, execution.claimed_by) == ("running", "")
    querysets.fail_run(execution.id, 1, {"code": "x", "message": "over", "type": "X", "node": None})


def test_a_run_that_its_caller_runs_is_left_alone_by_the_engine_beside_it(import_document, engine, settings):
    engine()
    workflow = import_document(document("t>a"))
    reserved = start(StartRequest(target=workflow, input={}, reserved=True)).execution
    start(StartRequest(target=workflow, input={}))
    eventually(lambda: statuses() == ["completed", "pending"])
    assert asyncio.run(runner.run(reserved.id))
    # A caller that dies leaves it to the engine, when its lease is over. Only here a short one: before, a machine that
    # stands still for as long would be such a death.
    settings.PASTETRADER |= {"LEASE_SECONDS": 3, "HEARTBEAT_SECONDS": 1}
    start(StartRequest(target=workflow, input={}, reserved=True))
    eventually(lambda: statuses() == ["completed"] * 3)


def test_engines_that_look_at_the_same_time_take_every_run_once(import_document):
    workflow = import_document(document("t>a"))
    accepted = {start(StartRequest(target=workflow, input={})).execution.id for _ in range(30)}

    def take(number):
        try:
            return [claim for _ in range(5) for claim in ownership.claim_waiting(Asked(2), f"engine {number}", 30)]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        taken = [claim for claims in pool.map(take, range(6)) for claim in claims]
    assert len(taken) == len({claim.execution_id for claim in taken})
    assert {claim.execution_id for claim in taken} <= accepted
    assert WorkflowExecution.objects.filter(status="running", fence=1).count() == len(taken)
    for execution_id in accepted:
        querysets.request_cancel(execution_id)
    for claim in taken:
        querysets.fail_run(claim.execution_id, 1, {"code": "x", "message": "over", "type": "X", "node": None})


def test_a_loop_that_is_blocked_is_noticed_and_keeps_its_runs(import_document, settings, tools, caplog):
    # A lease of which two thirds pass while nothing turns.
    settings.PASTETRADER = {"LEASE_SECONDS": 9, "HEARTBEAT_SECONDS": 1, "CANCEL_POLL_SECONDS": 0.1}

    @tool("test.block", effect="none")
    async def block() -> int:
        time.sleep(6)  # noqa: ASYNC251 - the defect that is to be noticed
        return 1

    workflow = import_document(document("t>a", a={"tool": "test.block"}))
    assert asyncio.run(WorkflowExecutor().execute(workflow.id)).status == "completed"
    told = ExecutionLog.objects.get(event="log", level="warning")
    assert "event loop was blocked" in told.message
    assert "has been blocked" in caplog.text
    execution = WorkflowExecution.objects.get()
    assert (execution.fence, execution.recoveries) == (1, 0)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_reply_writes_nothing_twice(import_document, monkeypatch, moment):
    """The connection breaks right before or right after a commit; nobody knows which."""
    workflow = import_document(document("t>a", "a>b", "b>c", b={"tool": "core.set", "inputs": {"n": 1}}))
    commits_seen = 0

    def strike(name, when):
        nonlocal commits_seen
        if name == "write" and when == moment:
            commits_seen += 1
            # Every other one, the very last among them.
            if commits_seen % 2:
                raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(commits, "strike", strike)
    result = asyncio.run(WorkflowExecutor().execute(workflow.id))
    assert result.status == "completed"
    assert commits_seen > 4


def test_connections_that_the_server_ends_are_replaced(import_document, tools):
    """On PostgreSQL every connection of the process is ended in the middle of a run; on SQLite there are none."""
    if connection.vendor != "postgresql":
        return
    ended = []

    @tool("test.end_connections", effect="none")
    def end_connections() -> int:
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                ended.append(cursor.fetchone()[0])
        finally:
            connection.close()
        return ended[-1]

    nodes = {key: {"tool": "test.end_connections"} for key in "ace"}
    workflow = import_document(document("t>a", "a>b", "b>c", "c>d", "d>e", **nodes))
    connection.close()
    assert asyncio.run(WorkflowExecutor().execute(workflow.id)).status == "completed"
    assert ended[0] > 0
