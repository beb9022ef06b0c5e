"""The document of a workflow: shown, checked, replaced, downloaded; and imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.admin.definition import DefinitionPages, differences_shown, version_among
from workflows_app.admin.findings import findings, stored_problems
from workflows_app.admin.forms import ImportForm
from workflows_app.admin.frame import edit_of, url_of, user_of
from workflows_app.conf import workflow_settings
from workflows_app.dag import yamltext
from workflows_app.dag.differences import differences
from workflows_app.dag.problems import errors_of, warnings_of
from workflows_app.history import document_from, versions_of
from workflows_app.services import editing
from workflows_app.services.documents import Format, Saved, Source, document_of, export, problems_of, submitted
from workflows_app.services.errors import DefinitionError, Forbidden, InvalidDefinition, VersionConflict

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.urls import URLPattern

    from workflows_app.dag.problems import Problem
    from workflows_app.dag.types import JsonObject
    from workflows_app.models import Workflow

_MEGABYTE = 1024 * 1024
# An uploaded text that is refused is shown to be mended, if somebody can.
_MENDED_BY_HAND = _MEGABYTE
_CONTENT_TYPES = {Format.YAML: "application/yaml; charset=utf-8", Format.JSON: "application/json; charset=utf-8"}


class DocumentPages(DefinitionPages):
    @override
    def get_urls(self) -> list[URLPattern]:
        return [
            path("import/", self.page(self.import_view), name="workflows_app_workflow_import"),
            self.of_workflow("document/", "document", self.document_view),
            self.of_workflow("document/download/", "download", self.download_view),
            *super().get_urls(),
        ]

    def download_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        try:
            form = Format(request.GET.get("format", Format.YAML))
        except ValueError as error:
            raise Http404(_("A document is YAML or JSON.")) from error
        return attachment(export(workflow, form), _CONTENT_TYPES[form], f"{workflow.name}.{form}")

    def document_view(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        if request.method != "POST":
            return self._editor(request, workflow)
        text = request.POST.get("text", "").replace("\r\n", "\n")
        try:
            source = submitted(text)
        except InvalidDefinition as error:
            return self._document(request, workflow, text, problems=error.problems)
        if "check" in request.POST:
            return self._checked(request, workflow, text, source)
        self.demand_change(request)
        return self._replace(request, workflow, text, source)

    def _editor(self, request: HttpRequest, workflow: Workflow) -> HttpResponse:
        """The text as it is, or with `?of=` that of an earlier version, to be saved as a new one."""
        key = request.GET.get("of")
        if not key:
            found = findings(stored_problems(workflow))
            text = export(workflow, Format.YAML)
            return self.render(request, workflow, "document", text=text, findings=found, version=workflow.version)
        version = version_among(versions_of(workflow), key)
        text = yamltext.dump(document_from(workflow, version))
        return self._checked(request, workflow, text, submitted(text), earlier=version.number)

    def _replace(self, request: HttpRequest, workflow: Workflow, text: str, source: Source) -> HttpResponse:
        try:
            saved = editing.replace(edit_of(request, workflow), source)
        except Forbidden:
            raise
        except InvalidDefinition as error:
            return self._document(request, workflow, text, problems=error.problems)
        except VersionConflict as error:
            workflow.refresh_from_db()
            changes = _changes(workflow, source)
            return self._document(request, workflow, text, conflict=str(error), differences=changes)
        except DefinitionError as error:
            return self._document(request, workflow, text, refusal=str(error))
        if saved.version == workflow.version:
            self.message_user(request, _("The document says the same as before: nothing was changed."))
        else:
            sentence = _("The document is saved as version %(number)s.") % {"number": saved.version}
            self.message_user(request, sentence, messages.SUCCESS)
        self._warn(request, problems_of(source))
        return HttpResponseRedirect(url_of(saved, "document"))

    def _checked(
        self, request: HttpRequest, workflow: Workflow, text: str, source: Source, **more: Any
    ) -> HttpResponse:
        """What would come of the text, without saving it."""
        problems = problems_of(source)
        changes = None if errors_of(problems) else _changes(workflow, source)
        return self._document(request, workflow, text, problems=problems, differences=changes, checked=True, **more)

    def _document(
        self, request: HttpRequest, workflow: Workflow, text: str, *, problems: list[Problem] | None = None, **more: Any
    ) -> HttpResponse:
        """The page with the text as it was typed, for the version that it was typed for."""
        return self.render(
            request,
            workflow,
            "document",
            text=text,
            version=request.POST.get("version", workflow.version),
            findings=findings(problems or [], text),
            **more,
        )

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """A new workflow of whoever sends it, or a new version of the one of that name."""
        self.demand_add(request)
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method != "POST" or not form.is_valid():
            return self._import(request, form)
        file = form.cleaned_data["file"]
        content: str | bytes = form.cleaned_data["text"]
        if file is not None:
            limit = workflow_settings().document_bytes
            # One byte more than may be is enough to refuse it.
            content = file.read(limit + 1)
        elif not content.strip():
            form.add_error(None, _("Choose a file, or paste the text of a document."))
            return self._import(request, form)
        try:
            source = submitted(content)
            may_replace = self.has_change_permission(request)
            workflow, saved = editing.put(source, user_of(request), may_replace=may_replace)
        except InvalidDefinition as error:
            text = content if isinstance(content, str) else content.decode("utf-8", "replace")
            return self._import(request, form, text=text.replace("\r\n", "\n"), problems=error.problems)
        except DefinitionError as error:
            form.add_error(None, str(error))
            return self._import(request, form)
        self.message_user(request, _imported(workflow, saved), messages.SUCCESS)
        self._warn(request, editing.problems_in(document_of(workflow)))
        return HttpResponseRedirect(url_of(workflow, "change"))

    def _import(
        self, request: HttpRequest, form: ImportForm, *, text: str | None = None, problems: list[Problem] | None = None
    ) -> HttpResponse:
        if text is not None and len(text) <= _MENDED_BY_HAND:
            form = ImportForm(initial={"text": text})
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Import a workflow"),
            "form": form,
            "findings": findings(problems or [], text or ""),
            "tried": problems is not None,
            "limit": workflow_settings().document_bytes // _MEGABYTE,
        }
        return TemplateResponse(request, self.template_of("import"), context)

    @override
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:workflows_app_workflow_import"))

    def _warn(self, request: HttpRequest, problems: list[Problem]) -> None:
        warnings = warnings_of(problems)
        if warnings:
            sentence = ngettext(
                "The validator has %(count)s warning: %(first)s",
                "The validator has %(count)s warnings, the first: %(first)s",
                len(warnings),
            ) % {"count": len(warnings), "first": f"{warnings[0].where}: {warnings[0].message}"}
            self.message_user(request, sentence, messages.WARNING)


def _changes(workflow: Workflow, source: Source) -> list[dict[str, Any]]:
    """What a text that was found good would change."""
    return differences_shown(differences(document_of(workflow), cast("JsonObject", source.document)))


def attachment(content: str | bytes, content_type: str, name: str) -> HttpResponse:
    """Names are of letters, digits and hyphens."""
    return HttpResponse(
        content, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _imported(workflow: Workflow, saved: Saved) -> str:
    match saved:
        case Saved.CREATED:
            sentence = _("The workflow '%(name)s' is imported.")
        case Saved.UPDATED:
            sentence = _("You had a workflow '%(name)s': its document was replaced, and it is version %(number)s now.")
        case Saved.UNCHANGED:
            sentence = _("You have the workflow '%(name)s' already, with the same content: nothing was changed.")
    return sentence % {"name": workflow.name, "number": workflow.version}
