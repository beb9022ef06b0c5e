"""Why a use case on definitions was refused, in the language of whoever asked; commands and engines speak English."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from workflows_app.dag.configured import Mistake
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


class SecretNotFound(DefinitionError):
    """Raised when an owner has no secrets of these names."""

    code: ClassVar[str] = "not_found"

    def __init__(self, names: Sequence[str]) -> None:
        quoted = ", ".join(f"'{name}'" for name in names)
        super().__init__(
            _("There is no secret %(names)s: its owner sets it in the admin, or by `manage.py set_secret`.")
            % {"names": quoted}
        )


class AmbiguousSecret(DefinitionError):
    """Raised when several owners have a secret of a name, and the document, or who asks, is none of them."""

    code: ClassVar[str] = "ambiguous_name"

    def __init__(self, name: str) -> None:
        super().__init__(
            _(
                "Several owners have a secret '%(name)s', and nothing says whose is meant: import the document as a "
                "workflow of that owner."
            )
            % {"name": name}
        )


class SecretNameTaken(DefinitionError):
    """Raised when the owner has a secret of a name already."""

    code: ClassVar[str] = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            _("There is a secret '%(name)s' already: choose another name, or replace its value.") % {"name": name}
        )


_UNFIT_SECRETS: Mapping[str, Promise] = {
    "name": gettext_lazy(
        "The name of a secret has up to 100 letters, digits and underscores, and begins with no digit: choose such a "
        "name."
    ),
    "short": gettext_lazy(
        "The value has fewer than 8 characters, or fewer than 4 different ones: it could not be hidden where it comes "
        "back without hiding half of every text. Use a longer one."
    ),
    "long": gettext_lazy("The value has more than 65536 characters: keep the file elsewhere, and its password here."),
    "letters": gettext_lazy("The value holds U+0000 or a lone surrogate: keep it as text, such as base64."),
}


class InvalidSecret(DefinitionError):
    """Raised when a name or a value cannot be a secret's; says nothing of the value."""

    code: ClassVar[str] = "invalid_secret"

    def __init__(self, reason: str) -> None:
        super().__init__(str(_UNFIT_SECRETS[reason]))
        self.field = "name" if reason == "name" else "value"


_UNREADABLE: Mapping[str, Promise] = {
    "unknown_key": gettext_lazy(
        "The secret '%(name)s' was encrypted with the key %(key)s, which is not in CREDENTIAL_KEYS: put that key "
        "back behind the first, or set the secret again."
    ),
    "damaged": gettext_lazy(
        "The secret '%(name)s' cannot be decrypted: what is in the database is not what was written. Set it again."
    ),
    "moved": gettext_lazy(
        "The secret '%(name)s' was encrypted for another row or another owner: it is not used. Set it again, and find "
        "out who writes to the database."
    ),
}


class SecretUnreadable(DefinitionError):
    """Raised when what is kept of a secret is not what its owner has set."""

    code: ClassVar[str] = "secret_unreadable"

    def __init__(self, name: str, reason: str, key_id: str = "") -> None:
        super().__init__(str(_UNREADABLE[reason]) % {"name": name, "key": key_id})


class NoCredentialKeys(DefinitionError):
    """Raised when secrets cannot be encrypted or decrypted for want of a key."""

    code: ClassVar[str] = "no_credential_keys"

    def __init__(self) -> None:
        super().__init__(
            _("CREDENTIAL_KEYS is not set, or holds what is no key: set it, and `manage.py check` until it is right.")
        )


class InvalidSitePart(DefinitionError):
    """Base: raised when what is made on the site cannot be as it is asked for; `mistakes` are all of them."""

    def __init__(self, sentence: str, mistakes: Sequence[Mistake]) -> None:
        told = "; ".join(f"{mistake.field}: {mistake.message}" for mistake in mistakes[:_IN_A_SENTENCE])
        super().__init__(sentence % {"problems": told})
        self.mistakes = list(mistakes)


class SiteNameTaken(DefinitionError):
    """Base: raised when another thing of the site has a name."""

    code: ClassVar[str] = "name_taken"


class SiteConflict(DefinitionError):
    """Base: raised when a change was made for a version of a thing that is no longer the present one."""

    code: ClassVar[str] = "version_conflict"


class SitePermission(DefinitionError):
    """Base: raised when a user may use what is made on the site, but not do this with it."""

    code: ClassVar[str] = "forbidden"


class InvalidTool(InvalidSitePart):
    code: ClassVar[str] = "invalid_tool"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(_("The tool cannot be saved: %(problems)s"), mistakes)


class ToolNameTaken(SiteNameTaken):
    def __init__(self, name: str) -> None:
        super().__init__(_("There is a tool '%(name)s' already: choose another name.") % {"name": name})


class ToolConflict(SiteConflict):
    def __init__(self, present: int) -> None:
        super().__init__(
            _(
                "The tool has changed since you read it: its version is %(number)s now. Read it again, then repeat "
                "your change on what you find."
            )
            % {"number": present}
        )


class ToolPermission(SitePermission):
    def __init__(self) -> None:
        super().__init__(
            _("You may use tools, but not make, change or delete them: ask an administrator for the permission.")
        )


class RegisteredTool(DefinitionError):
    """Raised when a tool is to be changed that is made in code."""

    code: ClassVar[str] = "registered_tool"

    def __init__(self, name: str) -> None:
        super().__init__(
            _("The tool '%(name)s' is made in code, and cannot be changed here: make another one of its kind.")
            % {"name": name}
        )


class McpServerUnusable(DefinitionError):
    """Raised when nobody can say which tools an MCP server has; the sentence is that of a node that would call one."""

    code: ClassVar[str] = "mcp_server"


class AgentNotFound(DefinitionError):
    """Raised when no agent that a user may see has a name."""

    code: ClassVar[str] = "not_found"

    def __init__(self, name: str) -> None:
        super().__init__(_("There is no agent '%(name)s'. Correct the name or make the agent.") % {"name": name})


class InvalidAgent(InvalidSitePart):
    code: ClassVar[str] = "invalid_agent"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(_("The agent cannot be saved: %(problems)s"), mistakes)


class AgentNameTaken(SiteNameTaken):
    def __init__(self, name: str) -> None:
        super().__init__(_("There is an agent '%(name)s' already: choose another name.") % {"name": name})


class AgentConflict(SiteConflict):
    def __init__(self, present: int) -> None:
        super().__init__(
            _(
                "The agent has changed since you read it: its version is %(number)s now. Read it again, then repeat "
                "your change on what you find."
            )
            % {"number": present}
        )


class AgentPermission(SitePermission):
    def __init__(self) -> None:
        super().__init__(
            _("You may use agents, but not make, change or delete them: ask an administrator for the permission.")
        )
