"""Executions in the admin: found, watched, cancelled, run again; never changed by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast, override

from django.contrib import admin
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.formats import date_format, time_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from executions_app.admin.board import board_urls
from executions_app.admin.changelist import ExecutionList
from executions_app.admin.filters import FieldsFilter, MineFilter, PeriodFilter, StatusFilter, trigger_word
from executions_app.admin.page import ExecutionPage
from executions_app.admin.system import system_urls
from executions_app.engine.states import ExecutionStatus
from executions_app.listing import elapsed_ms, visible_executions
from executions_app.models import WorkflowExecution
from executions_app.templatetags.executions import why
from workflows_app.templatetags.pastetrader import duration, status_mark

if TYPE_CHECKING:
    from datetime import datetime

    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

# The bar of a duration: this long, with the mark of what is usual in its middle.
_BAR = 60


@admin.register(WorkflowExecution)
class ExecutionAdmin(ExecutionPage):
    """What a user may see, the newest first; what happened is never changed here."""

    list_display = ("state", "subject", "acceptance", "took", "tags")
    list_display_links = None
    list_filter = (StatusFilter, PeriodFilter, MineFilter, FieldsFilter)
    search_fields = ("id",)
    search_help_text = gettext_lazy("The beginning of an id, or a part of a workflow's name.")
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    change_list_template = "executions_app/execution_list.html"
    fields = ("state", "subject", "acceptance")
    readonly_fields = fields

    @override
    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return ExecutionList

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[WorkflowExecution]:
        return visible_executions(cast("User", request.user))

    @override
    def get_urls(self) -> list[URLPattern]:
        return [*board_urls(self.admin_site), *system_urls(self.admin_site), *super().get_urls()]

    @override
    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        words: dict[str, object] = {
            "title": _("Executions"),
            "subtitle": None,
            "statuses": list(ExecutionStatus),
            "sees_system": cast("User", request.user).has_perm("executions_app.view_system"),
        }
        response = super().changelist_view(request, {**words, **(extra_context or {})})
        if "X-Live" in request.headers and isinstance(response, TemplateResponse):
            # Not the whole page: it would also use up the messages for the next one.
            response.template_name = "executions_app/execution_rows.html"
        return response

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # `prune_executions` deletes what is old.
        return False

    @admin.display(description=gettext_lazy("status"))
    def state(self, execution: WorkflowExecution) -> SafeString:
        asked = execution.cancel_requested_at is not None and not execution.is_finished
        return format_html(
            '<span data-execution="{}" data-seq="{}">{}</span>{}',
            execution.pk,
            execution.last_seq,
            status_mark(execution.status),
            format_html('<br><span class="pt-quiet">{}</span>', _("is being cancelled")) if asked else "",
        )

    @admin.display(description=gettext_lazy("workflow"))
    def subject(self, execution: WorkflowExecution) -> SafeString:
        number = execution.version.number
        note = why(execution)
        return format_html(
            '<a class="pt-subject" href="{}">{}</a>{}{}',
            reverse("admin:executions_app_workflowexecution_change", args=[execution.pk], current_app=self._site),
            execution.version.name,
            "" if number is None else format_html(' <span class="pt-quiet">{}</span>', _("v%s") % number),
            format_html('<span class="pt-note" title="{}">{}</span>', note, note) if note else "",
        )

    @admin.display(description=gettext_lazy("accepted"))
    def acceptance(self, execution: WorkflowExecution) -> SafeString:
        return format_html('{}<span class="pt-by">{}</span>', moment_mark(execution.created_at), whose(execution))

    @admin.display(description=gettext_lazy("duration"))
    def took(self, execution: WorkflowExecution) -> SafeString | str:
        ms = elapsed_ms(execution)
        if ms is None:
            return ""
        usual = cast("Decimal | None", getattr(execution, "usual_ms", None))
        is_open = not execution.is_finished
        return format_html(
            '<span class="pt-duration"{}>{}</span>{}',
            format_html(' data-elapsed="{}" data-usual="{}"', ms, usual or "") if is_open else "",
            duration(ms),
            duration_bar(ms, usual) if usual is not None else "",
        )

    @admin.display(description=gettext_lazy("labels"))
    def tags(self, execution: WorkflowExecution) -> SafeString:
        here = reverse("admin:executions_app_workflowexecution_changelist", current_app=self._site)
        links = ((f"{here}?{urlencode({'label': label})}", label) for label in execution.labels)
        return format_html_join(" ", '<a class="pt-label" href="{}">{}</a>', links)

    @property
    def _site(self) -> str:
        return self.admin_site.name


def whose(execution: WorkflowExecution) -> str:
    """Who or what began it."""
    if execution.trigger_type != "manual":
        return _("by %(who)s") % {
            "who": ", ".join(filter(None, [trigger_word(execution.trigger_type), _name(execution)]))
        }
    return _("by %(who)s") % {"who": _name(execution) or _("the command line")}


def _name(execution: WorkflowExecution) -> str:
    return "" if execution.started_by is None else str(execution.started_by)


def moment_mark(at: datetime) -> SafeString:
    """A time of day with its seconds, in the zone and the language of whoever looks."""
    local = timezone.localtime(at)
    return format_html(
        '<time class="pt-moment" datetime="{}">{} {}</time>',
        local.isoformat(),
        format_html("<span>{}</span>", date_format(local, "SHORT_DATE_FORMAT")),
        format_html("<span>{}</span>", time_format(local, "H:i:s")),
    )


def duration_bar(ms: Decimal, usual: Decimal) -> SafeString:
    """How long something took beside what is usual, which is marked in the middle; twice as long fills the bar."""
    length = _BAR if usual == 0 else min(round(ms / usual * _BAR / 2), _BAR)
    told = _("The median of this workflow is %(usual)s.") % {"usual": duration(usual)}
    return format_html(
        '<svg class="pt-bar{}" viewBox="0 0 {} 8" role="img" aria-label="{}"><title>{}</title>'
        '<rect class="pt-bar-all" width="{}" height="8" rx="1"></rect>'
        '<rect class="pt-bar-took" width="{}" height="8" rx="1"></rect>'
        '<path class="pt-bar-usual" d="M{} -1v10"></path></svg>',
        " pt-bar-long" if length == _BAR else "",
        _BAR,
        told,
        told,
        _BAR,
        max(length, 1),
        _BAR // 2,
    )
