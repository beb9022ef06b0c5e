"""Executions in templates of any page, such as the index of the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from django import template
from django.template import Context
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from executions_app.dashboard import dashboard_for
from executions_app.listing import elapsed_ms
from workflows_app.services.demo import demo_files
from workflows_app.wording import reason_word

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from executions_app.models import WorkflowExecution

register = template.Library()

# A row of a table is no place for more of an error.
_LINE = 500


@register.simple_tag
def live_words() -> SafeString:
    """The forms of a duration, for scripts that count the time of what runs."""
    words = {
        "seconds": _("%(number)s s"),
        "minutes": _("%(minutes)s m %(seconds)s s"),
        "hours": _("%(hours)s h %(minutes)s m"),
    }
    return json_script(words, "pt-words")


@register.inclusion_tag("executions_app/dashboard.html", takes_context=True)
def executions_dashboard(context: Context) -> dict[str, Any]:
    """What runs, failed and waits, for users who may view executions; for others nothing."""
    return dashboard_context(cast("User", context["request"].user))


def dashboard_context(user: User) -> dict[str, Any]:
    """What the dashboard's template shows a user."""
    if not user.has_perm("executions_app.view_workflowexecution"):
        return {"board": None}
    board = dashboard_for(user)
    may_add = user.has_perm("workflows_app.add_workflow")
    return {
        "board": board,
        "may_add": may_add,
        "has_demo": may_add and not board.has_anything and bool(demo_files()),
        "sees_system": user.has_perm("executions_app.view_system"),
    }


@register.filter
def elapsed(execution: WorkflowExecution) -> Decimal | None:
    """Milliseconds that it took, or that it has been running."""
    return elapsed_ms(execution)


@register.filter
def why(execution: WorkflowExecution) -> str:
    """In one line what ended an execution early; empty where nothing did."""
    if execution.error is not None:
        node = execution.error.get("node")
        return " ".join(f"{f'{node}: ' if node else ''}{execution.error.get('message', '')}".split())[:_LINE]
    reason = reason_word(execution.reason)
    return f"{reason}: {execution.cancel_reason}" if reason and execution.cancel_reason else reason
