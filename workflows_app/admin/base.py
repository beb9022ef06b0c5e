"""What all pages of the admin share."""

from __future__ import annotations

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


class AuditedAdmin[M: Model](_Base[M]):
    """What is done here has the address of who did it in the audit."""

    @override
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_from(address_of(request)):
            return super().changeform_view(request, *args, **kwargs)

    @override
    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_from(address_of(request)):
            return super().changelist_view(request, *args, **kwargs)
