"""The audit, to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django.contrib import admin

from workflows_app.models import AuditEntry

if TYPE_CHECKING:
    from django.http import HttpRequest

    _Base = admin.ModelAdmin[AuditEntry]
else:
    _Base = admin.ModelAdmin


@admin.register(AuditEntry)
class AuditAdmin(_Base):
    """Who did what; for whoever has the permission to view it."""

    list_display = ("at", "actor_name", "verb", "object_type", "object_id", "address")
    list_filter = ("verb", "object_type")
    search_fields = ("actor_name", "object_id", "address")
    date_hierarchy = "at"
    show_full_result_count = False
    list_per_page = 50

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
