"""Secrets in the database: encrypted, bound to row and owner, readable only with the right key."""

import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth import get_user_model
from django.db import connection

from workflows_app.models import AuditEntry, Credential
from workflows_app.services import rotation, vault
from workflows_app.services.errors import (
    AmbiguousSecret,
    Forbidden,
    InvalidSecret,
    NoCredentialKeys,
    SecretNameTaken,
    SecretNotFound,
    SecretUnreadable,
)
from workflows_app.services.rotation import rotate
from workflows_app.services.secrets import (
    NewSecret,
    create_secret,
    delete_secret,
    replace_secret,
    resolver_for,
    set_secret,
)

pytestmark = pytest.mark.django_db
VALUE = "S3CR3T-of-the-broker"


@pytest.fixture
def grace(owner):
    return get_user_model().objects.create_user("grace")


@pytest.fixture
def keys(settings):
    """Set the key ring; a new key for each."""

    def use(*chosen):
        settings.PASTETRADER = settings.PASTETRADER | {"CREDENTIAL_KEYS": ",".join(chosen)}

    return use


def new_key():
    return Fernet.generate_key().decode()


def kept(owner, name="broker", value=VALUE):
    return create_secret(NewSecret(name=name, value=value), owner, owner)


def read(owner, name="broker"):
    return resolver_for(owner.pk)([name])[name]


def test_a_secret_is_read_as_it_was_set_and_is_nowhere_in_clear(owner):
    value = f"  pä\"s'w\\{VALUE}\n😀 "
    credential = kept(owner, value=value)
    assert read(owner) == value
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM workflows_app_credential")
        assert VALUE not in repr(cursor.fetchall())
    assert VALUE not in repr(vars(credential)) + repr(NewSecret(name="broker", value=VALUE))


def test_secrets_of_64_kib_are_kept_and_longer_ones_refused(owner):
    value = ("0123456789abcdef" * 4096)[: 64 * 1024]
    kept(owner, value=value)
    assert read(owner) == value
    with pytest.raises(InvalidSecret, match="more than 65536 characters"):
        kept(owner, "longer", value + "!")


@pytest.mark.parametrize(
    "value", ["", "1234567", "      1234567      ", "ababababababab", "S3CR3T\0S3CR3T", "S3CR3T-\ud800"]
)
def test_a_value_that_could_not_be_hidden_or_kept_is_refused_without_being_told(owner, value):
    with pytest.raises(InvalidSecret) as refused:
        kept(owner, value=value)
    assert refused.value.field == "value"
    assert not value.strip() or value.strip() not in str(refused.value)


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a b", "a.b", "é", "x" * 101, "broker\n"])
def test_a_name_that_no_expression_can_say_is_refused(owner, name):
    with pytest.raises(InvalidSecret, match="The name of a secret"):
        kept(owner, name)


def test_a_name_is_one_owners_once_and_others_may_have_it_too(owner, grace):
    kept(owner)
    with pytest.raises(SecretNameTaken):
        kept(owner)
    kept(grace, value="of-grace-herself")
    assert (read(owner), read(grace)) == (VALUE, "of-grace-herself")


def test_set_makes_a_secret_and_then_replaces_it(owner):
    first = set_secret(NewSecret(name="broker", value=VALUE, description="to trade"), owner)
    second = set_secret(NewSecret(name="broker", value="another-value"), owner)
    assert (first.pk, second.description, read(owner)) == (second.pk, "to trade", "another-value")
    _ = replace_secret(second, NewSecret(name="broker", value=None, description="for good"))
    assert (read(owner), Credential.objects.get().description) == ("another-value", "for good")


def test_only_the_owner_and_superusers_change_and_delete_a_secret(owner, grace):
    credential = kept(owner)
    new = NewSecret(name="broker", value="another-value")
    with pytest.raises(Forbidden):
        replace_secret(credential, new, grace)
    with pytest.raises(Forbidden):
        create_secret(NewSecret(name="mine", value=VALUE), owner, grace)
    with pytest.raises(Forbidden):
        delete_secret(credential, grace)
    assert read(owner) == VALUE
    root = get_user_model().objects.create_superuser("root")
    replace_secret(credential, new, root)
    delete_secret(credential, root)
    with pytest.raises(SecretNotFound, match="There is no secret 'broker'"):
        read(owner)


def test_a_document_of_nobody_uses_a_name_that_is_unique(owner, grace):
    kept(owner)
    assert resolver_for(None)(["broker"]) == {"broker": VALUE}
    kept(grace)
    with pytest.raises(AmbiguousSecret, match="Several owners have a secret 'broker'"):
        resolver_for(None)(["broker"])


def test_all_that_is_missing_is_told_at_once(owner, grace):
    kept(owner)
    kept(grace, "of_grace")
    with pytest.raises(SecretNotFound, match="'nothing', 'of_grace'"):
        resolver_for(owner.pk)(["broker", "of_grace", "nothing"])


def test_ciphertext_of_another_row_or_owner_is_refused(owner, grace):
    one, two, other = kept(owner), kept(owner, "two", "second-of-ada"), kept(grace, "other", "of-grace-herself")
    for stolen in (two, other):
        Credential.objects.filter(pk=one.pk).update(ciphertext=stolen.ciphertext)
        with pytest.raises(SecretUnreadable, match="'broker' was encrypted for another row or another owner"):
            read(owner)
    # The whole row, given to somebody else.
    Credential.objects.filter(pk=other.pk).update(owner=owner)
    with pytest.raises(SecretUnreadable, match="another owner"):
        read(owner, "other")


