"""Who opens a socket, and whether that still holds later on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from workflows_app.services.errors import TooManyWrongCredentials
from workflows_app.services.limits import note_good_token, note_wrong_credential, refuse_guessing
from workflows_app.services.tokens import EVERY_SCOPE, Bearer, bearer_of, is_still_good, redeem_ticket

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Somebody who was let in: by a token or ticket, or with a session."""

    bearer: Bearer
    session_key: str | None = None

    def holds(self) -> bool:
        """Whether it would be let in now. Asks the database."""
        if self.session_key is None:
            return is_still_good(self.bearer)
        user = _user_of(self.session_key)
        return user is not None and user.pk == self.bearer.user.pk


def credential_of(scope: Mapping[str, Any]) -> Credential | None:
    """By ticket, `Authorization: Bearer` or session, the first that is shown; None where it is no good."""
    ticket = parse_qs(bytes(scope.get("query_string", b"")).decode("latin-1")).get("ticket")
    if ticket:
        return _of_secret(scope, ticket[0], redeem_ticket)
    authorization = _header(scope, b"authorization")
    if authorization:
        kind, _, text = authorization.partition(" ")
        return _of_secret(scope, text.strip(), bearer_of) if kind.lower() == "bearer" else None
    morsel = SimpleCookie(_header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME)
    user = _user_of(morsel.value) if morsel is not None else None
    if morsel is None or user is None:
        return None
    return Credential(bearer=Bearer(user=user, scopes=EVERY_SCOPE), session_key=morsel.value)


def address_of(scope: Mapping[str, Any]) -> str:
    """Where a socket comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _of_secret(scope: Mapping[str, Any], text: str, known: Any) -> Credential | None:
    address = address_of(scope)
    try:
        refuse_guessing(address, text)
    except TooManyWrongCredentials:
        return None
    bearer: Bearer | None = known(text)
    if bearer is None:
        note_wrong_credential(address, text)
        return None
    note_good_token(address, text)
    return Credential(bearer=bearer)


def _user_of(session_key: str) -> User | None:
    """Whose session this is, as Django finds it for a request."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user: Any = get_user(request)
    return user if user.is_authenticated and user.is_active else None


def _header(scope: Mapping[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope.get("headers", ()) if key == name), "")
