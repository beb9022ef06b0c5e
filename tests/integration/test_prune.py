"""Deleting old executions."""

import asyncio
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution, querysets
from executions_app.services import prune as service
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.models import Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)
RECORDS = (NodeExecution, NodeAttempt, ExecutionLog)


@pytest.fixture
def aged(import_document):
    """Executions that ended 1, 2, ... 6 days ago, every other one failed; and one that waits."""
    good = import_document(document("t>a"))
    bad = import_document(document("t>a", name="bad", a={"tool": "core.fail", "inputs": {}}))
    made = []
    for days in range(1, 7):
        result = asyncio.run(WorkflowExecutor().execute((bad if days % 2 else good).id))
        at = querysets.now() - timedelta(days=days)
        WorkflowExecution.objects.filter(pk=result.execution_id).update(
            ended_at=at, started_at=at, created_at=at - timedelta(days=60)
        )
        made.append(result.execution_id)
    waiting = start(StartRequest(target=good, input={})).execution
    WorkflowExecution.objects.filter(pk=waiting.id).update(created_at=querysets.now() - timedelta(days=90))
    return made


def left():
    return set(WorkflowExecution.objects.filter(status__in=["completed", "failed"]).values_list("pk", flat=True))


def test_what_ended_before_goes_with_its_records_and_the_rest_stays(aged, monkeypatch, capsys):
    monkeypatch.setattr(service, "BATCH", 2)
    call_command("prune_executions", older_than="84h")
    assert capsys.readouterr().out == "3 executions were deleted.\n"
    assert left() == set(aged[:3])
    for model in RECORDS:
        assert set(model.objects.values_list("execution_id", flat=True)) <= {*left(), *_waiting()}
    assert (Workflow.objects.count(), WorkflowVersion.objects.count()) == (2, 2)
    assert len(_waiting()) == 1


def test_failed_ones_can_be_kept_and_a_dry_run_deletes_none(aged, capsys):
    call_command("prune_executions", older_than="1h", keep_failed=True, dry_run=True)
    assert capsys.readouterr().out == "3 executions would be deleted.\n"
    assert left() == set(aged)
    call_command("prune_executions", older_than="1h", keep_failed=True)
    assert set(WorkflowExecution.objects.values_list("status", flat=True)) == {"failed", "pending"}


@pytest.mark.parametrize("age", ["", "30", "d", "1w", "1.5d"])
def test_an_age_that_is_none_is_refused(age):
    with pytest.raises(CommandError, match="is no age: write 30d, 12h or 90m"):
        call_command("prune_executions", older_than=age)


def _waiting():
    return set(WorkflowExecution.objects.filter(status="pending").values_list("pk", flat=True))
