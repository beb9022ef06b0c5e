"""What changes, roles and deeds are called in the language of whoever looks."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from workflows_app.dag.differences import Change, Part
from workflows_app.models.access import Role

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
}


def deed_word(verb: str) -> str:
    return str(_DEED_WORDS.get(verb, verb))
