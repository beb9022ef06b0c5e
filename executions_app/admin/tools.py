"""The page of a tool with a form to try it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.core.exceptions import PermissionDenied

from executions_app.admin.run_form import TrialForm
from executions_app.services.try_tool import SECONDS, Trial, try_tool
from workflows_app.admin import ToolAdmin
from workflows_app.admin.frame import user_of
from workflows_app.dag import jsontext
from workflows_app.dag.input_fields import defaults, input_fields
from workflows_app.dag.types import Effect
from workflows_app.models import ConfiguredTool

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


admin.site.unregister(ConfiguredTool)


@admin.register(ConfiguredTool)
class TriableToolAdmin(ToolAdmin):
    """To try one takes what it takes to run a workflow: the model permission to add executions."""

    entry_template = "executions_app/tool/entry.html"

    @override
    def entry_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The form with a field for each input, or one for all of them as JSON with `?as=json`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        entry = self.found(request, name)
        may_try = user_of(request).has_perm("executions_app.add_workflowexecution")
        if not may_try:
            if request.method == "POST":
                raise PermissionDenied
            return self.entry_page(request, entry)
        fields = input_fields(entry.info.input_schema)
        as_json = not fields or request.GET.get("as") == "json"
        shown = [] if as_json else fields
        has_effect = entry.info.effect is not Effect.NONE
        trial: Trial | None = None
        if request.method == "POST":
            form = TrialForm(shown, {}, request.POST, has_effect=has_effect)
            if form.is_valid():
                trial = async_to_sync(try_tool)(entry.name, form.input(), user_of(request))
        else:
            form = TrialForm(shown, defaults(fields), has_effect=has_effect)
        return self.entry_page(
            request,
            entry,
            form=form,
            has_fields=bool(fields),
            as_json=as_json,
            seconds=SECONDS,
            **_shown(trial),
        )


def _shown(trial: Trial | None) -> dict[str, Any]:
    if trial is None:
        return {}
    return {
        "trial": trial,
        "output": jsontext.pretty(trial.output),
        "logs": [
            (line["level"], line["message"], "" if line["data"] is None else jsontext.dumps(line["data"]))
            for line in trial.logs
        ],
    }
