"""The one rule of permission: who may do what with a workflow and with its executions.

An owner and a superuser may do everything; a group with which a workflow is shared what its role says. An object that
a user may not even read does not exist for that user: interfaces find objects in `queries`, which ask `visible_to` for
lists, and of a single object whether it may be read: the same rule, at half the cost.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

    type Account = User | AnonymousUser


class Verb(StrEnum):
    # See a workflow, its executions and their data.
    READ = "read"
    # Start executions.
    RUN = "run"
    # End executions.
    CANCEL = "cancel"
    # Change the definition.
    EDIT = "edit"
    # Say which groups it is shared with.
    SHARE = "share"
    DELETE = "delete"


class Role(StrEnum):
    """What a group may do with a workflow that is shared with it; each can do what the one before can."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"


NOTHING: frozenset[Verb] = frozenset()
EVERYTHING = frozenset(Verb)
RIGHTS = {
    Role.VIEWER: frozenset({Verb.READ}),
    Role.OPERATOR: frozenset({Verb.READ, Verb.RUN, Verb.CANCEL}),
    Role.EDITOR: frozenset({Verb.READ, Verb.RUN, Verb.CANCEL, Verb.EDIT}),
}


class Guarded(Protocol):
    """What has an owner: it knows what a user may do with it."""

    def rights_of(self, user: Account) -> frozenset[Verb]: ...


def can(user: Account, verb: Verb, obj: Guarded) -> bool:
    """Whether a user may do something with an object. Costs a query where the user is not its owner."""
    return verb in obj.rights_of(user)


def sees_everything(user: Account) -> bool:
    return user.is_active and user.is_superuser
