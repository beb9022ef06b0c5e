"""Who may do what: roles, tokens, tickets, and what is written down of it."""

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from executions_app.models import WorkflowExecution
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document, source_of
from workflows_app.models import ApiToken, AuditEntry, SocketTicket, Workflow, WorkflowShare
from workflows_app.models.access import Verb, can
from workflows_app.models.audit import AuditIsAppendOnly
from workflows_app.models.token import Scope
from workflows_app.services.audit import acting_from, audit
from workflows_app.services.tokens import bearer_of, create_token, issue_ticket, redeem_ticket

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = set(Verb)
RIGHTS = {
    "owner": EVERYTHING,
    "superuser": EVERYTHING,
    "viewer": {Verb.READ},
    "operator": {Verb.READ, Verb.RUN, Verb.CANCEL},
    "editor": {Verb.READ, Verb.RUN, Verb.CANCEL, Verb.EDIT},
    "stranger": set(),
    "inactive": set(),
    "anonymous": set(),
}


@pytest.fixture
def workflow(import_document):
    return import_document(document("t>a"))


@pytest.fixture
def actors(owner, workflow):
    users = get_user_model().objects
    found = {"owner": owner, "superuser": users.create_superuser("root"), "anonymous": AnonymousUser()}
    for role in ("viewer", "operator", "editor"):
        group = Group.objects.create(name=f"{role}s")
        WorkflowShare.objects.create(workflow=workflow, group=group, role=role)
        found[role] = users.create_user(role)
        found[role].groups.add(group)
    found["stranger"] = users.create_user("stranger")
    found["stranger"].groups.add(Group.objects.create(name="others"))
    found["inactive"] = users.create_superuser("gone", is_active=False)
    return found


@pytest.mark.parametrize("actor", RIGHTS)
def test_a_role_allows_what_it_says_for_a_workflow_and_its_executions(actors, workflow, actor):
    user = actors[actor]
    execution = start(StartRequest(target=workflow, input={})).execution
    for obj in (workflow, execution):
        assert {verb for verb in Verb if can(user, verb, obj)} == RIGHTS[actor]
    assert Workflow.objects.visible_to(user).exists() is (Verb.READ in RIGHTS[actor])
    assert WorkflowExecution.objects.visible_to(user).exists() is (Verb.READ in RIGHTS[actor])


def test_a_user_in_two_groups_has_the_rights_of_both_and_sees_the_workflow_once(actors, workflow):
    viewer = actors["viewer"]
    viewer.groups.add(Group.objects.get(name="editors"))
    assert can(viewer, Verb.EDIT, workflow)
    assert Workflow.objects.visible_to(viewer).count() == 1


def test_an_execution_without_a_workflow_belongs_to_who_started_it(actors, owner, workflow):
    source = source_of(document("t>a", name="from-a-file"))
    of_a_file = start(StartRequest(target=source, input={}, user=actors["viewer"])).execution
    of_a_workflow = start(StartRequest(target=workflow, input={}, user=owner)).execution
    assert list(WorkflowExecution.objects.visible_to(actors["viewer"])) == [of_a_workflow, of_a_file]
    workflow.delete()
    assert list(WorkflowExecution.objects.visible_to(actors["viewer"])) == [of_a_file]
    assert list(WorkflowExecution.objects.visible_to(owner)) == [of_a_workflow]
    assert can(owner, Verb.CANCEL, of_a_workflow)
    assert not can(actors["operator"], Verb.CANCEL, of_a_workflow)


def test_a_token_is_known_by_its_hash_alone(owner):
    text = create_token("ada", name="laptop", scopes=[Scope.RUN, Scope.READ])
    token = ApiToken.objects.get()
    assert text.startswith(f"{token.prefix}_")
    assert text not in repr(ApiToken.objects.values().get())
    bearer = bearer_of(text)
    assert (bearer.user, bearer.scopes) == (owner, {Scope.READ, Scope.RUN})
    for wrong in ("", text[:-1], f"{text} ", text.upper(), token.prefix, token.secret_hash, "\udcff"):
        assert bearer_of(wrong) is None


