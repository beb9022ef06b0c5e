"""The list of workflows, and what is done with several of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from workflows_app.admin.document import attachment
from workflows_app.admin.filters import ActiveFilter, LabelFilter, ProblemFilter
from workflows_app.admin.frame import url_of, user_of
from workflows_app.admin.settings import SettingsPages
from workflows_app.dag.problems import errors_of
from workflows_app.models import Workflow
from workflows_app.services import editing
from workflows_app.services.archive import archive_of
from workflows_app.services.documents import Format, document_of, export
from workflows_app.services.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

# So many are told one by one; of more it is said how many there are.
TOLD = 10


@admin.register(Workflow)
class WorkflowAdmin(SettingsPages):
    """The workflows that exist for a user; everything that changes one goes through the services."""

    list_display = ("name", "state", "labelled", "owned_by", "changed")
    list_filter = (ActiveFilter, ProblemFilter, LabelFilter)
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("name", "description")
    list_per_page = 50
    show_full_result_count = False
    change_list_template = "workflows_app/workflow/list.html"
    actions = ("validate_selected", "duplicate_selected", "export_selected")

    @admin.display(description=gettext_lazy("owner"), ordering="owner__username")
    def owned_by(self, workflow: Workflow) -> str:
        return workflow.owner.get_username()

    @admin.display(description=gettext_lazy("labels"))
    def labelled(self, workflow: Workflow) -> SafeString:
        here = reverse("admin:workflows_app_workflow_changelist")
        links = ((here, urlencode({"label": label}), label) for label in workflow.labels)
        return format_html_join(" ", '<a class="pt-label" href="{}?{}">{}</a>', links)

    @admin.display(description=gettext_lazy("state"), ordering="is_active")
    def state(self, workflow: Workflow) -> SafeString:
        """Whether it can be run."""
        count = len(cast("Sequence[object]", workflow.problems or []))
        if count:
            counted = ngettext("%(count)s problem", "%(count)s problems", count) % {"count": count}
            return format_html('<a class="pt-wrong" href="{}">{}</a>', url_of(workflow, "document"), counted)
        if workflow.is_active:
            return format_html('<span class="pt-chip pt-on">{}</span>', _("active"))
        return format_html('<span class="pt-chip pt-off">{}</span>', _("inactive"))

    @admin.display(description=gettext_lazy("changed"), ordering="updated_at")
    def changed(self, workflow: Workflow) -> SafeString:
        at = timezone.localtime(workflow.updated_at)
        return format_html(
            '<time datetime="{}" title="{}">{}</time><div class="pt-quiet pt-note">{}</div>',
            at.isoformat(),
            formats.date_format(at, "DATETIME_FORMAT"),
            _("%(time)s ago") % {"time": timesince(workflow.updated_at, depth=1)},
            _("version %(number)s") % {"number": workflow.version},
        )

    @override
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        context: dict[str, Any] = {"title": _("Workflows"), **(kwargs.pop("extra_context", None) or {})}
        return super().changelist_view(request, *args, extra_context=context, **kwargs)

    @override
    def get_actions(self, request: HttpRequest, action_location: Any = admin.ActionLocation.CHANGE_LIST) -> Any:
        found: dict[str, Any] = super().get_actions(request, action_location=action_location)
        # Each is deleted on a page of its own, which says what goes with it.
        _deletion = found.pop("delete_selected", None)
        return found

    @admin.action(description=gettext_lazy("Validate selected workflows"), permissions=["view"])
    def validate_selected(self, request: HttpRequest, chosen: QuerySet[Workflow]) -> None:
        workflows = list(chosen)
        wrong = [
            (workflow, errors)
            for workflow in workflows
            if (errors := errors_of(editing.problems_in(document_of(workflow))))
        ]
        good = len(workflows) - len(wrong)
        sentence = ngettext(
            "%(good)s of %(count)s workflow is in order.",
            "%(good)s of %(count)s workflows are in order.",
            len(workflows),
        ) % {"good": good, "count": len(workflows)}
        self.message_user(request, sentence, messages.SUCCESS if not wrong else messages.WARNING)
        for workflow, errors in wrong[:TOLD]:
            sentence = ngettext(
                "has %(count)s problem: %(first)s", "has %(count)s problems, the first: %(first)s", len(errors)
            ) % {"count": len(errors), "first": f"{errors[0].where}: {errors[0].message}"}
            self.message_user(request, self.told(workflow, sentence, "document"), messages.ERROR)
        self.tell_rest(request, len(wrong) - TOLD)

    @admin.action(description=gettext_lazy("Duplicate selected workflows"), permissions=["add"])
    def duplicate_selected(self, request: HttpRequest, chosen: QuerySet[Workflow]) -> None:
        copies: list[Workflow] = []
        skipped: list[tuple[Workflow, str]] = []
        for workflow in chosen:
            try:
                copies.append(editing.duplicate(workflow, user_of(request)))
            except DefinitionError as error:
                skipped.append((workflow, str(error)))
        if copies:
            sentence = ngettext(
                "%(count)s workflow is duplicated, and the copy is yours: {}.",
                "%(count)s workflows are duplicated, and the copies are yours: {}.",
                len(copies),
            ) % {"count": len(copies)}
            links = format_html_join(", ", '<a href="{}">{}</a>', ((url_of(one, "change"), one.name) for one in copies))
            self.message_user(request, format_html(sentence, links), messages.SUCCESS)
        for workflow, reason in skipped[:TOLD]:
            self.message_user(request, self.told(workflow, reason), messages.WARNING)
        self.tell_rest(request, len(skipped) - TOLD)

    @admin.action(description=gettext_lazy("Export selected workflows"), permissions=["view"])
    def export_selected(self, request: HttpRequest, chosen: QuerySet[Workflow]) -> HttpResponse:
        workflows = list(chosen)
        if len(workflows) == 1:
            name = f"{workflows[0].name}.yaml"
            return attachment(export(workflows[0], Format.YAML), "application/yaml; charset=utf-8", name)
        return attachment(archive_of(workflows), "application/zip", "workflows.zip")

    def told(self, workflow: Workflow, sentence: str, page: str = "change") -> SafeString:
        """A sentence about a workflow, behind a link to one of its pages."""
        return format_html('<a href="{}">{}</a>: {}', url_of(workflow, page), workflow.name, sentence)

    def tell_rest(self, request: HttpRequest, count: int) -> None:
        if count > 0:
            sentence = ngettext("And %(count)s more.", "And %(count)s more.", count) % {"count": count}
            self.message_user(request, sentence, messages.WARNING)
