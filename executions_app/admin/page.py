"""The page of one execution: what it shows at once, and the JSON from which its scripts keep it true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, cast, override

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from executions_app.admin.actions import ExecutionActions
from executions_app.admin.page_data import number_of, page_context, search_of, usage_of
from executions_app.admin.sentences import with_sentences
from executions_app.inspection import inspection_json
from executions_app.journals import piece_after, pieces, search
from executions_app.pictures import edges_json, graph_json, tries_json
from executions_app.queries import execution_for, log_json
from executions_app.services.cancel import cancel
from executions_app.services.errors import ExecutionNotFound, NodeNotFound, RunError
from executions_app.services.rerun import From, rerun
from executions_app.watching import snapshot_of
from workflows_app.dag import jsontext
from workflows_app.services.audit import acting_from, address_of
from workflows_app.services.errors import DefinitionError

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django.urls import URLPattern

    from executions_app.models import WorkflowExecution

    type View = Callable[..., Any]

# Entries of the journal in one answer.
_MOST_ENTRIES = 1000
_ENTRIES = 200


class ExecutionPage(ExecutionActions):
    """Base of the admin of executions: its change page is the live page, and read only."""

    @override
    def get_urls(self) -> list[URLPattern]:
        # Before Django's own, whose last pattern takes everything.
        read: dict[str, View] = {
            "live/": self.live_view,
            "graph/": self.graph_view,
            "edges/": self.edges_view,
            "tries/": self.tries_view,
            "usage/": self.usage_view,
            "data/": self.data_view,
            "log/": self.log_view,
            "log/download/": self.download_view,
            "node/<str:key>/": self.node_view,
        }
        written: dict[str, View] = {"cancel/": self.cancel_view, "rerun/": self.rerun_view}
        views = {route: require_safe(view) for route, view in read.items()}
        views |= {route: require_POST(view) for route, view in written.items()}
        own = [
            path(
                f"<uuid:object_id>/change/{route}",
                self.admin_site.admin_view(view),
                name=f"executions_app_workflowexecution_{_name(route)}",
            )
            for route, view in views.items()
        ]
        return [*own, *super().get_urls()]

    @override
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page. It takes no form: what is done with an execution has addresses of its own."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        execution = self._found(request, object_id)
        # Links lead to pages of this site, where there are several.
        cast("Any", request).current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            **page_context(execution, _user(request)),
            "opts": self.opts,
            "may_cancel": self.has_cancel_permission(request),
            "may_rerun": self.has_rerun_permission(request),
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "executions_app/execution.html", context, headers={"Cache-Control": "no-store"}
        )

    def live_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        snapshot = snapshot_of(self._found(request, object_id).pk)
        if snapshot is None:
            raise Http404
        return HttpResponse(snapshot.text, content_type="application/json")

    def graph_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        return _json(graph_json(self._found(request, object_id)))

    def edges_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        return _json(edges_json(self._found(request, object_id)))

    def tries_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        return _json(tries_json(self._found(request, object_id)))

    def usage_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        return _json({"told": usage_of(self._found(request, object_id))})

    def data_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        execution = self._found(request, object_id)
        return _json({"input": execution.input, "output": execution.output, "error": execution.error})

    def node_view(self, request: HttpRequest, object_id: object, key: str) -> HttpResponse:
        execution = self._found(request, object_id)
        try:
            # No database takes U+0000, and no node has it.
            return _json(with_sentences(inspection_json(execution, key.replace("\0", "\ufffd"))))
        except NodeNotFound as error:
            raise Http404(str(error)) from error

    def log_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        execution = self._found(request, object_id)
        limit = min(number_of(request.GET.get("limit")) or _ENTRIES, _MOST_ENTRIES)
        found = search(execution, search_of(request.GET), limit)
        return _json({"items": [log_json(row) for row in found.items], "more": found.more})

    def download_view(self, request: HttpRequest, object_id: object) -> StreamingHttpResponse:
        execution = self._found(request, object_id)
        text = _apart(execution) if isinstance(request, ASGIRequest) else pieces(execution)
        name = f"{execution.version.name}-{execution.pk}.log"
        return StreamingHttpResponse(
            text,
            content_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def cancel_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        execution = self._found(request, object_id)
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        try:
            with acting_from(address_of(request)):
                after = cancel(execution.pk, _user(request), why=request.POST.get("why", "")[:500])
        except (RunError, DefinitionError) as error:
            return self._answer(request, execution, messages.ERROR, str(error))
        ended = _("The execution is cancelled.")
        asked = _("Its engine was asked to end the execution; nodes that are at work are told to stop.")
        return self._answer(request, execution, messages.SUCCESS, ended if after.is_finished else asked)

    def rerun_view(self, request: HttpRequest, object_id: object) -> HttpResponse:
        execution = self._found(request, object_id)
        if not self.has_rerun_permission(request):
            raise PermissionDenied
        begin = From.FAILED if request.POST.get("from") == From.FAILED else From.START
        try:
            with acting_from(address_of(request)):
                again = rerun(execution.pk, begin=begin, user=_user(request))
        except (RunError, DefinitionError) as error:
            return self._answer(request, execution, messages.ERROR, str(error))
        kept = _("This execution runs the same version on the same input again, from what failed.")
        whole = _("This execution runs the same version on the same input again, from the start.")
        return self._answer(request, again, messages.SUCCESS, kept if begin is From.FAILED else whole)

    def _found(self, request: HttpRequest, object_id: object) -> WorkflowExecution:
        """The execution, for whoever may see it: another user's does not exist."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            with acting_from(address_of(request)):
                return execution_for(_user(request), str(object_id))
        except ExecutionNotFound as error:
            raise Http404(str(error)) from error

    def _answer(self, request: HttpRequest, execution: WorkflowExecution, level: int, sentence: str) -> HttpResponse:
        """To a script the sentence, to a form the page with the sentence on it."""
        if request.headers.get("Accept") == "application/json":
            return _json({"message": sentence, "level": messages.DEFAULT_TAGS[level]})
        self.message_user(request, sentence, level)
        name = "admin:executions_app_workflowexecution_change"
        return HttpResponseRedirect(reverse(name, args=[execution.pk], current_app=self.admin_site.name))


def _json(value: object) -> HttpResponse:
    """An answer with all digits of its numbers."""
    return HttpResponse(jsontext.dumps(value, around=jsontext.LEVELS_AROUND), content_type="application/json")


async def _apart(execution: WorkflowExecution) -> AsyncIterator[str]:
    """The pieces of the journal, each fetched off the event loop."""
    seq = 0
    while piece := await sync_to_async(piece_after)(execution, seq):
        text, seq = piece
        yield text


def _user(request: HttpRequest) -> User:
    """Whoever looks: the admin lets only its users come here."""
    return cast("User", request.user)


def _name(route: str) -> str:
    """The last word of an address: `log/download/` is download, `node/<str:key>/` node."""
    return [word for word in route.split("/") if word and "<" not in word][-1]
