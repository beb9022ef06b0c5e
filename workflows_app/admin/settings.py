"""What is changed beside the document: name, description, labels, on or off, shares; and copies and deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from workflows_app.admin.definition import shares_shown
from workflows_app.admin.document import DocumentPages
from workflows_app.admin.forms import DetailsForm, SharesForm, labels_in
from workflows_app.admin.frame import edit_of, url_of, user_of
from workflows_app.queries import group_names, shares_json
from workflows_app.services import editing
from workflows_app.services.errors import DefinitionError, Forbidden, InvalidDefinition, VersionConflict

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.urls import URLPattern

    from workflows_app.dag.types import JsonValue
    from workflows_app.models import Workflow


class SettingsPages(DocumentPages):
    @override
    def get_urls(self) -> list[URLPattern]:
        return [
            self.of_workflow("settings/", "settings", self.settings_view),
            self.of_workflow("shares/", "shares", self.shares_view),
            self.of_workflow("duplicate/", "duplicate", self.duplicate_view),
            *super().get_urls(),
        ]

    def settings_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        if request.method != "POST":
            return self._settings(request, workflow)
        self.demand_change(request)
        form = DetailsForm(request.POST)
        if not form.is_valid():
            return self._settings(request, workflow, form)
        chosen = form.cleaned_data
        fields: dict[str, JsonValue] = {"name": chosen["name"]}
        # A key that the document leaves out stays out while it is empty.
        if chosen["description"] or "description" in workflow.head:
            fields["description"] = chosen["description"].replace("\r\n", "\n")
        labels = labels_in(chosen["labels"])
        if labels or "labels" in workflow.head:
            fields["labels"] = cast("JsonValue", labels)
        try:
            saved = editing.change(edit_of(request, workflow), fields, is_active=chosen["is_active"])
        except Forbidden:
            raise
        except VersionConflict as error:
            workflow.refresh_from_db()
            return self._settings(request, workflow, form, conflict=str(error))
        except InvalidDefinition as error:
            for problem in error.problems:
                form.add_error(problem.field if problem.field in form.fields else None, problem.message)
            return self._settings(request, workflow, form)
        except DefinitionError as error:
            form.add_error("name", str(error))
            return self._settings(request, workflow, form)
        if saved.version == workflow.version:
            self.message_user(request, _("Nothing was changed."))
        else:
            sentence = _("The changes are saved as version %(number)s.") % {"number": saved.version}
            self.message_user(request, sentence, messages.SUCCESS)
        return HttpResponseRedirect(url_of(saved, "settings"))

    def _settings(
        self, request: HttpRequest, workflow: Workflow, form: DetailsForm | None = None, **more: Any
    ) -> HttpResponse:
        present = {
            "name": workflow.name,
            "description": workflow.description,
            "labels": ", ".join(workflow.labels),
            "is_active": workflow.is_active,
        }
        version = request.POST.get("version", "") if form is not None else workflow.version
        return self.render(
            request,
            workflow,
            "settings",
            form=form or DetailsForm(initial=present),
            version=version,
            present=present,
            shares_form=_shares_form(workflow),
            shares=shares_shown(workflow),
            **more,
        )

    def shares_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseRedirect(url_of(workflow, "settings"))
        self.demand_change(request)
        form = _shares_form(workflow, request.POST)
        if not form.is_valid():
            self.message_user(request, _("A role or group is not among those to choose from."), messages.ERROR)
            return HttpResponseRedirect(url_of(workflow, "settings"))
        try:
            editing.share(edit_of(request, workflow), form.roles())
        except VersionConflict as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, _("The shares are saved."), messages.SUCCESS)
        return HttpResponseRedirect(url_of(workflow, "settings"))

    def duplicate_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        self.demand_add(request)
        copy = editing.duplicate(workflow, user_of(request))
        sentence = _("'%(copy)s' is a copy of '%(name)s' that belongs to you.")
        self.message_user(request, sentence % {"copy": copy.name, "name": workflow.name}, messages.SUCCESS)
        return HttpResponseRedirect(url_of(copy, "change"))

    @override
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self.show(request, object_id, self._delete)

    def _delete(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        if not self.has_delete_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            # Asked for a page that offers it, whoever may not is told so at once.
            if not self.may(request, workflow)["delete"]:
                raise Forbidden("delete")
            return self._confirm(request, workflow)
        try:
            editing.delete(edit_of(request, workflow))
        except VersionConflict as error:
            workflow.refresh_from_db()
            return self._confirm(request, workflow, conflict=str(error))
        sentence = _("The workflow '%(name)s' is deleted. Its executions stay.") % {"name": workflow.name}
        self.message_user(request, sentence, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:workflows_app_workflow_changelist"))

    def _confirm(self, request: HttpRequest, workflow: Workflow, **more: Any) -> HttpResponse:
        return self.render(request, workflow, "delete", tab="settings", shares=shares_shown(workflow), **more)


def _shares_form(workflow: Workflow, data: Any = None) -> SharesForm:
    roles = {cast("str", share["group"]): cast("str", share["role"]) for share in shares_json(workflow)}
    return SharesForm(group_names(), roles, data)
