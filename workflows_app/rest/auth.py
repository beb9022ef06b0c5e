"""Who calls: a bearer token with scopes, or the session of a browser with the CSRF token."""

from typing import Any, cast, override

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import HttpBearer, SessionAuth

from workflows_app.models.token import Scope
from workflows_app.rest.errors import CsrfFailed, InsufficientScope, Unauthenticated
from workflows_app.services.audit import address_of
from workflows_app.services.limits import note_good_token, note_wrong_credential, refuse_guessing, spend_request
from workflows_app.services.tokens import EVERY_SCOPE, Bearer, bearer_of


def let_in(token: str, address: str) -> Bearer:
    """Whose token this is; it counts as a request of its, or as a guess from where it comes.

    Raises `Unauthenticated`, `TooManyRequests` and `TooManyWrongCredentials`.
    """
    refuse_guessing(address, token)
    bearer = bearer_of(token)
    if bearer is None:
        note_wrong_credential(address, token)
        raise Unauthenticated
    note_good_token(address, token)
    spend_request(f"token:{bearer.token_id}")
    return bearer


def demand_scope(bearer: Bearer, scope: Scope) -> None:
    """Raise `InsufficientScope` where a credential is not good for this."""
    if scope not in bearer.scopes:
        raise InsufficientScope(scope)


class TokenAuth(HttpBearer):
    """A token of `create_token` that has a scope. One that is shown and is no good is not made up for by a session."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    @override
    def authenticate(self, request: HttpRequest, token: str) -> Bearer:
        bearer = let_in(token, address_of(request))
        demand_scope(bearer, self.scope)
        return bearer


class BrowserAuth(SessionAuth):
    """A logged-in user of this site, who may do everything that the user may."""

    @override
    def __call__(self, request: HttpRequest) -> Bearer | None:
        # Without a user there is nothing to forge: that is 401, not a failed CSRF check.
        user: Any = getattr(request, "user", None)
        if user is None or not user.is_authenticated:
            return None
        try:
            return super().__call__(request)
        except HttpError as error:
            raise CsrfFailed from error

    @override
    def authenticate(self, request: HttpRequest, key: str | None) -> Bearer:
        user = cast(Any, request.user)
        spend_request(f"user:{user.pk}")
        return Bearer(user=user, scopes=EVERY_SCOPE)


def auth_for(scope: Scope) -> list[TokenAuth | BrowserAuth]:
    """What an operation states as its `auth`."""
    return [TokenAuth(scope), BrowserAuth()]


READ = auth_for(Scope.READ)
RUN = auth_for(Scope.RUN)
WRITE = auth_for(Scope.WRITE)


def caller(request: HttpRequest) -> Bearer:
    """Who was let in."""
    return cast(Bearer, cast(Any, request).auth)