@pytest.mark.parametrize("fate", ["revoked", "expired", "inactive"])
def test_a_token_that_is_no_longer_good_is_none(owner, fate):
    text = create_token("ada", days=1)
    assert bearer_of(text) is not None
    now = timezone.now()
    if fate == "revoked":
        ApiToken.objects.update(revoked_at=now)
    elif fate == "expired":
        ApiToken.objects.update(expires_at=now)
    else:
        owner.is_active = False
        owner.save()
    assert bearer_of(text) is None


def test_the_use_of_a_token_is_noted_once_a_minute(owner, django_assert_num_queries):
    text = create_token("ada")
    with django_assert_num_queries(2):
        bearer_of(text)
    first = ApiToken.objects.get().last_used_at
    with django_assert_num_queries(1):
        bearer_of(text)
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=1))
    bearer_of(text)
    assert ApiToken.objects.get().last_used_at > first


def test_a_ticket_opens_one_socket_with_the_scopes_of_its_token(owner):
    bearer = bearer_of(create_token("ada", scopes=[Scope.READ]))
    ticket = issue_ticket(bearer)
    assert ticket not in repr(SocketTicket.objects.values().get())
    assert redeem_ticket(ticket) == bearer
    assert redeem_ticket(ticket) is None


def test_a_ticket_that_has_expired_opens_nothing_and_is_swept_away(owner):
    bearer = bearer_of(create_token("ada"))
    ticket = issue_ticket(bearer)
    SocketTicket.objects.update(expires_at=timezone.now())
    assert redeem_ticket(ticket) is None
    old = issue_ticket(bearer)
    SocketTicket.objects.update(expires_at=timezone.now())
    new = issue_ticket(bearer)
    assert SocketTicket.objects.count() == 1
    assert redeem_ticket(old) is None
    assert redeem_ticket(new) == bearer


def test_of_many_that_show_the_same_ticket_at_once_one_gets_in(owner):
    ticket = issue_ticket(bearer_of(create_token("ada")))
    ready, let_in = threading.Barrier(8), []

    def enter():
        ready.wait()
        try:
            let_in.append(redeem_ticket(ticket))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 8
    assert len([bearer for bearer in let_in if bearer]) == 1


def test_create_token_prints_the_token_alone(owner):
    out, err = StringIO(), StringIO()
    call_command(
        "create_token", "ada", "--name", "ci", "--days", "7", "--scopes", "read", "run", stdout=out, stderr=err
    )
    assert out.getvalue().endswith("\n")
    assert bearer_of(out.getvalue().removesuffix("\n")).scopes == {Scope.READ, Scope.RUN}
    assert "cannot be shown again" in err.getvalue()
    token = ApiToken.objects.get()
    assert token.name == "ci"
    assert timedelta(days=6) < token.expires_at - timezone.now() <= timedelta(days=7)
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.data) == ("token.created", {"of": "ada", "name": "ci", "scopes": ["read", "run"]})


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["ada", "--days", "0"], ["ada", "--days", "soon"], ["ada", "--scopes", "all"]]
)
def test_create_token_refuses_what_it_cannot_make(owner, arguments):
    with pytest.raises(CommandError) as refused:
        call_command("create_token", *arguments, stdout=StringIO(), stderr=StringIO())
    assert len(str(refused.value).splitlines()) == 1
    assert not ApiToken.objects.exists()


def test_the_audit_says_who_what_and_from_where_and_cannot_be_changed(owner, workflow):
    with acting_from("192.0.2.7"):
        audit(owner, "workflow.shared", workflow, {"groups": 2})
    audit(None, "workflow.shared", workflow)
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.object_type, entry.object_id) == ("ada", "workflow", str(workflow.pk))
    assert (entry.address, entry.data) == ("192.0.2.7", {"groups": 2})
    for attempt in (entry.save, entry.delete, AuditEntry.objects.all().delete):
        with pytest.raises(AuditIsAppendOnly):
            attempt()
    with pytest.raises(AuditIsAppendOnly):
        AuditEntry.objects.update(actor_name="eve")
    owner.delete()
    assert AuditEntry.objects.get().actor_name == "ada"
