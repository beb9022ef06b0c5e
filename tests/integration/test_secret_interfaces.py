"""Secrets in the admin, the API and commands: a value goes in and never comes out."""

import io

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from tests.integration.admin import browser_of, text_of, told
from tests.integration.api import program_of
from workflows_app.models import AuditEntry, Credential
from workflows_app.services.secrets import NewSecret, create_secret, resolver_for

pytestmark = pytest.mark.django_db
PAGES = "/admin/workflows_app/credential/"
PERMISSIONS = ("add_credential", "change_credential", "delete_credential", "view_credential")
VALUE = "S3CR3T-of-the-broker"


@pytest.fixture
def ada(owner):
    return browser_of(owner, PERMISSIONS)


def kept(owner, name="broker", value=VALUE):
    return create_secret(NewSecret(name=name, value=value), owner, owner)


def read(owner, name="broker"):
    return resolver_for(owner.pk)([name])[name]


def fields(owner, **changed):
    return {"owner": owner.pk, "name": "broker", "description": "to trade", "value": VALUE, **changed}


def test_a_secret_is_set_in_the_admin_and_never_shown_again(owner, ada):
    response = ada.post(f"{PAGES}add/", fields(owner), follow=True)
    assert response.redirect_chain
    assert read(owner) == VALUE
    credential = Credential.objects.get()
    for page in (PAGES, f"{PAGES}{credential.pk}/change/", f"{PAGES}{credential.pk}/history/"):
        text = text_of(ada.get(page))
        assert "broker" in text
        assert VALUE not in text
        assert credential.ciphertext not in text
    entry = AuditEntry.objects.get(verb="secret.set")
    assert (entry.actor_name, entry.address) == ("ada", "127.0.0.1")
    assert not LogEntry.objects.exists()


def test_the_field_of_the_value_is_for_a_new_password(owner, ada):
    text = text_of(ada.get(f"{PAGES}add/"))
    field = next(line for line in text.split("<") if line.startswith("input") and 'name="value"' in line)
    assert 'type="password"' in field
    assert 'autocomplete="new-password"' in field


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"value": "S3CR3T"}, "The value has fewer than 8 characters"),
        ({"name": "a-b"}, "The name of a secret has up to 100 letters"),
        ({"value": ""}, "This field is required"),
        ({"name": "taken"}, "already exists"),
    ],
)
def test_a_form_that_is_refused_says_why_and_not_what_was_typed(owner, ada, changed, sentence):
    kept(owner, "taken", "of-another-one")
    text = text_of(ada.post(f"{PAGES}add/", fields(owner, **changed)))
    assert sentence in text
    assert "S3CR3T" not in text
    assert Credential.objects.count() == 1


def test_another_value_replaces_the_first_and_none_leaves_it(owner, ada):
    credential = kept(owner)
    page = f"{PAGES}{credential.pk}/change/"
    _ = ada.post(page, {"description": "for good", "value": ""})
    assert (read(owner), Credential.objects.get().description) == (VALUE, "for good")
    response = ada.post(page, {"description": "for good", "value": "another-value"}, follow=True)
    assert "another-value" not in text_of(response) + repr(told(response))
    assert read(owner) == "another-value"
    # Neither name nor owner is taken from a form.
    grace = get_user_model().objects.create_user("grace")
    _ = ada.post(page, {"description": "", "value": "", "name": "other", "owner": grace.pk})
    assert read(owner) == "another-value"


def test_secrets_are_deleted_one_by_one_and_several_at_once(owner, ada):
    one, two, three = (kept(owner, name) for name in ("one", "two", "three"))
    _ = ada.post(f"{PAGES}{one.pk}/delete/", {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(two.pk), str(three.pk)], "post": "yes"}
    _ = ada.post(PAGES, chosen)
    assert not Credential.objects.exists()
    deeds = AuditEntry.objects.filter(verb="secret.deleted").values_list("data", "address")
    assert sorted((data["name"], address) for data, address in deeds) == [
        ("one", "127.0.0.1"),
        ("three", "127.0.0.1"),
        ("two", "127.0.0.1"),
    ]


def test_staff_see_their_own_secrets_and_superusers_all(owner, ada):
    mine = kept(owner)
    grace = get_user_model().objects.create_user("grace")
    hers = browser_of(grace, PERMISSIONS)
    assert "broker" not in text_of(hers.get(PAGES))
    assert hers.get(f"{PAGES}{mine.pk}/change/").status_code == 302
    _ = hers.post(f"{PAGES}{mine.pk}/delete/", {"post": "yes"})
    _ = hers.post(f"{PAGES}add/", fields(owner, name="for_ada"))
    assert list(Credential.objects.values_list("name", flat=True)) == ["broker"]
    root = browser_of(get_user_model().objects.create_superuser("root"))
    assert "broker" in text_of(root.get(PAGES))
    looking = browser_of(owner, ["view_credential"])
    assert 'name="value"' not in text_of(looking.get(f"{PAGES}{mine.pk}/change/"))
    assert browser_of(owner, []).get(PAGES).status_code == 403


