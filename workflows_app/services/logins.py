"""Logins, wherever in the project they happen: on record, and counted where they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from workflows_app.models import AuditEntry
from workflows_app.services.audit import acting_from, address_of, append, audit
from workflows_app.services.limits import note_wrong_credential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import User
    from django.http import HttpRequest


def watch_logins() -> None:
    user_logged_in.connect(_on_login, dispatch_uid="pastetrader.login")
    user_logged_out.connect(_on_logout, dispatch_uid="pastetrader.logout")
    user_login_failed.connect(_on_failure, dispatch_uid="pastetrader.login_failed")


def _on_login(user: User, request: HttpRequest | None = None, **_: Any) -> None:
    with acting_from(address_of(request)):
        audit(user, "login", user)


def _on_logout(user: User | None, request: HttpRequest | None = None, **_: Any) -> None:
    if user is not None:
        with acting_from(address_of(request)):
            audit(user, "logout", user)


def _on_failure(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    address = address_of(request)
    note_wrong_credential(address)
    users: Any = get_user_model()
    given = str(credentials.get(users.USERNAME_FIELD, credentials.get("username", "")))
    user = users.objects.filter(**{users.USERNAME_FIELD: given}).first()
    # A name that is nobody's is not kept: it may be a password in the wrong field.
    entry = AuditEntry(actor_name=given if user else "", verb="login.failed", object_type="user", address=address)
    entry.object_id = str(user.pk) if user else ""
    append(entry)
