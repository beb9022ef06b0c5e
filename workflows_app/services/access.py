"""The permission check with which every use case begins."""

from __future__ import annotations

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
        _note_refusal(user, obj, verb)
        raise Forbidden(verb)


def may_read(user: Account, obj: Guarded) -> bool:
    """Whether an object exists for a user. Where it does not, somebody has asked for another user's."""
    if can(user, Verb.READ, obj):
        return True
    _note_refusal(user, obj, Verb.READ)
    return False


def _note_refusal(user: Account, obj: object, verb: Verb) -> None:
    """Once a minute for each: whoever tries again and again fills no disk."""
    assert isinstance(obj, Model)
    if is_first_of_minute(f"refused:{user.pk}:{obj.pk}:{verb}"):
        audit(user, "refused", obj, {"to": str(verb)})
