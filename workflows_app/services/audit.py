"""Writing down who did what.

Each entry is sealed with the one before it, by the secret key: one that was changed, put in between or taken out
later breaks the chain, which `verify` follows. Of entries taken from the end only a seal that was kept elsewhere tells.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction

from workflows_app.models import AuditEntry

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User
    from django.db.models import Model
    from django.http import HttpRequest

    from workflows_app.dag.types import JsonObject

# Names the lock under which entries are appended.
_CHAIN = 0x7061737465617564
# Set by the interface that takes a request; empty where there is none.
_address: ContextVar[str] = ContextVar("address", default="")


@contextmanager
def acting_from(address: str) -> Generator[None]:
    """Deeds inside come from this network address."""
    token = _address.set(address[:64])
    try:
        yield
    finally:
        _address.reset(token)


def address_of(request: HttpRequest | None) -> str:
    """Where a request comes from. Behind a proxy the server must be told to believe its headers."""
    return "" if request is None else str(request.META.get("REMOTE_ADDR") or "")


def audit(user: User | AnonymousUser | None, verb: str, obj: Model, data: JsonObject | None = None) -> None:
    """One entry, in the transaction of the deed. A command, which has no user, leaves none."""
    audit_name(user, verb, obj._meta.model_name or "", str(obj.pk), data)


def audit_name(
    user: User | AnonymousUser | None, verb: str, object_type: str, object_id: str, data: JsonObject | None = None
) -> None:
    """`audit` for what has no row."""
    if user is not None:
        entry = AuditEntry(
            actor_name=user.get_username(),
            verb=verb,
            object_type=object_type,
            object_id=object_id,
            address=_address.get(),
            data=data or {},
        )
        entry.actor_id = user.pk
        append(entry)


def append(entry: AuditEntry) -> None:
    """Seal an entry and put it at the end."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            # One at a time, until the transaction has ended; SQLite has one writer anyway.
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHAIN])
        entry.seal = entry.sealed(_last_seal())
        entry.save()


def _last_seal() -> str:
    return AuditEntry.objects.order_by("-id").values_list("seal", flat=True).first() or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What following the chain found: `broken` is the first entry that is not as it was written."""

    entries: int
    # Written before there were seals.
    unsealed: int
    last_seal: str
    broken: AuditEntry | None = None
    # Whether the seal that was asked for is one of the chain's.
    has_seal: bool = True


def verify(seal: str | None = None) -> Verified:
    """Follow the whole chain; `seal` is one that must be in it."""
    keys = [None, *settings.SECRET_KEY_FALLBACKS]
    entries = unsealed = 0
    last, has_seal = "", seal is None
    for entry in AuditEntry.objects.order_by("id").iterator():
        entries += 1
        if not entry.seal and not last:
            unsealed += 1
            continue
        if not any(compare_digest(entry.seal, entry.sealed(last, key)) for key in keys):
            return Verified(entries=entries, unsealed=unsealed, last_seal=last, broken=entry, has_seal=has_seal)
        last = entry.seal
        has_seal = has_seal or last == seal
    return Verified(entries=entries, unsealed=unsealed, last_seal=last, has_seal=has_seal)
