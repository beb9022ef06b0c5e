"""What all pages of one workflow share: who sees it, what its tabs are, and how a refusal looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, cast, override

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from workflows_app.admin.base import AuditedAdmin
from workflows_app.models import Workflow
from workflows_app.models.access import Verb, can
from workflows_app.queries import visible_workflows, workflow_for
from workflows_app.services.audit import acting_from, address_of
from workflows_app.services.editing import Edit
from workflows_app.services.errors import Forbidden, WorkflowNotFoundError

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    from workflows_app.models.access import Guarded

type View = Callable[[HttpRequest, Workflow], HttpResponse]
# No workflow has it: text that is no version is stale.
_NO_VERSION = 0
_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A page of a workflow; `name` is that of its URL."""

    name: str
    title: str
    url: str
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A way to a page where something is done."""

    title: str
    url: str


def user_of(request: HttpRequest) -> User:
    return cast("User", request.user)


class WorkflowFrame(AuditedAdmin[Workflow]):
    """Whoever has the model permission sees the workflows that `visible_to` finds, and of them what a role allows."""

    # The pages of a workflow in their order, by the name of their URL.
    tab_names: ClassVar[Sequence[str]] = ("change", "nodes", "document", "versions", "history", "settings")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Workflow]:
        return visible_workflows(user_of(request)).order_by("name", "pk").select_related("owner").defer("head")

    @override
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request) and _may(request, Verb.READ, obj)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request) and _may(request, Verb.EDIT, obj)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request) and _may(request, Verb.DELETE, obj)

    def may(self, request: HttpRequest, workflow: Workflow) -> dict[str, bool]:
        """What a user may do with a workflow here, for its pages: by role, and by the permissions of the model."""
        rights = workflow.rights_of(user_of(request))
        changes = self.has_change_permission(request)
        return {
            "edit": changes and Verb.EDIT in rights,
            "share": changes and Verb.SHARE in rights,
            "delete": self.has_delete_permission(request) and Verb.DELETE in rights,
            "duplicate": self.has_add_permission(request),
        }

    def tab_titles(self) -> Mapping[str, str]:
        return {
            "change": _("Overview"),
            "nodes": _("Nodes and edges"),
            "document": _("Document"),
            "versions": _("Versions"),
            "history": _("History"),
            "settings": _("Settings"),
        }

    def tabs(self, workflow: Workflow, here: str) -> list[Tab]:
        titles = self.tab_titles()
        return [
            Tab(name=name, title=titles[name], url=url_of(workflow, name), is_here=name == here)
            for name in self.tab_names
        ]

    def buttons(self, workflow: Workflow, may: Mapping[str, bool]) -> Sequence[Button]:
        """What stands first beside the name."""
        return ()

    def of_workflow(self, route: str, name: str, view: View) -> URLPattern:
        """The URL of a page of one workflow, for `get_urls`."""

        def found(request: HttpRequest, object_id: object) -> HttpResponse:
            return self.show(request, object_id, view)

        return path(f"<uuid:object_id>/{route}", self.page(found), name=f"workflows_app_workflow_{name}")

    def show(self, request: HttpRequest, object_id: object, view: View) -> HttpResponse:
        """A view of the workflow with this id, which does not exist for those who may not read it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        with acting_from(address_of(request)):
            try:
                workflow = workflow_for(user_of(request), str(object_id))
            except WorkflowNotFoundError as error:
                raise Http404(str(error)) from error
            try:
                return view(request, workflow)
            except Forbidden as error:
                return self.refused(request, workflow, str(error))

    def refused(self, request: HttpRequest, workflow: Workflow, sentence: str) -> HttpResponse:
        return self.render(
            request, workflow, "refused", status=HTTPStatus.FORBIDDEN, subtitle=_("Not allowed"), sentence=sentence
        )

    def render(
        self, request: HttpRequest, workflow: Workflow, template: str, *, status: int = HTTPStatus.OK, **more: Any
    ) -> TemplateResponse:
        """A page of a workflow; `template` is the name of the tab whose page it is, or of a page of its own."""
        here = more.pop("tab", template)
        titles = self.tab_titles()
        may = self.may(request, workflow)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "workflow": workflow,
            "title": workflow.name,
            "subtitle": titles.get(here, ""),
            "tabs": self.tabs(workflow, here),
            "may": may,
            "buttons": self.buttons(workflow, may),
            **more,
        }
        return TemplateResponse(request, self.template_of(template), context, status=status)

    def template_of(self, name: str) -> str:
        return f"workflows_app/workflow/{name}.html"

    def demand_add(self, request: HttpRequest) -> None:
        if not self.has_add_permission(request):
            raise PermissionDenied

    def demand_change(self, request: HttpRequest) -> None:
        """Raise `PermissionDenied` for staff who may change no workflow at all."""
        if not self.has_change_permission(request):
            raise PermissionDenied


def _may(request: HttpRequest, verb: Verb, obj: Guarded | None) -> bool:
    return obj is None or can(user_of(request), verb, obj)


def url_of(workflow: Workflow, name: str) -> str:
    return reverse(f"admin:workflows_app_workflow_{name}", args=[workflow.pk])


def edit_of(request: HttpRequest, workflow: Workflow) -> Edit:
    """A change of the version that its form was filled in for, or of the one over which it is to be saved."""
    text = request.POST.get("overwrite") or request.POST.get("version", "")
    version = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else _NO_VERSION
    return Edit(workflow=workflow, user=user_of(request), version=version)