def test_the_api_takes_values_and_gives_none(owner):
    program = program_of(owner)
    made = program.post("/credentials", {"name": "broker", "value": VALUE, "description": "to trade"})
    assert (made.status_code, made.data["name"], made.data["owner"]) == (201, "broker", "ada")
    replaced = program.put("/credentials/broker", {"value": "another-value"})
    assert (replaced.status_code, replaced.data["description"]) == (200, "to trade")
    assert read(owner) == "another-value"
    listed = program.get("/credentials")
    assert listed.data["items"][0].keys() == {
        "name", "owner", "description", "created_at", "updated_at", "last_used_at",
    }  # fmt: skip
    for answer in (made, replaced, listed):
        assert VALUE not in answer.content.decode()
        assert "another-value" not in answer.content.decode()
    assert program.delete("/credentials/broker").status_code == 204
    assert program.get("/credentials").data == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "broker", "value": "S3CR3T"}, 422, "invalid_secret"),
        ({"name": "a-b", "value": "S3CR3T-S3CR3T"}, 422, "invalid_secret"),
        ({"name": "broker", "value": ["S3CR3T-S3CR3T"]}, 422, "invalid_request"),
        ({"name": "broker", "value": "S3CR3T-S3CR3T", "owner": "grace"}, 422, "invalid_request"),
        ({"name": "taken", "value": "S3CR3T-S3CR3T"}, 409, "name_taken"),
    ],
)
def test_a_refusal_of_the_api_tells_nothing_of_the_value(owner, caplog, body, status, code):
    kept(owner, "taken", "of-another-one")
    answer = program_of(owner).post("/credentials", body)
    assert (answer.status_code, answer.data["code"]) == (status, code)
    assert "S3CR3T" not in answer.content.decode() + caplog.text


def test_other_peoples_secrets_do_not_exist_in_the_api(owner):
    kept(owner)
    grace = program_of(get_user_model().objects.create_user("grace"))
    assert grace.get("/credentials").data["items"] == []
    assert grace.put("/credentials/broker", {"value": "another-value"}).status_code == 404
    assert grace.delete("/credentials/broker").status_code == 404
    assert grace.post("/credentials", {"name": "broker", "value": "of-grace-herself"}).status_code == 201
    # A superuser must say whose, where there are several and none is the superuser's own.
    root = program_of(get_user_model().objects.create_superuser("root"))
    assert root.delete("/credentials/broker").data["code"] == "ambiguous_name"
    assert read(owner) == VALUE


def set_secret(monkeypatch, text, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    out = io.StringIO()
    call_command("set_secret", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_reads_a_value_from_standard_input(owner, monkeypatch):
    said = set_secret(monkeypatch, f"{VALUE}\n", "broker", "--owner", "ada")
    assert said == "ada has the secret 'broker' now: ${{ secrets.broker }}\n"
    assert read(owner) == VALUE
    set_secret(monkeypatch, "several\nlines\n\n", "broker", "--owner", "ada", "--description", "a key")
    assert (read(owner), Credential.objects.get().description) == ("several\nlines\n", "a key")


def test_the_command_asks_twice_on_a_terminal(owner, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    answers = iter([VALUE, VALUE, VALUE, "a typing error"])
    monkeypatch.setattr("workflows_app.management.commands.set_secret.getpass", lambda prompt: next(answers))
    call_command("set_secret", "broker", "--owner", "ada", stdout=io.StringIO())
    assert read(owner) == VALUE
    with pytest.raises(CommandError, match="The two are different"):
        call_command("set_secret", "broker", "--owner", "ada")


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("S3CR3T\n", ["broker", "--owner", "ada"], "fewer than 8"),
        (VALUE, ["a-b", "--owner", "ada"], "The name of a secret"),
        (VALUE, ["broker", "--owner", "grace"], "no user 'grace'"),
        (VALUE, ["broker"], "no superuser"),
    ],
)
def test_the_command_refuses_in_one_line_without_the_value(owner, monkeypatch, text, arguments, sentence):
    with pytest.raises(CommandError, match=sentence) as refused:
        set_secret(monkeypatch, text, *arguments)
    assert "S3CR3T" not in str(refused.value)
    assert refused.value.returncode == 2


def test_the_value_is_no_argument_of_the_command(owner):
    with pytest.raises(CommandError, match="unrecognized arguments"):
        call_command("set_secret", "broker", VALUE)


def test_rotation_is_a_command_that_says_what_it_did(owner, settings):
    kept(owner)
    earlier = settings.PASTETRADER["CREDENTIAL_KEYS"]
    another = "YW5vdGhlciBrZXksIG9mIHRoaXJ0eSB0d28gYnl0ZXM="
    settings.PASTETRADER = settings.PASTETRADER | {"CREDENTIAL_KEYS": [another, earlier]}
    said = []
    for arguments in (["--dry-run"], [], []):
        out = io.StringIO()
        call_command("rotate_secrets", *arguments, stdout=out)
        said.append(out.getvalue().partition(" under")[0])
    assert said == [
        "1 secrets would be encrypted anew,",
        "1 secrets were encrypted anew,",
        "0 secrets were encrypted anew,",
    ]
    settings.PASTETRADER = settings.PASTETRADER | {"CREDENTIAL_KEYS": [earlier]}
    with pytest.raises(CommandError, match="1 secrets cannot be read"):
        call_command("rotate_secrets", stdout=io.StringIO(), stderr=io.StringIO())
    settings.PASTETRADER = settings.PASTETRADER | {"CREDENTIAL_KEYS": []}
    with pytest.raises(CommandError, match="CREDENTIAL_KEYS is not set"):
        call_command("rotate_secrets")
