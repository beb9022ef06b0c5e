"""The last runs of a workflow as a row of small bars: shape, colour and word, each a way to its execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django import template
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from workflows_app.templatetags.pastetrader import duration, status_icon
from workflows_app.wording import STATUS_WORDS, reason_word, status_word

if TYPE_CHECKING:
    import uuid

    from django.utils.safestring import SafeString

    from executions_app.workflow_runs import Run


register = template.Library()


def execution_url(execution_id: uuid.UUID) -> str:
    return reverse("admin:executions_app_workflowexecution_change", args=[execution_id])


@register.simple_tag
def bars_of(runs: Sequence[Run]) -> SafeString:
    """The newest at the right; a dash where nothing has run."""
    if not runs:
        return format_html('<span class="pt-quiet">{}</span>', _("not run yet"))
    items = (
        (
            run.status if run.status in STATUS_WORDS else "pending",
            execution_url(run.id),
            status_icon(run.status, _told(run)),
        )
        for run in runs
    )
    return format_html(
        '<ol class="pt-bars" aria-label="{}">{}</ol>',
        _("The last runs, the newest at the end"),
        format_html_join("", '<li><a class="pt-{}" href="{}">{}</a></li>', items),
    )


def _told(run: Run) -> str:
    """`failed, a node failed, 2.3 s, 27 Nov. 2026, 12:03`."""
    at = formats.date_format(timezone.localtime(run.created_at), "SHORT_DATETIME_FORMAT")
    parts = [status_word(run.status), reason_word(run.reason), duration(run.duration_ms), at]
    return ", ".join(part for part in parts if part)
