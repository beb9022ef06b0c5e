"""What all pages of the admin share."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, override

from django.contrib import admin

from workflows_app.services.audit import acting_from, address_of

if TYPE_CHECKING:
    from django.db.models import Model
    from django.http import HttpRequest, HttpResponse

    class _Base[M: Model](admin.ModelAdmin[M]):
        pass
else:

    class _Base[M](admin.ModelAdmin):
        pass


def offer_users(field: Any, request: Any) -> None:
    """Let a form's field choose whom something is for: yourself, and for superusers every active user."""
    chosen = field.queryset.filter(is_active=True)
    field.queryset = chosen if request.user.is_superuser else chosen.filter(pk=request.user.pk)
    field.initial = request.user.pk


class AuditedAdmin[M: Model](_Base[M]):
    """What is done here has the address of who did it in the audit."""

    def page(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """A further view of this admin, for `get_urls`: for staff, with a CSRF token, and audited."""

        def audited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            with acting_from(address_of(request)):
                return view(request, *args, **kwargs)

        return self.admin_site.admin_view(update_wrapper(audited, view))

    @override
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_from(address_of(request)):
            return super().changeform_view(request, *args, **kwargs)

    @override
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_from(address_of(request)):
            return super().changelist_view(request, *args, **kwargs)
