"""The list of executions: pages that come from an index, without a count of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList

from executions_app.admin.filters import filter_of, misread
from executions_app.listing import rows_page
from workflows_app.models.pages import InvalidCursor

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest

    from executions_app.models import WorkflowExecution


class ExecutionList(ChangeList):
    """A page begins after a cursor, which stands in the URL as `p`: deep pages cost what the first one does."""

    # The link to the page after this one, None at the end; and whether this is the first one.
    older: str | None
    is_first: bool

    @override
    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[WorkflowExecution]:
        """All that an action may be asked for; what a page shows is chosen in `get_results`."""
        self.filter_specs, self.has_filters, _, _, self.has_active_filters = self.get_filters(request)
        self.clear_all_filters_qs = self.get_query_string(remove=list(self.get_filters_params()))
        return cast("QuerySet[WorkflowExecution]", self.root_queryset)

    @override
    def get_results(self, request: HttpRequest) -> None:
        cursor = request.GET.get(PAGE_VAR)
        try:
            page = rows_page(cast("User", request.user), filter_of(request), self.list_per_page, cursor)
        except InvalidCursor as error:
            raise IncorrectLookupParameters(str(error)) from error
        if request.method == "GET":
            for sentence in misread(request):
                messages.warning(request, sentence)
        found: Any = page.items
        self.result_list = found
        self.result_count = len(page.items)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = bool(page.items)
        self.can_show_all = False
        self.multi_page = page.next is not None or cursor is not None
        self.older = None if page.next is None else self.get_query_string({PAGE_VAR: page.next})
        self.is_first = cursor is None

    @property
    def newest(self) -> str:
        """The link to the first page."""
        return self.get_query_string()
