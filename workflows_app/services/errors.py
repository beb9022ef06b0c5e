"""Why a use case on definitions was refused, in the language of whoever asked; commands and engines speak English."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext_lazy

from workflows_app.dag.problems import Problem

_DEEDS: Mapping[str, Promise] = {
    "read": pgettext_lazy("what a role allows", "read"),
    "run": pgettext_lazy("what a role allows", "run"),
    "cancel": pgettext_lazy("what a role allows", "cancel"),
    "edit": pgettext_lazy("what a role allows", "edit"),
    "share": pgettext_lazy("what a role allows", "share"),
    "delete": pgettext_lazy("what a role allows", "delete"),
}


class DefinitionError(Exception):
    """Base of the refusals. Do not raise it directly."""

    code: ClassVar[str] = "refused"


# So many problems are told in one sentence; `problems` has all of them.
_IN_A_SENTENCE = 10


class InvalidDefinition(DefinitionError):
    """Raised when a document has problems that block it; `problems` are all of them, warnings included."""

    code: ClassVar[str] = "invalid_definition"

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.is_error]
        told = ngettext(
            "The definition has %(count)s problem: %(first)s",
            "The definition has %(count)s problems: %(first)s",
            len(errors),
        ) % {"count": len(errors), "first": "; ".join(str(error) for error in errors[:_IN_A_SENTENCE])}
        more = len(errors) - _IN_A_SENTENCE
        super().__init__(told if more <= 0 else told + _("; and %(count)s more.") % {"count": more})
        self.problems = list(problems)


class WorkflowNotFoundError(DefinitionError):
    """Raised when no workflow answers to a name or id."""

    code: ClassVar[str] = "not_found"

    def __init__(self, name: object) -> None:
        super().__init__(_("There is no workflow '%(name)s'. Import a document with this name first.") % {"name": name})


class AmbiguousName(DefinitionError):
    """Raised when several owners have a workflow of that name."""

    code: ClassVar[str] = "ambiguous_name"

    def __init__(self, name: str, owners: Sequence[str]) -> None:
        choices = ", ".join(f"{owner}/{name}" for owner in owners)
        super().__init__(
            _("Several owners have a workflow '%(name)s': say which one, %(choices)s.")
            % {"name": name, "choices": choices}
        )


class Forbidden(DefinitionError):
    """Raised when a user may see an object, but not do this with it."""

    code: ClassVar[str] = "forbidden"

    def __init__(self, verb: str) -> None:
        super().__init__(
            _("Your role does not allow to %(verb)s this: ask its owner for a role that does.")
            % {"verb": _DEEDS.get(verb, verb)}
        )


class UnknownUser(DefinitionError):
    """Raised when no active user has a name."""

    code: ClassVar[str] = "unknown_user"

    def __init__(self, username: str) -> None:
        super().__init__(
            _("There is no active user '%(name)s': create it first, or name another one.") % {"name": username}
        )


class PartNotFound(DefinitionError):
    """Raised when a workflow has no node of a key, or no edge of an id."""

    code: ClassVar[str] = "not_found"

    def __init__(self, what: str, key: object) -> None:
        sentence = (
            _("The workflow has no node '%(key)s'.") if what == "node" else _("The workflow has no edge '%(key)s'.")
        )
        super().__init__(sentence % {"key": key})


class VersionConflict(DefinitionError):
    """Raised when a change was made for a version that is no longer the present one."""

    code: ClassVar[str] = "version_conflict"

    def __init__(self, present: int) -> None:
        super().__init__(
            _(
                "The workflow has changed since you read it: its version is %(number)s now. Read it again, then repeat "
                "your change on what you find."
            )
            % {"number": present}
        )


class NameTaken(DefinitionError):
    """Raised when the owner has another workflow of a name."""

    code: ClassVar[str] = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            _("There is a workflow '%(name)s' of this owner already: choose another name, or replace that one.")
            % {"name": name}
        )


class Throttled(DefinitionError):
    """Base of the refusals that end by themselves. Do not raise it directly."""

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        # In seconds.
        self.retry_after = retry_after


class TooManyRequests(Throttled):
    """Raised when a token, or a user's sessions, sent more requests in a minute than they may."""

    code: ClassVar[str] = "too_many_requests"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            _("You have sent too many requests in this minute: go on in %(seconds)s s.") % {"seconds": retry_after},
            retry_after,
        )


class TooManyWrongCredentials(Throttled):
    """Raised when too many wrong passwords or tokens came from an address."""

    code: ClassVar[str] = "too_many_wrong_credentials"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            _("Too many wrong passwords or tokens came from your address: try again in %(seconds)s s.")
            % {"seconds": retry_after},
            retry_after,
        )


class UnknownGroups(DefinitionError):
    """Raised when a workflow is to be shared with groups that do not exist."""

    code: ClassVar[str] = "unknown_group"

    def __init__(self, names: Sequence[str]) -> None:
        quoted = ", ".join(f"'{name}'" for name in names)
        super().__init__(_("There is no group %(names)s: create it first.") % {"names": quoted})
