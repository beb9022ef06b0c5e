"""What the list of executions can be narrowed to. All of it stands in the URL, so that a view can be kept and sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, cast, override

from django.contrib import admin
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from executions_app.engine.states import ExecutionStatus
from executions_app.listing import workflow_name, workflow_names
from executions_app.queries import ExecutionFilter
from workflows_app.wording import status_word

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest

_TRIGGERS = {
    "manual": gettext_lazy("manual"),
    "schedule": gettext_lazy("schedule"),
    "webhook": gettext_lazy("webhook"),
}
_SPAN = re.compile(r"(\d{1,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def trigger_word(trigger: str) -> str:
    """What began an execution, in the language of whoever looks."""
    return str(_TRIGGERS.get(trigger, trigger))


def filter_of(request: HttpRequest) -> ExecutionFilter:
    """What a URL asks for. What means nothing narrows to nothing, or is left out: see `misread`."""
    statuses = [ExecutionStatus(word) for word in request.GET.getlist("status") if word in set(ExecutionStatus)]
    return ExecutionFilter(
        status=statuses,
        workflow=_asked(request, "workflow") or None,
        trigger_type=_asked(request, "trigger_type") or None,
        label=_asked(request, "label") or None,
        since=moment(_asked(request, "since")),
        until=moment(_asked(request, "until"), is_end=True),
        started_by=request.user.pk if _asked(request, "mine") else None,
        search=_asked(request, "q") or None,
    )


def _asked(request: HttpRequest, name: str) -> str:
    """The last value that is one: a form sends its empty fields too, after what it keeps."""
    return next((value.strip() for value in reversed(request.GET.getlist(name)) if value.strip()), "")


def misread(request: HttpRequest) -> Sequence[str]:
    """Sentences on what a URL asks for and nobody understands."""
    told = [
        _("“%(value)s” is no time: write a date such as 2026-01-31, or a span such as 24h or 7d.") % {"value": value}
        for value in (_asked(request, "since"), _asked(request, "until"))
        if value and moment(value) is None
    ]
    return told + [
        _("There is no status “%(value)s”.") % {"value": word}
        for word in request.GET.getlist("status")
        if word and word not in set(ExecutionStatus)
    ]


def moment(text: str, *, is_end: bool = False) -> datetime | None:
    """A time of RFC 3339, a day or its end, or a span before now such as `90m`, `24h`, `7d`; else None."""
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        day = parse_date(text)
        if day is not None:
            start = timezone.make_aware(datetime.combine(day, time.min))
            return start + timedelta(days=1) if is_end else start
        at = parse_datetime(text)
    except (ValueError, OverflowError):
        return None
    return timezone.make_aware(at) if at is not None and timezone.is_naive(at) else at


class _Link(admin.SimpleListFilter):
    """A choice of one; the rows are chosen all at once, by `filter_of`."""

    @override
    def queryset(self, request: Any, queryset: QuerySet[Any]) -> None:
        return None


class StatusFilter(_Link):
    title = gettext_lazy("status")
    parameter_name = "status"

    @override
    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(status), status_word(status).capitalize()) for status in ExecutionStatus]


class PeriodFilter(_Link):
    title = gettext_lazy("time of acceptance")
    parameter_name = "since"

    @override
    def value(self) -> str | None:
        return _asked(self.request, "since") or None

    @override
    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("1h", _("Past hour")),
            ("24h", _("Past 24 hours")),
            ("7d", _("Past 7 days")),
            ("30d", _("Past 30 days")),
        ]


class MineFilter(_Link):
    title = gettext_lazy("who started it")
    parameter_name = "mine"

    @override
    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", _("Me"))]


class FieldsFilter(admin.ListFilter):
    """A form for what is no short list: workflow, label, trigger and days."""

    title = gettext_lazy("more")
    template = "executions_app/fields_filter.html"
    names = ("workflow", "label", "trigger_type", "until")

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self._request = request
        for name in self.names:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    @override
    def has_output(self) -> bool:
        return True

    @override
    def expected_parameters(self) -> list[str | None]:
        return list(self.names)

    @override
    def queryset(self, request: Any, queryset: QuerySet[Any]) -> None:
        return None

    @override
    def choices(self, changelist: ChangeList) -> Iterator[Mapping[str, Any]]:
        """One item: what the form shows."""
        user, asked = cast("User", self._request.user), self._request.GET
        chosen = {name: _asked(self._request, name) for name in self.names}
        workflow, trigger = chosen["workflow"], chosen["trigger_type"]
        names = list(workflow_names(user))
        options = [(name, name) for name in names]
        if workflow and workflow not in names:
            options.insert(0, (workflow, workflow_name(user, workflow) or workflow))
        since = _asked(self._request, "since")
        own = {*self.names, "since", "p"}
        yield {
            "workflow": workflow,
            "workflows": options,
            "label": chosen["label"],
            "trigger_type": trigger,
            "triggers": [(one, trigger_word(one)) for one in sorted({*_TRIGGERS, trigger} - {""})],
            "since": since if parse_day(since) else "",
            "span": since if _SPAN.fullmatch(since) else "",
            "until": chosen["until"],
            "others": [(name, value) for name, all_ in asked.lists() if name not in own for value in all_],
        }


def parse_day(text: str) -> bool:
    """Whether this is a day as forms send it."""
    try:
        return parse_date(text) is not None
    except ValueError:
        return False
