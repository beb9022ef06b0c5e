"""The system page: is everything well, and who has what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from executions_app.models import WorkflowExecution
from executions_app.system import MOST_CHECKED, check_records, system_for
from workflows_app.services.audit import verify

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.contrib.auth.models import User


def system_urls(site: AdminSite) -> list[URLPattern]:
    @require_http_methods(["GET", "POST"])
    def system(request: HttpRequest) -> HttpResponse:
        user = cast("User", request.user)
        if not user.has_perm("executions_app.view_system"):
            raise PermissionDenied
        shown = system_for(user)
        context: dict[str, Any] = {
            **site.each_context(request),
            "title": _("System"),
            "opts": WorkflowExecution._meta,
            "system": shown,
            "most_checked": MOST_CHECKED,
        }
        if request.method == "POST":
            match request.POST.get("check"):
                case "records" if shown.can_check:
                    context["soundness"] = check_records(user)
                case "audit":
                    context["audit"] = verify()
                case _:
                    raise PermissionDenied
        return TemplateResponse(request, "executions_app/system.html", context)

    return [path("system/", site.admin_view(system), name="pastetrader_system")]
