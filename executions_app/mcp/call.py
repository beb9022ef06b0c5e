"""One call of a tool: who makes it, and how it asks the database and tells how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async
from django.db import close_old_connections

from workflows_app.models.token import Scope
from workflows_app.rest.auth import demand_scope
from workflows_app.rest.errors import Unauthenticated
from workflows_app.services.audit import acting_from
from workflows_app.services.tokens import Bearer, is_still_good

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Whoever is at the other end. `enter` finds out who that is, at each call, and raises where nobody may be."""

    enter: Callable[[], Bearer]
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that needs a scope; `tell` sends how far it is, a number that grows and a sentence."""

    bearer: Bearer
    address: str
    scope: Scope
    tell: Callable[[int, str], Awaitable[None]]

    async def ask[T](self, function: Callable[[User], T]) -> T:
        """What a function finds out or does in the name of the caller, who must still be good for it."""

        def asked() -> T:
            if not is_still_good(self.bearer):
                raise Unauthenticated
            demand_scope(self.bearer, self.scope)
            with acting_from(self.address):
                return function(self.bearer.user)

        return await in_thread(asked)


async def in_thread[T](function: Callable[[], T]) -> T:
    """Run what asks the database, in a thread that keeps no connection for it."""

    def run() -> T:
        close_old_connections()
        try:
            return function()
        finally:
            close_old_connections()

    return await sync_to_async(run, thread_sensitive=False)()
