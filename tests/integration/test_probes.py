"""`/livez`, `/readyz` and `/metrics`: what watches a process learns how it is, and no names."""

import asyncio

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from executions_app.dispatch import inline
from executions_app.dispatch.worker import Worker
from executions_app.executor import WorkflowExecutor
from executions_app.models import WorkflowExecution, querysets
from executions_app.services import health
from executions_app.services.start import StartRequest, start
from executions_app.services.work import work_in_background
from tests.eventually import eventually
from tests.integration.api import program_of
from tests.integration.conftest import document

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def program():
    return Client()


@pytest.fixture
def _schema_was_never_looked_at(monkeypatch):
    monkeypatch.setattr(health, "_SCHEMA_IS_READY", set())


def refuse(*_):
    raise OperationalError("could not connect to db7.internal.example.com as trader")


def failing(response):
    assert response.status_code == 503
    assert response["Cache-Control"] == "no-store"
    assert response.json().keys() == {"status", "failing"}
    return response.json()["failing"]


def test_a_process_that_works_is_alive_and_ready(program):
    for _ in range(2):
        for address in ("/livez", "/readyz"):
            response = program.get(address)
            assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert program.head("/readyz").status_code == 200
    assert program.post("/livez").status_code == 405


@pytest.mark.usefixtures("_schema_was_never_looked_at")
def test_a_database_without_its_tables_is_not_ready(program):
    applied = MigrationRecorder.Migration.objects.filter(app="executions_app").latest("id")
    name = applied.name
    applied.delete()
    try:
        assert failing(program.get("/readyz")) == {"database": "Migrations are not applied: run `manage.py migrate`."}
    finally:
        MigrationRecorder(connection).record_applied("executions_app", name)
    assert program.get("/readyz").status_code == 200


def test_a_database_that_does_not_answer_is_not_ready_and_its_name_is_not_told(program):
    assert program.get("/readyz").status_code == 200
    with connection.execute_wrapper(refuse):
        assert failing(program.get("/readyz")) == {"database": "It does not answer."}
        # A new process would not help.
        assert program.get("/livez").status_code == 200
    assert program.get("/readyz").status_code == 200


def test_a_channel_layer_that_does_not_answer_is_not_ready(program, settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
        }
    }
    assert failing(program.get("/readyz")) == {"channel_layer": "It does not answer."}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_whose_engine_has_died_is_neither_alive_nor_ready(program, settings, monkeypatch):
    settings.PASTETRADER = {}

    async def die(_self):
        raise SystemExit

    monkeypatch.setattr(Worker, "serve", die)
    try:
        work_in_background()
        eventually(lambda: program.get("/livez").status_code == 503)
        assert failing(program.get("/livez")) == failing(program.get("/readyz"))
        assert "start the process again" in failing(program.get("/livez"))["engine"]
    finally:
        inline.stop_engine()
    assert program.get("/livez").status_code == 200


def test_a_process_with_an_engine_that_works_is_alive(program, settings):
    settings.PASTETRADER = {}
    try:
        work_in_background()
        assert program.get("/livez").status_code == program.get("/readyz").status_code == 200
    finally:
        inline.stop_engine()


def samples(response):
    assert response.status_code == 200
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def gained(before, after, *name):
    return after[name] - before.get(name, 0)


def test_metrics_count_what_happened(program, import_document, owner):
    before = samples(program.get("/metrics"))
    flaky = {"tool": "core.fail", "inputs": {"times": 1, "message": "no"}, "retry": {"max_retries": 1, "delay": 0}}
    workflow = import_document(document("t>a", "a>b", a=flaky, name="secret-strategy"))
    assert asyncio.run(WorkflowExecutor().execute(workflow.id)).status == "completed"
    ada = program_of(owner)
    assert ada.get(f"/workflows/{workflow.pk}").status_code == 200
    assert ada.send("BREW", "/workflows").status_code == 405
    after = samples(program.get("/metrics"))
    assert gained(before, after, "pastetrader_executions_ended_total", "completed") == 1
    # Labels stand in the order of their names: status, then type.
    assert gained(before, after, "pastetrader_node_seconds_count", "completed", "tool") == 2
    assert gained(before, after, "pastetrader_node_seconds_bucket", "300.0", "completed", "tool") == 2
    assert gained(before, after, "pastetrader_node_seconds_bucket", "+Inf", "completed", "trigger") == 1
    assert gained(before, after, "pastetrader_recorder_batch_seconds_count") >= 2
    assert gained(before, after, "pastetrader_recorder_batch_events_sum") >= 9
    assert gained(before, after, "pastetrader_http_request_seconds_count", "GET", "get_workflow", "200") == 1
    assert gained(before, after, "pastetrader_http_request_seconds_count", "other", "list_workflows", "405") == 1
    assert after["pastetrader_database_up",] == 1
    assert after["pastetrader_executions_under_way",] == 0
    assert "process_cpu_seconds_total" in {name[0] for name in after}


def test_metrics_tell_what_waits_and_what_is_stuck(program, import_document):
    workflow = import_document(document("t>a"))
    ids = [start(StartRequest(target=workflow, input={})).execution.pk for _ in range(3)]
    WorkflowExecution.objects.filter(pk=ids[0]).update(
        status="running", claimed_by="gone", lease_until=querysets.now().replace(year=2020)
    )
    found = samples(program.get("/metrics"))
    assert (found["pastetrader_queue_depth",], found["pastetrader_executions_stuck",]) == (2, 1)
    assert (found["pastetrader_executions", "pending"], found["pastetrader_executions", "running"]) == (2, 1)
    assert found["pastetrader_queue_oldest_seconds",] >= 0
    _ = WorkflowExecution.objects.all().delete()
    assert samples(program.get("/metrics"))["pastetrader_queue_depth",] == 0


def test_metrics_hold_no_names(program, import_document, owner):
    workflow = import_document(document("t>a", name="secret-strategy"))
    assert asyncio.run(WorkflowExecutor().execute(workflow.id)).status == "completed"
    _ = program_of(owner).get(f"/workflows/{workflow.pk}")
    text = program.get("/metrics").content.decode()
    assert "pastetrader_node_seconds_count" in text
    for name in ("secret", '"ada"', "core.set", str(workflow.pk)):
        assert name not in text


def test_metrics_go_on_without_the_database(program):
    with connection.execute_wrapper(refuse):
        response = program.get("/metrics")
    found = samples(response)
    assert found["pastetrader_database_up",] == 0
    assert ("pastetrader_queue_depth",) not in found
    assert "db7" not in response.content.decode()


def test_metrics_are_open_metrics_for_who_asks_for_them(program):
    response = program.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert "pastetrader_executions" in {family.name for family in read_openmetrics(response.content.decode())}


def test_a_token_closes_the_metrics(program, settings):
    settings.PASTETRADER = {"METRICS_TOKEN": "swordfish"}
    cache.clear()
    for header in ({}, {"Authorization": "Bearer swordfis"}, {"Authorization": "swordfish"}):
        response = program.get("/metrics", headers=header)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
        assert "pastetrader_" not in response.content.decode()
    assert program.get("/metrics", headers={"Authorization": "Bearer swordfish"}).status_code == 200
