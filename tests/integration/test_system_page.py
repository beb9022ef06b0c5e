"""The system page: who may see it, what it says, and its two checks."""

import pytest

from executions_app import system
from executions_app.models import WorkflowExecution, ownership, querysets
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from tests.integration.staff import CANCEL, LIST, RERUN, SYSTEM, VIEW, browser, staff, superuser, text_of
from workflows_app.models import AuditEntry
from workflows_app.services.audit import audit

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = f"{LIST}system/"
ERROR = {"code": "x", "message": "x", "type": "x", "node": None}


@pytest.fixture
def workflow(import_document):
    return import_document(document("t>a", name="alpha"))


@pytest.fixture
def stuck(workflow):
    """An execution whose engine has not been heard of for long; it is failed in the end."""
    execution = start(StartRequest(target=workflow, input={})).execution
    claim = ownership.claim(execution.pk, "elsewhere/1234/5", -60)
    assert claim is not None
    yield execution
    querysets.fail_run(execution.pk, claim.fence, ERROR)


def test_it_is_for_superusers_and_staff_with_its_permission(client):
    assert client.get(PAGE).status_code == 302
    assert browser(staff("eve", VIEW, CANCEL, RERUN)).get(PAGE).status_code == 403
    assert browser(staff("eve2", VIEW, CANCEL, RERUN)).post(PAGE, {"check": "audit"}).status_code == 403
    assert browser(staff("bob", SYSTEM)).get(PAGE).status_code == 200
    assert browser(superuser()).get(PAGE).status_code == 200


def test_it_tells_of_engine_database_layer_and_open_work_without_their_secrets(workflow, settings):
    start(StartRequest(target=workflow, input={}))
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"capacity": 99}}
    }
    response = browser(superuser()).get(PAGE)
    page = text_of(response)
    assert "There is none in this process" in page
    assert "It answers, and all migrations are applied." in page
    assert "InMemoryChannelLayer" in page
    assert "this process alone" in page
    assert "Pending 1" in page
    assert "Nothing is running: nobody holds a lease." in page
    for secret in (settings.SECRET_KEY, str(settings.DATABASES["default"]["NAME"])):
        assert secret not in response.content.decode()


def test_a_layer_that_does_not_answer_is_told(settings):
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": ["redis://:pw@127.0.0.1:1"]},
        }
    }
    response = browser(superuser()).get(PAGE)
    assert "It does not answer" in text_of(response)
    assert "all processes" in text_of(response)
    assert b":pw@" not in response.content


def test_leases_and_executions_without_an_engine_are_listed(stuck):
    page = text_of(browser(superuser()).get(PAGE))
    assert "1 is without an engine: start a worker." in page
    assert "elsewhere/1234/5" in page
    assert "a lease has run out" in page
    assert str(stuck.pk) in page


def test_the_executions_of_others_are_counted_and_not_named(stuck):
    client = browser(staff("bob", SYSTEM))
    assert str(stuck.pk) not in text_of(client.get(PAGE))
    answer = text_of(client.post(PAGE, {"check": "records"}))
    assert "1 record is wrong." in answer
    assert str(stuck.pk) not in answer


def test_a_check_of_the_records_says_that_they_are_sound_or_what_is_wrong(workflow, stuck):
    client = browser(superuser())
    assert "record is wrong" not in text_of(client.get(PAGE))
    answer = text_of(client.post(PAGE, {"check": "records"}))
    assert "1 record is wrong." in answer
    assert f"I1 {stuck.pk} : Its engine elsewhere/1234/5 has not been heard of" in answer


def test_sound_records_are_told(workflow):
    start(StartRequest(target=workflow, input={}))
    assert "All records are sound" in text_of(browser(superuser()).post(PAGE, {"check": "records"}))


def test_what_is_too_much_for_a_page_is_for_the_command(workflow, monkeypatch):
    monkeypatch.setattr(system, "MOST_CHECKED", 1)
    client = browser(superuser())
    start(StartRequest(target=workflow, input={}))
    assert "Check the records" in client.get(PAGE).content.decode()
    start(StartRequest(target=workflow, input={}))
    response = client.get(PAGE)
    assert "run manage.py engine_fsck" in text_of(response)
    assert "Check the records" not in response.content.decode()
    assert client.post(PAGE, {"check": "records"}).status_code == 403


def test_a_check_of_the_audit_says_that_it_is_whole_or_where_it_breaks(workflow, owner, settings):
    root = superuser()
    for number in range(3):
        audit(owner, "tried", workflow, {"number": number})
    assert "the chain is whole" in text_of(browser(root).post(PAGE, {"check": "audit"}))
    first = AuditEntry.objects.order_by("pk")[0]
    settings.SECRET_KEY = "another one"
    answer = text_of(browser(root).post(PAGE, {"check": "audit"}))
    assert f"Entry {first.pk} is not what was written there" in answer
    assert "the chain is whole" not in answer


def test_an_unknown_check_and_one_from_another_site_are_refused():
    root = superuser()
    assert browser(root).post(PAGE, {"check": "everything"}).status_code == 403
    client = browser(root)
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(root)
    assert strict.post(PAGE, {"check": "audit"}).status_code == 403
    assert not WorkflowExecution.objects.exists()
