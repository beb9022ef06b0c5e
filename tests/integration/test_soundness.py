"""`engine_fsck` is silent about sound records, and each of its checks finds a database that was broken by hand."""

import asyncio
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution, ownership, querysets
from executions_app.services.soundness import CHECKS, violations
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.dag import jsontext

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ended(import_document):
    flaky = {"tool": "core.fail", "inputs": {"times": 1}, "retry": {"max_retries": 1, "delay": 0}}
    bad = {"tool": "core.fail", "inputs": {}}
    workflow = import_document(document("t>a", "t>bad", "bad>never", a=flaky, bad=bad))
    return asyncio.run(WorkflowExecutor().execute(workflow.id)).execution_id


def found_after(change):
    """The codes of what is found after `change`, which is then taken back."""
    with transaction.atomic():
        without_constraints()
        change()
        codes = [(violation.code, violation.sentence) for violation in violations()]
        transaction.set_rollback(True)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
    return codes


def without_constraints():
    """The database itself would refuse some of what is done to it here; on PostgreSQL until the rollback."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
            return
        for model in (WorkflowExecution, NodeExecution, NodeAttempt):
            for constraint in model._meta.constraints:
                if isinstance(constraint, models.CheckConstraint):
                    cursor.execute(f"ALTER TABLE {model._meta.db_table} DROP CONSTRAINT {constraint.name}")


def test_sound_records_are_sound(ended, import_document, capsys):
    start(StartRequest(target=import_document(document("t>a", name="waits")), input={}))
    assert list(violations()) == []
    call_command("engine_fsck")
    assert capsys.readouterr().out == "fsck I1=0 I2=0 I3=0 I4=0 I5=0 I6=0 I7=0 I8=0 I9=0\n"


@pytest.mark.parametrize(
    ("code", "part", "change"),
    [
        ("I2", "is completed, and its end is not on record", lambda: WorkflowExecution.objects.update(
            status="completed", ended_at=None)),
        ("I3", "Node 'a' is running, and the execution has ended", lambda: NodeExecution.objects.filter(
            key="a").update(status="running")),
        ("I4", "is under way for an engine that no longer has", lambda: NodeAttempt.objects.filter(
            order=1, number=2).update(outcome="started", ended_at=None)),
        ("I5", "has 2 attempts that succeeded", lambda: NodeAttempt.objects.update(outcome="succeeded")),
        ("I6", "Node 'never' is completed, and the journal says skipped", lambda: NodeExecution.objects.filter(
            key="never").update(status="completed")),
        ("I6", "The execution is cancelled, and the journal says failed", lambda: WorkflowExecution.objects.update(
            status="cancelled")),
        ("I6", "Node 'a' has no row", lambda: NodeExecution.objects.filter(key="a").delete()),
        ("I7", "entries from 2 to", lambda: ExecutionLog.objects.filter(seq=1).delete()),
        ("I7", "and the execution counts", lambda: ExecutionLog.objects.filter(seq=5).delete()),
        ("I7", "The journal has 0 entries", lambda: ExecutionLog.objects.all().delete()),
    ],
)  # fmt: skip
def test_each_check_finds_what_it_is_there_for(ended, code, part, change):
    found = found_after(change)
    assert any(told == code and part in sentence for told, sentence in found), found


def test_a_run_that_no_engine_has_is_found_and_said_what_to_do(import_document, capsys):
    execution = start(StartRequest(target=import_document(document("t>a")), input={})).execution
    claim = ownership.claim(execution.id, "dead", 30)
    assert list(violations()) == []
    WorkflowExecution.objects.update(lease_until=querysets.now() - timedelta(seconds=60))
    with pytest.raises(SystemExit) as exit_:
        call_command("engine_fsck", json=True)
    assert exit_.value.code == 1
    told = jsontext.loads(capsys.readouterr().out)
    assert told["counts"] == {code: int(code == "I1") for code in CHECKS}
    (violation,) = told["violations"]
    assert violation["execution"] == str(execution.id)
    assert violation["message"].startswith("Its engine dead has not been heard of since ")
    assert violation["message"].endswith(": start a worker.")
    ownership.release(execution.id, claim.fence, "dead")
    WorkflowExecution.objects.update(lease_until=querysets.now() - timedelta(seconds=60))
    with pytest.raises(SystemExit):
        call_command("engine_fsck")
    assert "It was handed back, and nobody took it since " in capsys.readouterr().out
    querysets.fail_run(execution.id, claim.fence, {"code": "x", "message": "over", "type": "X", "node": None})
