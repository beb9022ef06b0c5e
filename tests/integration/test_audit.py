"""The audit: who did what, in a chain that shows whatever was changed in it."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client

from executions_app.services.start import StartRequest, start
from tests.databases import ON_POSTGRESQL
from tests.integration.api import Program, program_of
from tests.integration.conftest import document
from workflows_app.models import ApiToken, AuditEntry, Workflow
from workflows_app.models.audit import AuditIsAppendOnly
from workflows_app.services.audit import verify

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root():
    return get_user_model().objects.create_superuser("root", password="correct horse")


@pytest.fixture
def pages(root):
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def deeds(owner):
    """Five entries: a token, and a workflow made and changed."""
    program = program_of(owner)
    workflow = program.post("/workflows", document("t>a")).data["id"]
    for version in (1, 2, 3):
        _ = program.patch(f"/workflows/{workflow}", {"description": f"{version}"}, If_Match=version)
    return program


def raw(statement):
    """Past the models, and on PostgreSQL past the trigger, as somebody could who owns the database."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE workflows_app_auditentry DISABLE TRIGGER audit_is_append_only")
        cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE workflows_app_auditentry ENABLE TRIGGER audit_is_append_only")


def test_the_whole_life_of_a_workflow_is_on_record(owner):
    ada, eve = program_of(owner), program_of(get_user_model().objects.create_user("eve"))
    workflow = ada.post("/workflows", document("t>a")).data["id"]
    run = ada.post(f"/workflows/{workflow}/execute", {}).data["id"]
    assert ada.post(f"/executions/{run}/cancel").status_code == 202
    assert ada.post(f"/executions/{run}/rerun", {}).status_code == 202
    assert eve.get(f"/workflows/{workflow}").status_code == eve.get(f"/executions/{run}").status_code == 404
    assert ada.put(f"/workflows/{workflow}/shares", [], If_Match=1).status_code == 200
    assert ada.delete(f"/workflows/{workflow}", If_Match=1).status_code == 204
    entries = AuditEntry.objects.order_by("id")
    assert [(entry.actor_name, entry.verb, entry.object_type) for entry in entries] == [
        ("ada", "token.created", "apitoken"),
        ("eve", "token.created", "apitoken"),
        ("ada", "workflow.created", "workflow"),
        ("ada", "execution.started", "workflowexecution"),
        ("ada", "execution.cancel_requested", "workflowexecution"),
        ("ada", "execution.rerun", "workflowexecution"),
        ("eve", "refused", "workflow"),
        ("eve", "refused", "workflowexecution"),
        ("ada", "workflow.shared", "workflow"),
        ("ada", "workflow.deleted", "workflow"),
    ]
    assert {entry.address for entry in entries if not entry.verb.startswith("token")} == {"127.0.0.1"}


def test_a_refusal_is_noted_once_a_minute_and_a_wrong_id_not_at_all(owner, import_document):
    eve = program_of(get_user_model().objects.create_user("eve"))
    workflow = import_document(document("t>a"))
    for _ in range(3):
        assert eve.get(f"/workflows/{workflow.pk}").status_code == 404
        assert eve.get(f"/workflows/{owner.pk}").status_code == 404
        assert eve.get("/workflows/01a20ce5-9a59-75c2-9edc-8f7c4b558760").status_code == 404
    assert AuditEntry.objects.filter(verb="refused").count() == 1


def test_the_chain_is_whole_and_tells_its_last_seal(deeds, capsys):
    call_command("audit_verify")
    seal = AuditEntry.objects.latest("id").seal
    assert capsys.readouterr().out == f"5 entries; the chain is whole. Last seal: {seal}\n"
    call_command("audit_verify", "--contains", seal)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE workflows_app_auditentry SET actor_name = 'eve' WHERE id = {second}",
        "UPDATE workflows_app_auditentry SET data = '[]' WHERE id = {second}",
        "UPDATE workflows_app_auditentry SET at = (SELECT MIN(at) FROM workflows_app_auditentry) WHERE id = {second}",
        "DELETE FROM workflows_app_auditentry WHERE id = {second}",
        "UPDATE workflows_app_auditentry SET seal = '' WHERE id = {second}",
    ],
)
def test_what_was_changed_in_the_database_is_found(deeds, tampering):
    second = AuditEntry.objects.order_by("id")[1].pk
    raw(tampering.format(second=second))
    found = verify()
    assert found.broken is not None
    assert found.broken.pk in (second, second + 1)
    with pytest.raises(CommandError, match="is not what was written there"):
        call_command("audit_verify")


def test_an_entry_of_somebody_without_the_key_is_found(deeds, settings):
    settings.SECRET_KEY = "guessed"
    assert program_of(get_user_model().objects.get()).get("/workflows").status_code == 200
    settings.SECRET_KEY = "no secret: signs nothing outside the test suite"
    assert verify().broken == AuditEntry.objects.latest("id")


