"""Writing down who did what."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from workflows_app.models import AuditEntry

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User
    from django.db.models import Model

    from workflows_app.dag.types import JsonObject

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


def audit(user: User | AnonymousUser | None, verb: str, obj: Model, data: JsonObject | None = None) -> None:
    """One entry, in the transaction of the deed. A command, which has no user, leaves none."""
    audit_name(user, verb, obj._meta.model_name or "", str(obj.pk), data)


def audit_name(
    user: User | AnonymousUser | None, verb: str, object_type: str, object_id: str, data: JsonObject | None = None
) -> None:
    """`audit` for what has no row."""
    if user is None:
        return
    _ = AuditEntry.objects.create(
        actor_id=user.pk,
        actor_name=user.get_username(),
        verb=verb,
        object_type=object_type,
        object_id=object_id,
        address=_address.get(),
        data=data or {},
    )