def test_without_that_check_stolen_ciphertext_would_be_read(owner, grace, monkeypatch):
    """The control: the encryption alone does not tell."""
    mine, other = kept(owner), kept(grace, "other", "of-grace-herself")
    Credential.objects.filter(pk=mine.pk).update(ciphertext=other.ciphertext)
    assert mine.owner_id != other.owner_id
    monkeypatch.setattr(vault, "_is_of", lambda credential, content: True)
    assert read(owner) == "of-grace-herself"


def test_every_flipped_bit_is_noticed(owner, figure):
    credential = kept(owner)
    text = credential.ciphertext
    for place in range(0, len(text), 7):
        flipped = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        Credential.objects.update(ciphertext=flipped)
        with pytest.raises(SecretUnreadable, match="'broker' cannot be decrypted"):
            read(owner)
    figure(f"flipped bits of ciphertext {len(range(0, len(text), 7))}, read 0")


def test_a_wrong_key_is_named_by_its_fingerprint(owner, keys):
    one, two = new_key(), new_key()
    keys(one)
    credential = kept(owner)
    keys(two)
    with pytest.raises(SecretUnreadable, match=f"with the key {credential.key_id}, which is not in CREDENTIAL_KEYS"):
        read(owner)
    keys(two, one)
    assert read(owner) == VALUE


@pytest.mark.parametrize("ring", [[], ["nonsense"], ["a" * 43]])
def test_without_a_good_key_nothing_is_kept(owner, keys, ring):
    keys(*ring)
    with pytest.raises(NoCredentialKeys):
        kept(owner)
    assert not Credential.objects.exists()


def test_rotation_encrypts_everything_under_the_first_key(owner, grace, keys):
    one, two = new_key(), new_key()
    keys(one)
    for number in range(7):
        kept(owner, f"secret_{number}", f"value-of-no-{number}")
    kept(grace)
    keys(two, one)
    assert rotate(dry_run=True).rotated == 8
    assert len(set(Credential.objects.values_list("key_id", flat=True))) == 1
    assert rotate(batch=3).rotated == 8
    assert rotate().rotated == 0
    keys(two)
    assert [read(owner, f"secret_{number}") for number in range(7)] == [f"value-of-no-{number}" for number in range(7)]
    assert read(grace) == VALUE


def test_rotation_tells_what_it_cannot_read_and_goes_on(owner, keys):
    one, lost, two = new_key(), new_key(), new_key()
    keys(lost)
    kept(owner, "lost")
    keys(one)
    kept(owner)
    keys(two, one)
    done = rotate()
    assert (done.rotated, [name for name, _ in done.unreadable]) == (1, ["ada/lost"])


def test_what_an_owner_sets_while_secrets_are_rotated_is_not_lost(owner, keys, monkeypatch):
    one, two = new_key(), new_key()
    keys(one)
    credential = kept(owner)
    keys(two, one)
    seal = rotation.seal

    def meanwhile(*args):
        monkeypatch.setattr(rotation, "seal", seal)
        # By a process that has the earlier key still.
        keys(one)
        replace_secret(credential, NewSecret(name="broker", value="set-meanwhile"))
        keys(two, one)
        return seal(*args)

    monkeypatch.setattr(rotation, "seal", meanwhile)
    assert rotate().rotated == 1
    keys(two)
    assert read(owner) == "set-meanwhile"


def test_every_deed_is_in_the_audit_and_a_use_once_a_minute_for_an_execution(owner, monkeypatch):
    credential = kept(owner)
    replace_secret(credential, NewSecret(name="broker", value="another-value"), owner)
    monkeypatch.setattr("workflows_app.services.limits.time.time", lambda: 1_800_000_000)
    for execution in ("one", "one", "two"):
        resolver_for(owner.pk, execution)(["broker"])
    delete_secret(credential, owner)
    entries = list(AuditEntry.objects.order_by("id"))
    assert [(entry.verb, entry.data) for entry in entries] == [
        ("secret.set", {"name": "broker", "of": "ada", "replaced": False}),
        ("secret.set", {"name": "broker", "of": "ada", "replaced": True}),
        ("secret.read", {"name": "broker", "execution": "one"}),
        ("secret.read", {"name": "broker", "execution": "two"}),
        ("secret.deleted", {"name": "broker", "of": "ada"}),
    ]
    assert {(entry.object_id, entry.actor_name) for entry in entries} == {(str(credential.pk), "ada")}
    assert "another-value" not in repr([vars(entry) for entry in entries])


def test_when_a_secret_was_used_last_is_noted_to_the_minute(owner):
    credential = kept(owner)
    read(owner)
    credential.refresh_from_db()
    first = credential.last_used_at
    read(owner)
    credential.refresh_from_db()
    assert first is not None
    assert credential.last_used_at == first


@pytest.mark.django_db(transaction=True)
def test_a_name_is_given_once_to_those_who_want_it_at_the_same_time(owner):
    def try_to_keep(number):
        try:
            set_secret(NewSecret(name="broker", value=f"value-of-no-{number}"), owner)
        except SecretNameTaken:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(try_to_keep, range(4)))
    assert re.fullmatch("value-of-no-[0-3]", read(owner))
    assert Credential.objects.count() == 1


def test_every_handler_of_the_project_masks(settings):
    for name, handler in settings.LOGGING["handlers"].items():
        assert "secrets" in handler["filters"], name
    assert logging.getLogger("django").handlers == []
