"""The check that runs after every integration test finds what it is there to find."""

import asyncio
from datetime import timedelta

import pytest
from django.db import connection, transaction

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeExecution, WorkflowExecution, querysets
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import assert_sound, document

pytestmark = pytest.mark.django_db(transaction=True)


def found_unsound(execution, change):
    """Whether the check fails after `change`, which is then taken back."""
    with transaction.atomic():
        change()
        try:
            assert_sound(WorkflowExecution.objects.get(pk=execution.pk))
        except AssertionError:
            return True
        finally:
            transaction.set_rollback(True)
    return False


@pytest.fixture
def ended(import_document):
    result = asyncio.run(WorkflowExecutor().execute(import_document(document("t>a", "a>b")).id))
    return WorkflowExecution.objects.get(pk=result.execution_id)


def test_a_finished_run_is_sound(ended):
    assert_sound(ended)
    assert not found_unsound(ended, lambda: None)


def test_an_accepted_run_is_sound_before_it_starts(import_document):
    assert_sound(start(StartRequest(target=import_document(document("t>a")), input={})).execution)


@pytest.mark.parametrize(
    "sql",
    [
        f"UPDATE {querysets.NODES} SET status = 'running' WHERE key = 'a'",
        f"UPDATE {querysets.NODES} SET status = 'pending' WHERE key = 'a'",
        f"UPDATE {querysets.NODES} SET ended_at = NULL WHERE key = 'a'",
        f"DELETE FROM {querysets.NODES} WHERE key = 'a'",
        f"DELETE FROM {querysets.LOGS} WHERE seq = 3",
        f"DELETE FROM {querysets.LOGS} WHERE event = 'execution.completed'",
        f"UPDATE {querysets.LOGS} SET event = 'execution.failed' WHERE event = 'execution.completed'",
        f"UPDATE {querysets.LOGS} SET node = 'b' WHERE node = 'a'",
        f"UPDATE {querysets.EXECUTIONS} SET last_seq = last_seq + 1",
        f"UPDATE {querysets.EXECUTIONS} SET status = 'running', ended_at = NULL",
        f"UPDATE {querysets.EXECUTIONS} SET status = 'failed'",
    ],
)
def test_a_planted_violation_is_found(ended, sql):
    def change():
        with connection.cursor() as cursor:
            cursor.execute(sql)
            assert cursor.rowcount > 0

    assert found_unsound(ended, change)


def test_a_node_that_ended_before_it_started_is_found(ended):
    node = NodeExecution.objects.get(key="a")

    def change():
        NodeExecution.objects.filter(pk=node.pk).update(started_at=node.ended_at + timedelta(seconds=1))

    assert found_unsound(ended, change)


def test_a_second_end_of_a_node_is_found(ended):
    def change():
        WorkflowExecution.objects.update(last_seq=ended.last_seq + 1)
        last = ExecutionLog.objects.get(seq=ended.last_seq)
        ExecutionLog.objects.filter(pk=last.pk).update(seq=ended.last_seq + 1)
        again = ExecutionLog.objects.get(event="node.completed", node="a")
        again.pk, again.seq = None, ended.last_seq
        again.save(force_insert=True)

    assert found_unsound(ended, change)
