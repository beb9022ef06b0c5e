"""Runs whose engine is gone: another one goes on with them, once, from what is on record."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta

import pytest

from executions_app.checks import check_lease
from executions_app.dispatch import identity, runner, running
from executions_app.dispatch.identity import engine_name, is_known_dead
from executions_app.dispatch.worker import Worker
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution, ownership, querysets
from executions_app.models.ownership import Abandoned
from executions_app.recorder.thread import in_recorder, recorder
from executions_app.recorder.writer import Run, write
from executions_app.services.run import run_to_its_end
from executions_app.services.start import StartRequest, start
from tests.architecture.source import ROOT
from tests.eventually import eventually
from tests.integration.conftest import document
from tests.integration.test_sink_contract import Events
from workflows_app.services.compile import plan_of
from workflows_app.tools import ToolContext, tool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def left(import_document, tools):
    """Leaves a run of `t>a`, `a>b` as a dead engine does: `t` completed, `a` at work. Counts the calls of `a`."""
    calls = []

    def leave(effect="none", **fields):
        @tool("test.counted", effect=effect)
        async def counted(context: ToolContext) -> int:
            calls.append((context.number, context.idempotency_key))
            return context.number

        workflow = import_document(document("t>a", "a>b", a={"tool": "test.counted"}, **fields))
        execution = start(StartRequest(target=workflow, input={})).execution
        claim = ownership.claim(execution.id, "dead", 30)
        run = Run(execution_id=execution.id, fence=claim.fence, seq=claim.last_seq, plan=plan_of(execution.version))
        events = Events()
        write([(run, [events.started(0), events.settled(0), events.started(1)])])
        WorkflowExecution.objects.filter(pk=execution.id).update(lease_until=querysets.now() - timedelta(seconds=1))
        return execution

    leave.calls = calls
    return leave


def resume(execution):
    (seen,) = ownership.abandoned([], 10)
    taken = asyncio.run(runner.resume(seen))
    execution.refresh_from_db()
    return taken


def fates(execution):
    nodes = NodeExecution.objects.filter(execution=execution).order_by("order")
    return {node.key: " ".join(filter(None, (node.status, node.reason))) for node in nodes}


def test_another_engine_goes_on_without_repeating_what_is_complete(left):
    execution = left()
    assert resume(execution)
    assert (execution.status, execution.fence, execution.recoveries) == ("completed", 2, 0)
    assert fates(execution) == {"t": "completed", "a": "completed", "b": "completed"}
    # The second attempt, under the key of the first.
    assert left.calls == [(2, f"{execution.id}:a")]
    attempts = NodeAttempt.objects.filter(execution=execution).order_by("order", "number")
    assert list(attempts.values_list("order", "number", "outcome", "fence")) == [
        (0, 1, "succeeded", 1), (1, 1, "abandoned", 1), (1, 2, "succeeded", 2), (2, 1, "succeeded", 2),
    ]  # fmt: skip
    assert NodeExecution.objects.get(execution=execution, key="a").retry_count == 0
    told = ExecutionLog.objects.get(execution=execution, event="execution.recovered")
    assert told.message == f"Engine {engine_name()} goes on with the execution; dead died."
    assert (told.level, told.data["recoveries"], told.data["before"]) == ("warning", 1, "dead")


def test_work_that_cannot_be_repeated_is_a_crash_with_an_unknown_outcome(left):
    execution = left("at_most_once")
    assert resume(execution)
    assert fates(execution) == {"t": "completed", "a": "failed crashed", "b": "skipped upstream_failed"}
    assert left.calls == []
    assert execution.error == {
        "code": "node_error",
        "message": "The engine died while node 'a' was at work. The outcome is unknown: verify at the receiver before "
        "you run it again.",
        "type": "NodeCrashedError",
        "node": "a",
    }


def test_of_two_engines_one_takes_it(left):
    execution = left()
    (seen,) = ownership.abandoned([], 10)
    plan = plan_of(execution.version)
    assert ownership.reclaim(seen, "one", 30, plan) is not None
    assert ownership.reclaim(seen, "two", 30, plan) is None
    querysets.fail_run(execution.id, 2, {"code": "x", "message": "over", "type": "X", "node": None})


def test_a_run_with_a_lease_is_nobody_elses(left):
    execution = left()
    WorkflowExecution.objects.update(lease_until=querysets.now() + timedelta(seconds=20))
    assert ownership.abandoned([], 10) == []
    # But of an owner that is known to be dead.
    assert [seen.execution_id for seen in ownership.abandoned(["dead"], 10)] == [execution.id]
    resume_of_dead = ownership.abandoned(["dead"], 10)[0]
    asyncio.run(runner.resume(resume_of_dead))


def test_a_cancel_that_nobody_heard_ends_the_run(left):
    execution = left()
    querysets.request_cancel(execution.id)
    assert resume(execution)
    assert (execution.status, execution.reason) == ("cancelled", "user")
    assert left.calls == []


def test_a_run_that_killed_four_engines_in_a_row_is_given_up(left):
    execution = left()
    WorkflowExecution.objects.update(recoveries=3)
    assert resume(execution)
    assert (execution.status, execution.reason) == ("failed", "crash_loop")
    assert execution.error["message"] == (
        "4 engines in a row died of this execution before a node was settled. Nodes that were at work: a."
    )
    assert fates(execution) == {"t": "completed", "a": "cancelled shutdown", "b": "cancelled shutdown"}
    assert left.calls == []


def test_a_lease_that_was_given_back_is_no_crash(left):
    execution = left()
    ownership.release(execution.id, 1, "dead")
    (seen,) = ownership.abandoned([], 10)
    assert seen.owner == ""
    asyncio.run(runner.resume(seen))
    told = ExecutionLog.objects.get(execution=execution, event="execution.recovered")
    assert (told.data["recoveries"], "was handed back" in told.message) == (0, True)


def test_the_time_limit_of_an_execution_counts_from_its_first_start(left):
    execution = left(settings={"timeout_seconds": 50})
    WorkflowExecution.objects.update(started_at=querysets.now() - timedelta(seconds=60))
    assert resume(execution)
    assert (execution.status, execution.reason) == ("failed", "timeout")


def test_an_engine_that_lost_a_run_stops_without_another_word(import_document, tools, settings):
    settings.PASTETRADER = {"CANCEL_POLL_SECONDS": 0.01, "HEARTBEAT_SECONDS": 0.02}
    begun, ended = [], []

    @tool("test.wait", effect="none")
    async def wait(context: ToolContext) -> None:
        begun[0].set_result(context.execution_id)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    workflow = import_document(document("t>a", "a>b", a={"tool": "test.wait"}))

    async def main():
        begun.append(asyncio.get_running_loop().create_future())
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        execution_id = await begun[0]
        taken = await asyncio.wrap_future(recorder.call(lambda: take(execution_id)))
        return taken, await run

    def take(execution_id):
        execution = WorkflowExecution.objects.get(pk=execution_id)
        seen = Abandoned(execution.id, execution.fence, execution.claimed_by, execution.version_id)
        return ownership.reclaim(seen, "another", 30, plan_of(execution.version))

    taken, _ = asyncio.run(main())
    assert ended == [True]
    execution = WorkflowExecution.objects.get()
    assert (execution.status, execution.claimed_by, execution.fence) == ("running", "another", 2)
    # What the new owner found is all that there is.
    assert execution.last_seq == taken.last_seq
    querysets.fail_run(execution.id, 2, {"code": "x", "message": "over", "type": "X", "node": None})


def test_an_engine_that_cannot_prolong_its_leases_gives_up_its_runs(import_document, tools, settings, monkeypatch):
    settings.PASTETRADER = {"CANCEL_POLL_SECONDS": 0.01, "HEARTBEAT_SECONDS": 0.01, "LEASE_SECONDS": 3.2}

    def gone(*_args):
        raise running.DatabaseError("gone")

    monkeypatch.setattr(ownership, "renew", gone)
    workflow = import_document(document("t>a", a={"tool": "core.sleep", "inputs": {"seconds": 50}}))
    result = asyncio.run(WorkflowExecutor().execute(workflow.id))
    assert result.status == "running"
    execution = WorkflowExecution.objects.get()
    querysets.fail_run(execution.id, execution.fence, {"code": "x", "message": "over", "type": "X", "node": None})


def test_a_heartbeat_prolongs_the_leases_of_its_engine_alone(left):
    ours, other = left(), left()
    WorkflowExecution.objects.filter(pk=ours.id).update(claimed_by="me")
    (renewed,) = ownership.renew([ours.id, other.id], "me", 30)
    assert (renewed.execution_id, renewed.fence, renewed.cancel_requested) == (ours.id, 1, False)
    assert [seen.execution_id for seen in ownership.abandoned([], 10)] == [other.id]
    for execution in (ours, other):
        querysets.fail_run(execution.id, 1, {"code": "x", "message": "over", "type": "X", "node": None})


def _some_are_open():
    return WorkflowExecution.objects.filter(status__in=["pending", "running"]).exists()


def test_a_worker_takes_up_what_was_left_and_what_waits_and_stops_when_it_is_told(left, import_document):
    abandoned = left()
    waiting = [
        start(StartRequest(target=import_document(document("t>a", name=f"w{number}")), input={})).execution
        for number in range(5)
    ]

    async def main():
        worker = Worker(concurrency=2)
        serving = asyncio.create_task(worker.serve())
        # Whoever waits for a database has nothing else to wait for.
        while await in_recorder(_some_are_open):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        worker.stop()
        await serving

    asyncio.run(main())
    statuses = WorkflowExecution.objects.filter(pk__in=[abandoned.id, *(one.id for one in waiting)])
    assert set(statuses.values_list("status", flat=True)) == {"completed"}
    started = WorkflowExecution.objects.filter(pk__in=[one.id for one in waiting]).order_by("started_at", "id")
    assert [one.pk for one in started] == [one.id for one in waiting]


def test_a_worker_that_is_told_to_stop_hands_its_runs_back(import_document, tools):
    begun, release = [], []

    @tool("test.last", effect="at_most_once")
    async def last(context: ToolContext) -> int:
        begun[0].set_result(None)
        await release[0].wait()
        return context.number

    workflow = import_document(document("t>a", "a>b", a={"tool": "test.last"}))
    execution = start(StartRequest(target=workflow, input={})).execution

    async def main():
        begun.append(asyncio.get_running_loop().create_future())
        release.append(asyncio.Event())
        worker = Worker(concurrency=2)
        serving = asyncio.create_task(worker.serve())
        await begun[0]
        worker.stop()
        await asyncio.sleep(0.05)
        # What runs may end: its effect is not lost.
        release[0].set()
        await serving

    asyncio.run(main())
    execution.refresh_from_db()
    assert (execution.status, execution.claimed_by) == ("running", "")
    assert fates(execution) == {"t": "completed", "a": "completed", "b": "pending"}
    assert resume(execution)
    assert (execution.status, execution.recoveries) == ("completed", 0)
    assert NodeAttempt.objects.filter(execution=execution, order=1).count() == 1


def test_code_that_does_not_end_in_time_is_broken_off_when_a_run_is_handed_back(import_document, settings):
    settings.PASTETRADER = {"CANCEL_GRACE_SECONDS": 0.05}
    sleeping = {"tool": "core.sleep", "inputs": {"seconds": 60}}
    execution = start(StartRequest(target=import_document(document("t>a", "a>b", a=sleeping)), input={})).execution
    assert not asyncio.run(run_to_its_end(execution.id, seconds=0.2))
    execution.refresh_from_db()
    assert (execution.status, execution.claimed_by) == ("running", "")
    assert fates(execution) == {"t": "completed", "a": "running", "b": "pending"}
    querysets.request_cancel(execution.id)
    assert resume(execution)
    assert execution.status == "cancelled"


def test_a_run_that_ends_in_time_is_not_handed_back(import_document):
    execution = start(StartRequest(target=import_document(document("t>a")), input={})).execution
    assert asyncio.run(run_to_its_end(execution.id, seconds=30))
    execution.refresh_from_db()
    assert execution.status == "completed"


def test_a_dead_process_of_this_host_is_known_to_be_dead(tmp_path):
    script = "from executions_app.dispatch.identity import engine_name; print(engine_name(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        name = process.stdout.readline().strip()
        path = identity._lock_path(name)
        assert path.exists()
        assert not is_known_dead(name)
        process.kill()
        eventually(lambda: is_known_dead(name))
    path.unlink()
    # A process that ends in order leaves no file.
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, input="\n", capture_output=True, text=True, check=True
    )
    assert not identity._lock_path(ended.stdout.splitlines()[0]).exists()
    assert not is_known_dead(engine_name())
    assert not is_known_dead("elsewhere/boot/1-abc")
    host, boot, _ = name.split("/")
    # No lock file: nobody knows.
    assert not is_known_dead(f"{host}/{boot}/1-nobody")
    assert not is_known_dead(f"{host}/earlier/1-nobody")


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(identity.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"pastetrader-{os.getuid()}"
    folder.mkdir()
    os.chown(folder, 12345, -1)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        is_known_dead(f"{engine_name().rpartition('/')[0]}/1-other")


def test_a_lease_that_two_lost_heartbeats_would_cost_is_an_error(settings):
    settings.PASTETRADER = {"LEASE_SECONDS": 20, "HEARTBEAT_SECONDS": 8}
    (found,) = check_lease(None)
    assert found.id == "pastetrader.E005"
    assert "HEARTBEAT_SECONDS'] is 8 and a lease lasts 20 s" in found.msg
    settings.PASTETRADER = {}
    assert check_lease(None) == []
