"""API tokens and socket tickets: made, recognised, used up. What leaves here in clear is shown once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from workflows_app.models import ApiToken, SocketTicket
from workflows_app.models.token import Scope
from workflows_app.services.audit import audit
from workflows_app.services.errors import UnknownUser

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet

SECRET_BYTES = 32
TICKET_SECONDS = 30
# Ten years: more is a typing error, and no date far enough.
MOST_DAYS = 3650
# A use is noted once in this time.
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Who shows a credential, and what it may be used for."""

    user: User
    scopes: frozenset[Scope]
    # None where it is no token.
    token_id: int | None = field(default=None, compare=False)


EVERY_SCOPE = frozenset(Scope)


def create_token(
    username: str,
    *,
    name: str = "",
    days: int | None = None,
    scopes: Iterable[Scope] = EVERY_SCOPE,
    by: User | None = None,
) -> str:
    """A new token of a user, in clear; `by` is who made it, where that is somebody else. Raises `UnknownUser`."""
    user = _active_user(username)
    prefix = f"pt_{secrets.token_hex(4)}"
    text = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user,
            name=name,
            prefix=prefix,
            secret_hash=_hash(text),
            scopes=[scope for scope in Scope if scope in frozenset(scopes)],
            expires_at=None if days is None else timezone.now() + timedelta(days=days),
        )
        audit(by or user, "token.created", token, {"of": username, "name": name, "scopes": list(token.scopes)})
    return text


def bearer_named(username: str) -> Bearer:
    """Somebody who may do everything that this user may: for whoever has the machine. Raises `UnknownUser`."""
    return Bearer(user=_active_user(username), scopes=EVERY_SCOPE)


def revoke(token: ApiToken, by: User) -> bool:
    """End a token now; False where it has ended already."""
    with transaction.atomic():
        if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            return False
        audit(by, "token.revoked", token, {"of": token.user.get_username(), "name": token.name})
    return True


def bearer_of(text: str) -> Bearer | None:
    """Whose token this is; None where it is none, was revoked, has expired, or its user is not active."""
    now = timezone.now()
    token = _good_tokens(now).select_related("user").filter(secret_hash=_hash(text)).first()
    if token is None:
        return None
    if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
        # Of requests at the same time one writes.
        stale = ApiToken.objects.filter(pk=token.pk, last_used_at=token.last_used_at)
        _ = stale.update(last_used_at=now)
    return Bearer(token_id=token.pk, user=token.user, scopes=frozenset(Scope(scope) for scope in token.scopes))


def is_still_good(bearer: Bearer) -> bool:
    """Whether who was let in before would be let in now: with a good token, or without one as an active user."""
    if bearer.token_id is not None:
        return _good_tokens(timezone.now()).filter(pk=bearer.token_id).exists()
    users: Any = get_user_model()
    return users.objects.filter(pk=bearer.user.pk, is_active=True).exists()


def _active_user(username: str) -> User:
    users: Any = get_user_model()
    user: User | None = users.objects.filter(**{users.USERNAME_FIELD: username}, is_active=True).first()
    if user is None:
        raise UnknownUser(username)
    return user


def _good_tokens(now: datetime) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None, user__is_active=True)


def issue_ticket(bearer: Bearer) -> str:
    """A ticket in clear that opens one socket within `TICKET_SECONDS`."""
    now = timezone.now()
    text = secrets.token_urlsafe(SECRET_BYTES)
    with transaction.atomic():
        _ = SocketTicket.objects.filter(expires_at__lte=now).delete()
        _ = SocketTicket.objects.create(
            user=bearer.user,
            token_id=bearer.token_id,
            secret_hash=_hash(text),
            scopes=[scope for scope in Scope if scope in bearer.scopes],
            expires_at=now + timedelta(seconds=TICKET_SECONDS),
        )
    return text


def redeem_ticket(text: str) -> Bearer | None:
    """Who asked for a ticket; it is used up. None where it is none, has expired or was used before."""
    tickets = SocketTicket.objects.filter(secret_hash=_hash(text))
    ticket = tickets.select_related("user").first()
    # Of two that come with the same ticket one deletes it.
    if ticket is None or not tickets.delete()[0]:
        return None
    if ticket.expires_at <= timezone.now():
        return None
    scopes = frozenset(Scope(scope) for scope in ticket.scopes)
    bearer = Bearer(token_id=ticket.token_id, user=ticket.user, scopes=scopes)
    return bearer if is_still_good(bearer) else None


def _hash(text: str) -> str:
    # A random secret of 256 bits needs no salt and no slow hash.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
