"""Secrets: kept, replaced, deleted by their owners, and read by the nodes of their owners' workflows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from workflows_app.dag import jsontext
from workflows_app.models import Credential
from workflows_app.models.access import Verb
from workflows_app.services.access import demand
from workflows_app.services.audit import audit
from workflows_app.services.errors import AmbiguousSecret, InvalidSecret, SecretNameTaken, SecretNotFound
from workflows_app.services.limits import is_first_of_minute
from workflows_app.services.vault import seal, unseal

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# A shorter value cannot be hidden without hiding half of every text; one of a few different letters neither.
SHORTEST = 8
LONGEST = 64 * 1024
FEWEST_LETTERS = 4
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecret:
    """What a secret is to be. One that is replaced keeps what is None here."""

    name: str
    value: str | None = field(repr=False)
    description: str | None = None


def create_secret(new: NewSecret, owner: User, by: User | None = None) -> Credential:
    """Keep a secret of a name that the owner has not used. Raises `InvalidSecret`, `SecretNameTaken`, `Forbidden`."""
    credential = Credential(owner=owner, name=new.name, description=new.description or "")
    demand(by, Verb.EDIT, credential)
    check_secret(new)
    credential.ciphertext, credential.key_id = seal(credential.id, owner.pk, new.value or "")
    try:
        with transaction.atomic():
            credential.save(force_insert=True)
            _note(credential, "secret.set", by, replaced=False)
    except IntegrityError:
        raise SecretNameTaken(new.name) from None
    return credential


def replace_secret(credential: Credential, new: NewSecret, by: User | None = None) -> Credential:
    """Another value or description of a secret. Raises `InvalidSecret`, `SecretNotFound`, `Forbidden`."""
    demand(by, Verb.EDIT, credential)
    changed: dict[str, object] = {"updated_at": timezone.now()}
    if new.value is not None:
        check_secret(new)
        changed |= seal(credential.pk, credential.owner_id, new.value)._asdict()
    if new.description is not None:
        changed["description"] = new.description
    with transaction.atomic():
        if not Credential.objects.filter(pk=credential.pk).update(**changed):
            raise SecretNotFound([credential.name])
        _note(credential, "secret.set", by, replaced=True)
    credential.refresh_from_db()
    return credential


def set_secret(new: NewSecret, owner: User, by: User | None = None) -> Credential:
    """Keep a secret, or replace the one of that name. Raises as the two do."""
    present = Credential.objects.filter(owner=owner, name=new.name).first()
    return create_secret(new, owner, by) if present is None else replace_secret(present, new, by)


def delete_secret(credential: Credential, by: User | None = None) -> None:
    """Raises `Forbidden`. Workflows that name it fail from now on, where they use it."""
    demand(by, Verb.DELETE, credential)
    with transaction.atomic():
        _note(credential, "secret.deleted", by)
        _ = Credential.objects.filter(pk=credential.pk).delete()


def resolver_for(owner_id: int | None, execution_id: str = "") -> Callable[[Collection[str]], Mapping[str, str]]:
    """What gives the nodes of an execution the secrets of its workflow's owner: names in, values in clear out.

    It asks the database: to be called on a thread. Without an owner, where a document is run that belongs to nobody,
    a name must be unique over all owners. Raises `SecretNotFound`, `AmbiguousSecret`, `SecretUnreadable`,
    `NoCredentialKeys`.
    """

    def resolve(names: Collection[str]) -> Mapping[str, str]:
        whose = Q() if owner_id is None else Q(owner=owner_id)
        found: dict[str, Credential] = {}
        for credential in Credential.objects.select_related("owner").filter(whose, name__in=set(names)):
            if credential.name in found:
                raise AmbiguousSecret(credential.name)
            found[credential.name] = credential
        if missing := sorted(set(names) - found.keys()):
            raise SecretNotFound(missing)
        values = {name: unseal(credential) for name, credential in found.items()}
        for credential in found.values():
            _note_use(credential, execution_id)
        return values

    return resolve


def check_secret(new: NewSecret) -> None:
    """Raise `InvalidSecret`, which says nothing of the value, where there can be no such secret."""
    if _NAME.fullmatch(new.name) is None:
        raise InvalidSecret("name")
    # What stands around it as white space may get lost on the way.
    value = new.value or ""
    core = value.strip()
    if len(core) < SHORTEST or len(set(core)) < FEWEST_LETTERS:
        raise InvalidSecret("short")
    if len(value) > LONGEST:
        raise InvalidSecret("long")
    try:
        _ = jsontext.dumps(value)
    except jsontext.JsonError:
        raise InvalidSecret("letters") from None


def _note(credential: Credential, verb: str, by: User | None, **data: bool) -> None:
    audit(by, verb, credential, {"name": credential.name, "of": credential.owner.get_username(), **data})


def _note_use(credential: Credential, execution_id: str) -> None:
    """On behalf of whom it was read, once a minute for each execution."""
    now = timezone.now()
    if credential.last_used_at is None or credential.last_used_at <= now - _USE_NOTED_EVERY:
        # Of executions at the same time one writes.
        stale = Credential.objects.filter(pk=credential.pk, last_used_at=credential.last_used_at)
        _ = stale.update(last_used_at=now)
    if is_first_of_minute(f"secret:{credential.pk}:{execution_id}"):
        audit(credential.owner, "secret.read", credential, {"name": credential.name, "execution": execution_id})
