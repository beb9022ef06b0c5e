"""Workflows with their runs: the last ones in the list, a run of several, and a page to run one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, override

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from executions_app.admin.run_form import RunForm
from executions_app.queries import execution_for
from executions_app.services.batch import start_each
from executions_app.services.errors import ExecutionNotFound, InvalidInput, NeedsInput, RunError
from executions_app.services.start import Accepted, StartRequest, start
from executions_app.templatetags.bars import bars_of, execution_url
from executions_app.workflow_runs import last_given, median_ms, newest_runs, run_rows
from workflows_app.admin import WorkflowAdmin
from workflows_app.admin.frame import Button, url_of, user_of
from workflows_app.admin.workflow import TOLD
from workflows_app.dag.input_fields import defaults, input_fields
from workflows_app.models import Workflow
from workflows_app.models.access import Verb
from workflows_app.services.access import demand
from workflows_app.services.errors import DefinitionError, Forbidden
from workflows_app.wording import reason_word

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django.db.models import QuerySet
    from django.http import HttpRequest
    from django.urls import URLPattern
    from django.utils.safestring import SafeString

    from workflows_app.dag.input_fields import InputField
    from workflows_app.dag.types import JsonObject

_BARS = 10
_RUNS = 20

admin.site.unregister(Workflow)


@admin.register(Workflow)
class RunnableWorkflowAdmin(WorkflowAdmin):
    """To run one takes the role for it, and the model permission to add executions."""

    list_display = ("name", "last_runs", "state", "labelled", "owned_by", "changed")
    actions = ("run_selected", "validate_selected", "duplicate_selected", "export_selected")

    @override
    def get_urls(self) -> list[URLPattern]:
        return [self.of_workflow("run/", "run", self.run_view), *super().get_urls()]

    def has_run_permission(self, request: HttpRequest) -> bool:
        return user_of(request).has_perm("executions_app.add_workflowexecution")

    @override
    def may(self, request: HttpRequest, workflow: Workflow) -> dict[str, bool]:
        can_run = self.has_run_permission(request) and Verb.RUN in workflow.rights_of(user_of(request))
        return {**super().may(request, workflow), "run": can_run}

    @override
    def buttons(self, workflow: Workflow, may: Mapping[str, bool]) -> Sequence[Button]:
        return [Button(title=_("Run…"), url=url_of(workflow, "run"))] if may["run"] else []

    @override
    def template_of(self, name: str) -> str:
        return f"executions_app/workflow/{name}.html" if name in ("change", "run") else super().template_of(name)

    @override
    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        shown = cast("Sequence[Any]", changelist.result_list)
        runs = newest_runs([workflow.pk for workflow in shown], _BARS)
        for workflow in shown:
            workflow.last_of_it = runs.get(workflow.pk, [])
        return changelist

    @admin.display(description=gettext_lazy("last runs"))
    def last_runs(self, workflow: Any) -> SafeString:
        return bars_of(workflow.last_of_it)

    @override
    def overview_context(self, request: HttpRequest, workflow: Workflow) -> dict[str, Any]:
        executions = reverse("admin:executions_app_workflowexecution_changelist")
        median = median_ms(workflow)
        return {
            **super().overview_context(request, workflow),
            "runs": [(row, reason_word(row.execution.reason)) for row in run_rows(workflow, _RUNS, median)],
            "median": median,
            "executions_url": f"{executions}?workflow={workflow.pk}",
        }

    @admin.action(description=gettext_lazy("Run selected workflows"), permissions=["run"])
    def run_selected(self, request: HttpRequest, chosen: QuerySet[Workflow]) -> None:
        batch = start_each(chosen.defer(None), user_of(request))
        count = len(batch.started) + len(batch.skipped)
        sentence = ngettext(
            "%(done)s of %(count)s workflow is started.", "%(done)s of %(count)s workflows are started.", count
        ) % {"done": len(batch.started), "count": count}
        links = ((execution_url(execution.pk), workflow.name) for workflow, execution in batch.started[:TOLD])
        told = format_html("{} {}", sentence, format_html_join(", ", '<a href="{}">{}</a>', links))
        self.message_user(request, told, messages.SUCCESS if batch.started else messages.WARNING)
        for workflow, error in batch.skipped[:TOLD]:
            page = "run" if isinstance(error, NeedsInput | InvalidInput) else "change"
            reason = _("skipped. %(reason)s") % {"reason": error}
            self.message_user(request, self.told(workflow, reason, page), messages.WARNING)
        self.tell_rest(request, len(batch.skipped) - TOLD)

    def run_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        """The input as a form of fields, or as JSON with `?as=json`."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        demand(user_of(request), Verb.RUN, workflow)
        fields = input_fields(workflow.head.get("input_schema"))
        as_json = not fields or request.GET.get("as") == "json"
        shown = [] if as_json else fields
        if request.method != "POST":
            source, given = self._given(request, workflow, fields)
            # A box for what was not given last time is as the schema suggests.
            given = given if as_json else {**defaults(fields), **given}
            return self._run_page(request, workflow, RunForm(shown, given), fields, source=source)
        form = RunForm(shown, {}, request.POST)
        if form.is_valid():
            accepted = self._started(request, workflow, form)
            if accepted is not None:
                if not accepted.created:
                    self.message_user(
                        request, _("This form had started this execution already: nothing new was started.")
                    )
                return HttpResponseRedirect(execution_url(accepted.execution.pk))
        return self._run_page(request, workflow, form, fields)

    def _started(self, request: HttpRequest, workflow: Workflow, form: RunForm) -> Accepted | None:
        """None where it was refused, and the form says why."""
        wanted = StartRequest(
            target=workflow,
            input=form.input(),
            labels=form.labels(),
            user=user_of(request),
            idempotency_key=form.idempotency_key(),
        )
        try:
            return start(wanted)
        except Forbidden:
            raise
        except InvalidInput as error:
            form.add_violations(error.problems)
        except (RunError, DefinitionError) as error:
            form.add_error(None, str(error))
        return None

    def _run_page(
        self,
        request: HttpRequest,
        workflow: Workflow,
        form: RunForm,
        fields: Sequence[InputField],
        source: uuid.UUID | None = None,
    ) -> HttpResponse:
        return self.render(
            request,
            workflow,
            "run",
            subtitle=_("Run"),
            form=form,
            has_fields=bool(fields),
            as_json=not fields or request.GET.get("as") == "json",
            source=None if source is None else execution_url(source),
        )

    def _given(
        self, request: HttpRequest, workflow: Workflow, fields: Sequence[InputField]
    ) -> tuple[uuid.UUID | None, JsonObject]:
        """What the form is filled in with: the input of an execution, with its id, or what the schema suggests."""
        wanted = request.GET.get("from", "")
        if wanted == "defaults":
            return None, defaults(fields)
        if wanted:
            try:
                execution = execution_for(user_of(request), wanted)
            except ExecutionNotFound as error:
                raise Http404(str(error)) from error
            return execution.pk, execution.input
        last = last_given(user_of(request), workflow)
        return last or (None, defaults(fields))
