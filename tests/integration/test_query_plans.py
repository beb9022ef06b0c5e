"""With 100 000 executions on record nothing reads them all that need not: the databases say how they would read."""

import uuid

import pytest
from django.core.management import call_command
from django.db import connection

from executions_app import workflow_runs
from executions_app.dispatch import worker
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution, ownership
from executions_app.models.querysets import EXECUTIONS
from executions_app.models.turns import Asked
from executions_app.services.health import backlog
from tests.integration.api import program_of
from tests.integration.history import make_history
from tests.integration.plans import Read, reads, statements
from workflows_app.models import Workflow

# An index of these has but a few of the executions.
PARTIAL = {index.name for index in WorkflowExecution._meta.indexes if index.condition is not None}
RECORD = {model._meta.db_table for model in (WorkflowExecution, NodeExecution, NodeAttempt, ExecutionLog)}
# The newest executions of all, one after the other, as many as a page needs.
IN_ORDER = Read(EXECUTIONS, "execution_newest", is_search=False)


pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _recorder_is_stopped():
    """In place of the check that every execution is sound: these were never run."""


@pytest.fixture(scope="module")
def history(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        try:
            yield make_history()
        finally:
            call_command("flush", interactive=False, verbosity=0)


# PostgreSQL counts its rows by itself; SQLite knows nothing about them unless somebody has it count.
@pytest.fixture(
    scope="module", params=["statistics", "no statistics"] if connection.vendor == "sqlite" else ["statistics"]
)
def counted(request, history):
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if request.param == "no statistics":
            cursor.execute("DELETE FROM sqlite_stat1")
            # Has it read them again.
            cursor.execute("ANALYZE sqlite_schema")
    return history


@pytest.fixture
def asked(counted):
    """Has somebody ask the API something; what was sent to the database."""

    def ask(who, path, method="GET", **options):
        program = program_of(getattr(counted, who))
        with statements() as sent:
            response = program.send(method, path.format(history=counted), **options)
        assert response.status_code in (200, 202)
        return sent

    return ask


def whole(sent):
    """What is read from one end to the other, of an execution's tables."""
    return [read for read in reads(sent) if read.table in RECORD and not read.is_search and read.index not in PARTIAL]


def used(sent):
    return {read.index for read in reads(sent) if read.table == EXECUTIONS}


FILTERS = {
    "/executions?status=pending": "execution_pending",
    "/executions?status=running": "execution_running",
    "/executions?status=failed": "execution_failed",
    "/executions?status=cancelled": "execution_cancelled",
    "/executions?workflow={history.workflow.pk}": "execution_of_workflow",
    "/executions?workflow=w0": "execution_of_version",
    "/executions?workflow=unheard-of": "execution_of_version",
    "/executions?since=2026-01-04T00:00:00Z&until=2026-01-04T01:00:00Z": "execution_newest",
}


@pytest.mark.parametrize("path", FILTERS)
def test_a_filter_is_served_by_an_index(asked, path):
    sent = asked("root", path)
    assert whole(sent) == []
    assert FILTERS[path] in used(sent)


@pytest.mark.parametrize(
    "path",
    [
        "/executions",
        "/executions?status=completed",
        "/executions?status=failed&status=completed",
        "/executions?trigger_type=webhook",
        "/executions?label=rare",
    ],
)
def test_who_sees_everything_reads_from_the_newest_on_until_the_page_is_full(asked, path):
    assert whole(asked("root", path)) == [IN_ORDER]


@pytest.mark.parametrize("who", ["ada", "bob", "cyd"])
@pytest.mark.parametrize(
    "path",
    [*FILTERS, "/executions", "/executions?status=completed", "/executions?trigger_type=x", "/executions?label=x"],
)
def test_who_sees_some_workflows_reads_no_others(asked, who, path):
    if who == "ada" or "history.workflow" not in path:
        assert whole(asked(who, path)) == []


def test_the_page_of_a_user_comes_from_the_part_of_each_workflow(asked):
    assert used(asked("bob", "/executions")) >= {"execution_of_workflow", "execution_of_user"}
    assert "execution_newest" not in used(asked("bob", "/executions"))


@pytest.mark.parametrize(
    "path",
    [
        "/workflows/{history.workflow.pk}/executions",
        "/workflows/{history.workflow.pk}/executions?status=completed",
        "/workflows/{history.workflow.pk}/executions?trigger_type=webhook",
        "/workflows/{history.workflow.pk}/executions?label=rare",
        "/executions/{history.large}",
        "/executions/{history.large}/nodes",
        "/executions/{history.large}/nodes?status=failed",
        "/executions/{history.large}/nodes/n5",
        "/executions/{history.large}/logs?level=warning&node=n3&after=7",
        "/executions/{history.large}/events?after=7",
    ],
)
@pytest.mark.parametrize("who", ["root", "bob"])
def test_what_belongs_to_one_workflow_or_execution_is_searched_for(asked, who, path):
    assert whole(asked(who, path)) == []


def test_statistics_read_the_executions_of_their_workflow_and_no_others(asked):
    sent = asked("bob", "/workflows/{history.workflow.pk}/statistics")
    assert [read for read in whole(sent) if read.table == EXECUTIONS] == []
    assert "execution_of_workflow" in used(sent)
    # The database counts: rows come back for the percentiles alone.
    assert len(sent) == 9


def test_a_start_looks_up_its_key_and_no_executions(asked):
    sent = asked("ada", "/workflows/{history.workflow.pk}/execute", "POST", body={}, Idempotency_Key="k")
    assert whole(sent) == []
    looked_up = [statement for statement in sent if '."idempotency_hash" =' in statement.sql]
    assert looked_up
    assert {(read.table, read.is_search) for read in reads(looked_up)} == {(EXECUTIONS, True)}


def test_what_the_pages_of_workflows_tell_of_runs_comes_from_the_index_of_each(counted):
    with statements() as sent:
        found = workflow_runs.newest_runs(Workflow.objects.order_by("name").values_list("pk", flat=True)[:50], 10)
        median = workflow_runs.median_ms(counted.workflow)
        rows = workflow_runs.run_rows(counted.workflow, 20, median)
        given = workflow_runs.last_given(counted.ada, counted.workflow)
    assert {len(runs) for runs in found.values()} == {10}
    assert (len(rows), given is not None) == (20, True)
    assert whole(sent) == []
    assert {"execution_of_workflow", "execution_of_user"} <= used(sent)


WORK = {
    "claim": lambda: ownership.claim_waiting(Asked(3), "engine", 30),
    "scan": lambda: worker.abandoned(3),
    "scan with a dead engine": lambda: ownership.abandoned(["engine"], 3),
    "metrics": backlog,
    "heartbeat": lambda: ownership.renew([uuid.UUID(int=number) for number in range(5)], "engine", 30),
}


@pytest.mark.parametrize("work", WORK)
def test_engines_look_at_what_is_pending_or_running_alone(counted, work):
    with statements() as sent:
        WORK[work]()
    assert sent
    assert whole(sent) == []


def test_a_statement_that_reads_everything_is_found(counted):
    """The control: what is asserted above fails for queries that no index serves."""
    for rows in (
        WorkflowExecution.objects.filter(reason="none"),
        WorkflowExecution.objects.filter(reason="none").order_by("created_at")[:3],
        NodeExecution.objects.filter(key="n1"),
    ):
        with statements() as sent:
            assert list(rows) is not None
        assert rows.model._meta.db_table in {read.table for read in whole(sent)}


@pytest.mark.parametrize("who", ["root", "ada", "bob", "cyd"])
@pytest.mark.parametrize("query", ["", "&status=failed", "&status=running", "&workflow=w5", "&trigger_type=webhook"])
def test_a_list_has_page_by_page_what_its_user_may_see(counted, who, query):
    """Also of a workflow that was deleted, and of documents that never were a workflow, where the user started them."""
    program = program_of(getattr(counted, who))
    path, seen = f"/executions?limit=150&since={counted.since}{query}", []
    while path:
        data = program.get(path).data
        seen += [item["id"] for item in data["items"]]
        path = data["next"] and f"/executions?limit=150&since={counted.since}{query}&cursor={data['next']}"
    wanted = [name.split("=") for name in query.split("&") if name]
    columns = {"workflow": "version__name"}
    expected = WorkflowExecution.objects.filter(
        pk__in=WorkflowExecution.objects.visible_to(getattr(counted, who)),
        created_at__gte=counted.since,
        **{columns.get(name, name): value for name, value in wanted},
    )
    assert seen == [str(id_) for id_ in expected.order_by("-created_at", "-id").values_list("id", flat=True)]


@pytest.mark.parametrize(
    ("who", "few", "many"),
    [
        ("root", "/executions?limit=2", "/executions?limit=200"),
        ("ada", "/executions?limit=2", "/executions?limit=200"),
        ("ada", "/executions/{history.small}", "/executions/{history.large}"),
        ("ada", "/executions/{history.small}/nodes", "/executions/{history.large}/nodes?limit=200"),
        ("ada", "/executions/{history.small}/logs", "/executions/{history.large}/logs?limit=200"),
    ],
)
def test_more_rows_are_no_more_queries(asked, who, few, many):
    assert len(asked(who, few)) == len(asked(who, many)) <= 6


def test_more_workflows_are_no_more_queries(asked):
    assert len(asked("bob", "/executions")) == len(asked("ada", "/executions"))
