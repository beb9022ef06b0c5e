"""What changes, roles, scopes, problems and deeds are called in the language of whoever looks."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from workflows_app.dag.differences import Change, Part
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.types import Effect
from workflows_app.models.access import Role
from workflows_app.models.token import Scope
from workflows_app.services.mcp_tools import State

CHANGE_WORDS: dict[Change, Promise] = {
    Change.ADDED: _("added"),
    Change.REMOVED: _("removed"),
    Change.CHANGED: _("changed"),
}

PART_WORDS: dict[Part, Promise] = {
    Part.WORKFLOW: _("workflow"),
    Part.NODE: _("node"),
    Part.EDGE: _("edge"),
}

ROLE_NAMES: dict[str, Promise] = {
    Role.VIEWER: _("viewer"),
    Role.OPERATOR: _("operator"),
    Role.EDITOR: _("editor"),
}

# What each may do, for whoever chooses one.
ROLE_WORDS: dict[Role, Promise] = {
    Role.VIEWER: _("viewer: sees it and its executions"),
    Role.OPERATOR: _("operator: runs and cancels it too"),
    Role.EDITOR: _("editor: changes it too"),
}

# What importing a tool of an MCP server does, or would do.
IMPORT_WORDS: dict[State, Promise] = {
    State.NEW: pgettext_lazy("an imported tool", "new"),
    State.CHANGED: pgettext_lazy("an imported tool", "changed"),
    State.SAME: pgettext_lazy("an imported tool", "as it was"),
    State.GONE: pgettext_lazy("an imported tool", "gone"),
    State.REFUSED: pgettext_lazy("an imported tool", "refused"),
}

SCOPE_NAMES: dict[Scope, Promise] = {
    Scope.READ: _("read"),
    Scope.RUN: _("run"),
    Scope.WRITE: _("write"),
}

SCOPE_WORDS: dict[Scope, Promise] = {
    Scope.READ: _("read: looks at workflows, executions and tools"),
    Scope.RUN: _("run: starts and cancels executions, tries tools"),
    Scope.WRITE: _("write: makes, changes, shares and deletes workflows"),
}

# A title for each; the sentence that goes with it is the validator's own.
PROBLEM_WORDS: dict[ProblemCode, Promise] = {
    ProblemCode.INVALID_DOCUMENT: _("Not a valid document"),
    ProblemCode.UNKNOWN_KEY: _("Unknown key"),
    ProblemCode.NO_NODES: _("No nodes"),
    ProblemCode.DUPLICATE_KEY: _("A key twice"),
    ProblemCode.INVALID_KEY: _("Not a valid key"),
    ProblemCode.NO_TRIGGER: _("No trigger"),
    ProblemCode.TRIGGER_HAS_INPUT: _("An edge into a trigger"),
    ProblemCode.NODE_NOT_FOUND: _("No such node"),
    ProblemCode.SELF_LOOP: _("An edge from a node to itself"),
    ProblemCode.DUPLICATE_EDGE: _("An edge twice"),
    ProblemCode.CYCLE_DETECTED: _("A cycle"),
    ProblemCode.ISOLATED_NODE: _("A node without edges"),
    ProblemCode.UNREACHABLE_NODE: _("A node that no trigger reaches"),
    ProblemCode.TWO_DEFAULTS: _("Two default edges"),
    ProblemCode.INVALID_CONFIG: _("Not a valid configuration"),
    ProblemCode.INVALID_EXPRESSION: _("Not a valid expression"),
    ProblemCode.UNKNOWN_REFERENCE: _("Unknown reference"),
    ProblemCode.NOT_AN_ANCESTOR: _("A reference to a node that does not come before"),
    ProblemCode.UNKNOWN_VARIABLE: _("Unknown variable"),
    ProblemCode.UNKNOWN_TOOL: _("Unknown tool"),
    ProblemCode.INACTIVE_TOOL: _("A tool that is switched off"),
    ProblemCode.INVALID_HANDLE: _("Not a valid handle"),
    ProblemCode.DEAD_END_CONDITION: _("A condition that may take no edge"),
    ProblemCode.REFERENCE_MAY_BE_SKIPPED: _("A reference to a node that may be skipped"),
    ProblemCode.SCHEMA_MISMATCH: _("A value that may not fit the schema"),
    ProblemCode.RETRY_OF_AT_MOST_ONCE: _("Retries of what must not be repeated"),
}

# What a repetition would do outside.
EFFECT_WORDS: dict[Effect, Promise] = {
    Effect.NONE: _("changes nothing outside"),
    Effect.IDEMPOTENT: _("a repetition is recognised"),
    Effect.AT_MOST_ONCE: _("must not be repeated"),
    Effect.CHECKABLE: _("can be asked what it did"),
}

_DEED_WORDS: dict[str, Promise] = {
    "workflow.created": _("made it"),
    "workflow.replaced": _("replaced its document"),
    "workflow.changed": _("changed it"),
    "workflow.shared": _("changed who it is shared with"),
    "workflow.node_added": _("added a node"),
    "workflow.node_changed": _("changed a node"),
    "workflow.node_removed": _("removed a node"),
    "workflow.edge_added": _("added an edge"),
    "workflow.edge_changed": _("changed an edge"),
    "workflow.edge_removed": _("removed an edge"),
    "workflow.deleted": _("deleted it"),
    "execution.started": _("started an execution"),
    "execution.cancel_requested": _("cancelled an execution"),
    "execution.rerun": _("ran an execution again"),
    "tool.tried": _("tried a tool"),
    "tool.created": _("made a tool"),
    "tool.changed": _("changed a tool"),
    "tool.deleted": _("deleted a tool"),
    "agent.created": _("made an agent"),
    "agent.changed": _("changed an agent"),
    "agent.deleted": _("deleted an agent"),
    "token.created": _("made a token"),
    "token.revoked": _("revoked a token"),
    "secret.set": _("set a secret"),
    "secret.deleted": _("deleted a secret"),
    "secret.read": _("used a secret"),
    "login": _("logged in"),
    "login.failed": _("failed to log in"),
    "logout": _("logged out"),
}

# By the name of the model, or of what has none.
_OBJECT_WORDS: dict[str, Promise] = {
    "workflow": _("workflow"),
    "workflowexecution": _("execution"),
    "apitoken": _("API token"),
    "credential": _("secret"),
    "tool": _("tool"),
    "configuredtool": _("tool"),
    "agent": _("agent"),
    "user": _("user"),
}


def deed_word(verb: str) -> str:
    return str(_DEED_WORDS.get(verb, verb))


def object_word(kind: str) -> str:
    return str(_OBJECT_WORDS.get(kind, kind))
