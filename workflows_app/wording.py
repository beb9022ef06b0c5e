"""What statuses, reasons, node types and settings are called in the language of whoever looks."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

STATUS_WORDS: dict[str, Promise] = {
    "pending": _("pending"),
    "running": _("running"),
    "retrying": _("retrying"),
    "completed": _("completed"),
    "failed": _("failed"),
    "skipped": _("skipped"),
    "cancelled": _("cancelled"),
}

REASON_WORDS: dict[str, Promise] = {
    "node_error": _("a node failed"),
    "condition_error": _("a condition could not be evaluated"),
    "timeout": _("the time limit ran out"),
    "crashed": _("its engine died, and what it did is unknown"),
    "crash_loop": _("engines died of it again and again"),
    "invalid_definition": _("the definition is not valid"),
    "not_taken": _("another path was chosen"),
    "upstream_failed": _("a node before it failed"),
    "upstream_skipped": _("a node before it was skipped"),
    "join_rule": _("its join rule was not met"),
    "user": _("somebody asked for it"),
    "stopped": _("another node failed"),
    "shutdown": _("the engine was shut down"),
}

NODE_TYPE_WORDS: dict[str, Promise] = {
    "trigger": _("trigger"),
    "tool": _("tool"),
    "agent": _("agent"),
    "condition": _("condition"),
    "adapter": _("adapter"),
    "aggregator": _("aggregator"),
}

SCHEDULING_WORDS: dict[str, Promise] = {
    "levels": _("level by level"),
    "eager": _("each node as soon as it can"),
}

ON_FAILURE_WORDS: dict[str, Promise] = {
    "continue": _("other branches go on"),
    "stop": _("nothing new starts"),
}


def status_word(status: str) -> str:
    return str(STATUS_WORDS.get(status, status))


def reason_word(reason: str | None) -> str:
    """Why a node or an execution is what it is; empty where there is no reason."""
    return str(REASON_WORDS.get(reason, reason)) if reason else ""


def node_type_word(kind: str) -> str:
    return str(NODE_TYPE_WORDS.get(kind, kind))


def scheduling_word(scheduling: str) -> str:
    return str(SCHEDULING_WORDS.get(scheduling, scheduling))
