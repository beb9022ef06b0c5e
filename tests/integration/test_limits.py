"""Limits: what is too large, too deep, too often or too much is refused, said so, and nothing is lost."""

import socket
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from executions_app.models import WorkflowExecution
from executions_app.models.ownership import claim_waiting
from executions_app.models.turns import Asked
from executions_app.services.cancel import cancel
from tests.integration.api import Program, program_of
from tests.integration.conftest import document
from workflows_app.checks import check_sizes
from workflows_app.models import AuditEntry, Workflow
from workflows_app.services import limits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(owner):
    return program_of(owner)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Half a minute is over, and no time passes but by hand."""
    found = SimpleNamespace(now=90.0)
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=lambda: found.now))
    # A cache that rests in one test does not in the next.
    monkeypatch.setattr(limits, "_rest_until", 0.0)
    return found


def refused(response, code, status=429):
    assert (response.status_code, response.data["code"]) == (status, code)
    if status == 429:
        assert response["Retry-After"] == ("10" if code == "too_many_pending" else "30")
    return response.data["detail"]


def test_a_token_that_asks_too_often_is_429_until_the_minute_is_over(settings, owner, ada, clock):
    settings.PASTETRADER = {"REQUESTS_PER_MINUTE": 3}
    assert [ada.get("/workflows").status_code for _ in range(3)] == [200] * 3
    assert "go on in 30 s" in refused(ada.post("/workflows", document("t>a")), "too_many_requests")
    refused(ada.get("/openapi.json"), "too_many_requests")
    assert not Workflow.objects.exists()
    assert program_of(owner).get("/workflows").status_code == 200
    clock.now += 30
    assert ada.post("/workflows", document("t>a")).status_code == 201


def test_sessions_of_a_user_count_together(settings, owner):
    settings.PASTETRADER = {"REQUESTS_PER_MINUTE": 3}
    clients = [Client(), Client()]
    for client in clients:
        client.force_login(owner)
    statuses = [Program(client=client).get("/workflows").status_code for client in clients for _ in range(2)]
    assert statuses == [200, 200, 200, 429]


def test_a_cache_that_does_not_answer_refuses_nobody(settings, ada, caplog):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
            "OPTIONS": {"socket_timeout": 1},
        }
    }
    assert ada.get("/workflows").status_code == 200
    assert "The cache does not answer" in caplog.text


@pytest.mark.parametrize(("rest", "waits"), [(60, 1), (0, 3)])
def test_a_cache_that_hangs_lets_nobody_wait_more_than_once_in_a_while(settings, ada, caplog, monkeypatch, rest, waits):
    monkeypatch.setattr(limits, "REST_SECONDS", rest)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{silent.getsockname()[1]}",
                "OPTIONS": {"socket_timeout": 0.4},
            }
        }
        assert ada.get("/workflows").status_code == 200
    assert caplog.text.count("The cache does not answer") == waits


def test_guessing_tokens_is_429_but_a_token_that_is_known_there_goes_on(owner, ada):
    assert ada.get("/workflows").status_code == 200
    newcomer = program_of(owner)
    statuses = [Program(f"pt_00000000_{number}").get("/workflows").status_code for number in range(25)]
    assert statuses == [401] * 20 + [429] * 5
    refused(Program("pt_00000000_x").get("/workflows"), "too_many_wrong_credentials")
    # Also the right one, once guessed, does not help.
    refused(newcomer.get("/workflows"), "too_many_wrong_credentials")
    assert ada.get("/workflows").status_code == 200
    elsewhere = newcomer.client.get("/api/v1/workflows", headers=newcomer.headers, REMOTE_ADDR="10.0.0.7")
    assert elsewhere.status_code == 200


def test_a_program_that_repeats_one_expired_token_guesses_nothing(owner, ada):
    assert {Program("pt_00000000_expired").get("/workflows").status_code for _ in range(60)} == {401}
    assert program_of(owner).get("/workflows").status_code == 200


def log_in(client, password):
    return client.post("/admin/login/", {"username": "root", "password": password})


def test_guessing_passwords_is_429_and_each_guess_is_on_record():
    get_user_model().objects.create_superuser("root", password="correct horse")
    client = Client()
    statuses = [log_in(client, f"guess {number}").status_code for number in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    response = log_in(client, "correct horse")
    assert response.status_code == 429
    assert "try again in 30 s" in response.content.decode()
    assert response["Retry-After"] == "30"
    # The control: without the limit, the same request logs in.
    cache.clear()
    assert log_in(client, "correct horse").status_code == 302
    entries = AuditEntry.objects.filter(verb="login.failed", actor_name="root", address="127.0.0.1")
    assert entries.count() == statuses.count(200)
    assert AuditEntry.objects.filter(verb="login").count() == 1


def test_a_password_in_the_field_of_the_name_is_not_kept():
    _ = Client().post("/admin/login/", {"username": "correct horse", "password": "x"})
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.actor_name, entry.data) == ("login.failed", "", {})


def test_a_workflow_has_so_many_nodes_and_edges_and_no_more(settings, ada):
    settings.PASTETRADER = {"MAX_NODES": 3, "MAX_EDGES": 2}
    assert ada.post("/workflows", document("t>a", "t>b", name="fits")).status_code == 201
    detail = refused(ada.post("/workflows", document("t>a", "t>b", "t>c", name="wide")), "invalid_definition", 422)
    assert "at most 3 nodes" in detail
    detail = refused(ada.post("/workflows", document("t>a", "t>b", "a>b", name="dense")), "invalid_definition", 422)
    assert "at most 2 edges" in detail
    address = f"/workflows/{Workflow.objects.get().pk}"
    node = {"key": "c", "type": "tool", "tool": "core.set", "inputs": {}}
    assert "at most 3 nodes" in refused(ada.post(f"{address}/nodes", node, If_Match=1), "invalid_definition", 422)
    edge = {"from": "a", "to": "b"}
    assert "at most 2 edges" in refused(ada.post(f"{address}/edges", edge, If_Match=1), "invalid_definition", 422)
    assert ada.get(address).data["version"] == 1


def test_bodies_are_as_long_and_as_deep_as_the_settings_say(settings, ada):
    settings.PASTETRADER = {"MAX_BODY_BYTES": 1000, "MAX_DOCUMENT_BYTES": 2000, "MAX_JSON_DEPTH": 12}
    workflow = ada.post("/workflows", document("t>a", description="x" * 1200)).data["id"]
    address = f"/workflows/{workflow}"
    assert "1000 bytes" in refused(ada.patch(address, {"description": "x" * 1000}, If_Match=1), "body_too_large", 413)
    assert "2000 bytes" in refused(ada.post("/workflows", text=" " * 2001), "body_too_large", 413)
    deep = {"input": {}}
    for _ in range(12):
        deep = {"input": deep}
    assert "12 levels" in refused(ada.post(f"{address}/execute", deep), "invalid_request", 422)
    assert "12 levels" in refused(ada.post("/workflows", document("t>a", variables=deep)), "invalid_request", 422)
    assert ada.post(f"{address}/execute", {"input": deep["input"]["input"]["input"]}).status_code == 202
    cancel_all()


def test_settings_that_contradict_each_other_are_found(settings):
    settings.PASTETRADER = {"MAX_DOCUMENT_BYTES": 17 * 1024**2, "MAX_JSON_DEPTH": 201}
    assert [found.id for found in check_sizes(None)] == ["pastetrader.W001", "pastetrader.E006"]
    settings.PASTETRADER = {"MAX_NODES": 0}
    assert [found.id for found in check_sizes(None)] == ["pastetrader.E002"]
    settings.PASTETRADER = {}
    assert check_sizes(None) == []
    call_command("check", deploy=False)


def cancel_all():
    for execution in WorkflowExecution.objects.filter(status__in=["pending", "running"]):
        _ = cancel(execution.pk)


def test_a_user_whose_queue_is_full_is_429_and_others_are_not(settings, ada, import_document):
    settings.PASTETRADER = {"MAX_PENDING_EXECUTIONS": 2}
    address = f"/workflows/{import_document(document('t>a')).pk}/execute"
    bob = program_of(get_user_model().objects.create_superuser("bob"))
    first = ada.post(address, {"input": {}}, Idempotency_Key="k")
    assert [first.status_code, ada.post(address, {}).status_code] == [202, 202]
    assert "2 executions of yours wait" in refused(ada.post(address, {}), "too_many_pending")
    assert WorkflowExecution.objects.count() == 2
    # What was accepted before is found again.
    assert ada.post(address, {"input": {}}, Idempotency_Key="k").data["id"] == first.data["id"]
    assert bob.post(address, {}).status_code == 202
    _ = ada.post(f"/executions/{first.data['id']}/cancel")
    assert ada.post(address, {}).status_code == 202
    refused(ada.post(f"/executions/{first.data['id']}/rerun", {}), "too_many_pending")
    cancel_all()


def test_while_one_user_floods_the_queue_another_one_has_turns(ada, import_document):
    address = f"/workflows/{import_document(document('t>a')).pk}/execute"
    bob = program_of(get_user_model().objects.create_superuser("bob"))
    flood = [ada.post(address, {}).data["id"] for _ in range(8)]
    late = [bob.post(address, {}).data["id"] for _ in range(2)]
    order = [
        str(claim.execution_id) for _ in range(5) for claim in sorted(claim_waiting(Asked(2), "test", 30), key=by_age)
    ]
    assert order[:4] == [flood[0], late[0], flood[1], late[1]]
    assert order[4:] == flood[2:]
    _ = WorkflowExecution.objects.all().delete()


def by_age(claim):
    return claim.execution_id
