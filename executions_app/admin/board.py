"""The dashboard's own requests: itself again, and the demo for who has nothing to run yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from executions_app.templatetags.executions import dashboard_context
from workflows_app.services.audit import acting_from, address_of
from workflows_app.services.demo import demo_files, load_demo
from workflows_app.services.errors import InvalidDefinition

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.contrib.auth.models import User


def board_urls(site: AdminSite) -> list[URLPattern]:
    @require_GET
    def board(request: HttpRequest) -> HttpResponse:
        return render(request, "executions_app/dashboard.html", dashboard_context(cast("User", request.user)))

    @require_POST
    def demo(request: HttpRequest) -> HttpResponse:
        user = cast("User", request.user)
        if not user.has_perm("workflows_app.add_workflow") or not demo_files():
            raise PermissionDenied
        try:
            with acting_from(address_of(request)):
                made = load_demo(user)
        except InvalidDefinition as error:
            messages.error(request, _("The demo was not loaded. %(why)s") % {"why": error})
        else:
            messages.success(request, _said(len(made)))
        return HttpResponseRedirect(reverse("admin:index", current_app=site.name))

    return [
        path("dashboard/", site.admin_view(board), name="pastetrader_dashboard"),
        path("demo/", site.admin_view(demo), name="pastetrader_demo"),
    ]


def _said(count: int) -> str:
    if not count:
        return _("You have all workflows of the demo already.")
    return ngettext(
        "The demo's workflow is yours now: run it.",
        "The %(count)s workflows of the demo are yours now: run one of them.",
        count,
    ) % {"count": count}