def test_after_a_change_of_the_key_the_old_one_is_still_good(deeds, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert verify().broken is None
    settings.SECRET_KEY_FALLBACKS = []
    assert verify().broken is not None


def test_entries_taken_from_the_end_are_told_by_a_seal_that_was_kept(deeds):
    last = AuditEntry.objects.latest("id")
    raw(f"DELETE FROM workflows_app_auditentry WHERE id = {last.pk}")
    assert verify().broken is None
    with pytest.raises(CommandError, match="those up to it were taken away"):
        call_command("audit_verify", "--contains", last.seal)


def test_entries_that_are_older_than_seals_are_counted(deeds, capsys):
    first, second = AuditEntry.objects.order_by("id")[:2]
    raw(f"UPDATE workflows_app_auditentry SET seal = '{second.sealed('')}' WHERE id = {second.pk}")
    raw(f"DELETE FROM workflows_app_auditentry WHERE id > {second.pk}")
    raw(f"UPDATE workflows_app_auditentry SET seal = '' WHERE id = {first.pk}")
    call_command("audit_verify")
    assert "2 entries, 1 of them older than seals" in capsys.readouterr().out


def test_no_code_changes_an_entry(deeds):
    entry = AuditEntry.objects.latest("id")
    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(data={}),
    ):
        with pytest.raises(AuditIsAppendOnly):
            attempt()


if ON_POSTGRESQL:

    @pytest.mark.parametrize("statement", ["UPDATE {} SET verb = ''", "DELETE FROM {}"])
    def test_no_statement_changes_an_entry(deeds, statement):
        with pytest.raises(DatabaseError, match="never changed or deleted"), connection.cursor() as cursor:
            cursor.execute(statement.format("workflows_app_auditentry"))


def test_entries_of_many_at_once_make_one_chain(owner, import_document):
    workflow = import_document(document("t>a"))
    for number in range(3):
        _ = start(StartRequest(target=workflow, input={"n": number}, user=owner))
    assert verify().broken is None
    assert AuditEntry.objects.filter(verb="execution.started").count() == 3


def test_the_admin_shows_the_audit_and_changes_nothing(deeds, pages, root):
    page = pages.get("/admin/workflows_app/auditentry/?q=ada")
    assert page.status_code == 200
    assert "workflow.changed" in page.content.decode()
    entry = AuditEntry.objects.first()
    address = f"/admin/workflows_app/auditentry/{entry.pk}/change/"
    assert pages.get(address).status_code == 200
    for forbidden in (address, "/admin/workflows_app/auditentry/add/", address.replace("change", "delete")):
        assert pages.post(forbidden, {"verb": "nothing"}).status_code == 403
    staff = get_user_model().objects.create_user("staff", is_staff=True)
    other = Client()
    other.force_login(staff)
    assert other.get("/admin/workflows_app/auditentry/").status_code == 403


def make_token(client, of, **more):
    fields = {"user": of.pk, "name": "ci", "scopes": ["read"], "days": "7", **more}
    return client.post("/admin/workflows_app/apitoken/add/", fields, follow=True)


def test_a_token_is_made_and_revoked_in_the_admin(pages, owner):
    assert pages.get("/admin/workflows_app/apitoken/add/").status_code == 200
    page = make_token(pages, owner).content.decode()
    text = re.search(r"pt_[0-9a-f]{8}_[\w-]+", page)
    assert text is not None
    program = Program(text[0])
    assert program.get("/workflows").status_code == 200
    assert program.post("/workflows", document("t>a")).status_code == 403
    token = ApiToken.objects.get()
    assert (token.user, token.name, token.scopes) == (owner, "ci", ["read"])
    assert (token.expires_at - token.created_at).days in (6, 7)
    listed = pages.get("/admin/workflows_app/apitoken/").content.decode()
    assert token.prefix in listed
    assert text[0] not in listed
    assert token.secret_hash not in pages.get(f"/admin/workflows_app/apitoken/{token.pk}/change/").content.decode()
    chosen = {"action": "revoke_selected", "_selected_action": [token.pk]}
    assert (
        "1 of 1 token is revoked" in pages.post("/admin/workflows_app/apitoken/", chosen, follow=True).content.decode()
    )
    assert program.get("/workflows").status_code == 401
    entries = AuditEntry.objects.filter(object_type="apitoken").values_list("actor_name", "verb", "address")
    assert list(entries) == [("root", "token.revoked", "127.0.0.1"), ("root", "token.created", "127.0.0.1")]


def test_a_wrong_form_makes_no_token(pages, owner):
    for wrong in ({"scopes": []}, {"scopes": ["admin"]}, {"days": "0"}, {"user": "0"}):
        assert make_token(pages, owner, **wrong).status_code == 200
    assert not ApiToken.objects.exists()


def test_staff_make_tokens_for_themselves_alone(root):
    staff = get_user_model().objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__model="apitoken"))
    client = Client()
    client.force_login(staff)
    _ = make_token(client, root)
    assert not ApiToken.objects.exists()
    _ = make_token(client, staff)
    assert ApiToken.objects.get().user == staff
    _ = program_of(root)
    listed = client.get("/admin/workflows_app/apitoken/").content.decode()
    assert len(set(re.findall("pt_[0-9a-f]{8}", listed))) == 1
    assert client.get(f"/admin/workflows_app/apitoken/{ApiToken.objects.get(user=root).pk}/change/").status_code == 302
    assert not Workflow.objects.exists()
