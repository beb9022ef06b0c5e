"""Filters of the list of workflows, each in the URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.frame import user_of
from workflows_app.queries import labels_seen

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

    from workflows_app.models import Workflow


# A menu of more is none; the URL takes any label.
MOST_LABELS = 100


class LabelFilter(admin.SimpleListFilter):
    title = _("label")
    parameter_name = "label"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(label, label) for label in labels_seen(user_of(request))[:MOST_LABELS]]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        label = self.value()
        return queryset if label is None else queryset.filter(labels__has_item=label)


class ActiveFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "active"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Active")), ("no", _("Inactive"))]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        match self.value():
            case "yes":
                return queryset.filter(is_active=True)
            case "no":
                return queryset.filter(is_active=False)
            case _:
                return queryset


class ProblemFilter(admin.SimpleListFilter):
    title = _("problems")
    parameter_name = "problems"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("With problems")), ("no", _("In order"))]

    @override
    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        match self.value():
            case "yes":
                return queryset.exclude(problems=[])
            case "no":
                return queryset.filter(problems=[])
            case _:
                return queryset
