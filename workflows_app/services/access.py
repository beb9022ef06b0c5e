"""The permission check with which every use case begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflows_app.models.access import Guarded, Verb, can
from workflows_app.services.errors import Forbidden

if TYPE_CHECKING:
    from workflows_app.models.access import Account


def demand(user: Account | None, verb: Verb, obj: Guarded) -> None:
    """Raise `Forbidden` where a user may not do this. None is whoever has the machine: commands and schedules."""
    if user is not None and not can(user, verb, obj):
        raise Forbidden(verb)
