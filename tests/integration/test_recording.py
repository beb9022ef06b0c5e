"""The recorder and the writer: fences, batches that fail, and a database that does."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from executions_app.dispatch import runner
from executions_app.engine.errors import OwnershipLost
from executions_app.engine.events import NodeSettled, NodeStarted
from executions_app.engine.states import AttemptOutcome, NodeStatus
from executions_app.models import ExecutionLog, NodeExecution, WorkflowExecution, ownership, querysets
from executions_app.recorder import thread, writer
from executions_app.recorder.writer import Run
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.services.compile import plan_of

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def claimed(import_document):
    """Accepts and claims runs of one workflow; what they leave open is ended afterwards."""
    workflow = import_document(document("t>a"))
    runs = []

    def claim():
        execution = start(StartRequest(target=workflow, input={})).execution
        taken = ownership.claim(execution.id, "test", 30)
        run = Run(execution_id=execution.id, fence=taken.fence, seq=taken.last_seq, plan=plan_of(execution.version))
        runs.append(run)
        return run

    yield claim
    for run in runs:
        querysets.fail_run(run.execution_id, run.fence, {"code": "test", "message": "over", "type": "T", "node": None})


def started(node=0, attempt_id="a1"):
    return NodeStarted(node=node, at=NOW, attempt_id=attempt_id, number=1, started_at=NOW, input="{}")


def completed(node=0, attempt_id="a1"):
    return NodeSettled(
        node=node,
        at=NOW,
        status=NodeStatus.COMPLETED,
        attempt_id=attempt_id,
        attempt_outcome=AttemptOutcome.SUCCEEDED,
        started_at=NOW,
        output='{"n":1.10}',
    )


def last_seq(run):
    return WorkflowExecution.objects.get(pk=run.execution_id).last_seq


def test_a_start_and_an_end_in_one_batch_are_one_row_and_two_entries(claimed):
    run = claimed()
    (entries,) = writer.write([(run, [started(), completed()])])
    assert [entry.seq for entry in entries] == [3, 4]
    row = NodeExecution.objects.get(execution_id=run.execution_id, key="t")
    assert (row.status, row.attempt_id, row.started_at, row.ended_at) == ("completed", "a1", NOW, NOW)
    assert str(row.output["n"]) == "1.10"
    assert ExecutionLog.objects.get(execution_id=run.execution_id, seq=4).at == NOW


def test_what_a_superseded_owner_writes_is_refused_and_the_others_are_not(claimed):
    stale, fresh = claimed(), claimed()
    WorkflowExecution.objects.filter(pk=stale.execution_id).update(fence=stale.fence + 1)
    lost, written = writer.write([(stale, [started()]), (fresh, [started()])])
    assert isinstance(lost, OwnershipLost)
    assert len(written) == 1
    assert NodeExecution.objects.get(execution_id=stale.execution_id, key="t").status == "pending"
    assert last_seq(stale) == 2
    WorkflowExecution.objects.filter(pk=stale.execution_id).update(fence=stale.fence)


def test_a_batch_that_fails_is_repeated_so_that_only_the_bad_run_fails(claimed):
    good, bad = claimed(), claimed()
    writer.write([(bad, [started(), completed()])])
    before = last_seq(bad)
    again, written = writer.write([(bad, [started()]), (good, [started(attempt_id="a2")])])
    assert isinstance(again, writer.RecordMismatch)
    assert len(written) == 1
    assert last_seq(bad) == before
    assert NodeExecution.objects.get(execution_id=bad.execution_id, key="t").status == "completed"


def test_only_one_engine_can_claim_an_execution(import_document):
    execution = start(StartRequest(target=import_document(document("t>a")), input={})).execution
    first, second = ownership.claim(execution.id, "test", 30), ownership.claim(execution.id, "test", 30)
    assert first.fence == 1
    assert second is None
    querysets.fail_run(execution.id, 1, {"code": "test", "message": "over", "type": "T", "node": None})


def test_a_database_that_fails_ends_the_run_instead_of_hanging_it(import_document, monkeypatch):
    workflow = import_document(document("t>a", "a>b"))
    execution = start(StartRequest(target=workflow, input={})).execution
    real, batches = thread.write, 0

    def fails_from_the_second_batch(batch, *, again=False):
        nonlocal batches
        batches += 1
        if batches > 1:
            return [OperationalError("disk I/O error") for _ in batch]
        return real(batch)

    monkeypatch.setattr(thread, "write", fails_from_the_second_batch)
    assert asyncio.run(runner.run(execution.id))
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("failed", "crashed")
    assert "disk I/O error" in execution.error["message"]
    assert set(NodeExecution.objects.values_list("status", flat=True)) <= {"completed", "cancelled"}


def test_the_thread_of_the_recorder_can_be_stopped_and_starts_again():
    for _ in range(3):
        assert thread.recorder.call(lambda: 5).result(timeout=10) == 5
        thread.recorder.stop()
    thread.recorder.stop()


def test_an_error_in_a_call_reaches_its_caller_alone():
    with pytest.raises(ZeroDivisionError):
        thread.recorder.call(lambda: 1 / 0).result(timeout=10)
    assert thread.recorder.call(lambda: 1).result(timeout=10) == 1


@pytest.mark.parametrize(
    "change",
    ["status = 'completed'", "ended_at = '2026-01-02 03:04:05'", "status = 'paused'"],
    ids=["terminal without an end", "an end without being terminal", "an unknown status"],
)
def test_the_database_itself_refuses_a_record_that_lies(import_document, change):
    start(StartRequest(target=import_document(document("t>a")), input={}))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {querysets.EXECUTIONS} SET {change}")


def test_an_id_that_nobody_has_is_no_claim():
    assert ownership.claim(uuid.uuid4(), "test", 30) is None


def test_an_observer_that_fails_hurts_no_run(import_document, caplog):
    workflow = import_document(document("t>a", "a>b"))
    first, second = (start(StartRequest(target=workflow, input={})).execution for _ in range(2))
    told = []

    def fails(_committed):
        raise BrokenPipeError

    async def both():
        await asyncio.gather(runner.run(first.id, observe=fails), runner.run(second.id, observe=told.extend))

    asyncio.run(both())
    assert set(WorkflowExecution.objects.values_list("status", flat=True)) == {"completed"}
    assert caplog.text.count("is left out") == 1
    # The entries of acceptance and claim were written before anybody could watch.
    assert [one.seq for one in told] == list(range(3, 10))
