"""The permission check with which every use case begins."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db.models import Model

from workflows_app.models.access import Guarded, Verb, can
from workflows_app.services.audit import audit
from workflows_app.services.errors import Forbidden
from workflows_app.services.limits import is_first_of_minute

if TYPE_CHECKING:
    from workflows_app.models.access import Account


def demand(user: Account | None, verb: Verb, obj: Guarded) -> None:
    """Raise `Forbidden` where a user may not do this. None is whoever has the machine: commands and schedules."""
    if user is not None and not can(user, verb, obj):
        note_refusal(user, obj, verb)
        raise Forbidden(verb)


def hidden(user: Account, model: type[Model], text: str) -> None:
    """Note that a user asked for an object that exists, and not for that user; any other id is nothing to note."""
    try:
        found = model._default_manager.filter(pk=uuid.UUID(text)).first()
    except ValueError:
        return
    if found is not None:
        note_refusal(user, found, Verb.READ)


def note_refusal(user: Account, obj: object, verb: Verb) -> None:
    """Once a minute for each: whoever tries again and again fills no disk."""
    assert isinstance(obj, Model)
    if is_first_of_minute(f"refused:{user.pk}:{obj.pk}:{verb}"):
        audit(user, "refused", obj, {"to": str(verb)})
