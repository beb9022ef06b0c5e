"""The audit, to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, override

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from workflows_app.admin.words import deed_word, object_word
from workflows_app.dag import jsontext
from workflows_app.models import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.http import HttpRequest
    from django.utils.safestring import SafeString

    _Base = admin.ModelAdmin[AuditEntry]
else:
    _Base = admin.ModelAdmin


class _WordFilter(admin.AllValuesFieldListFilter):
    """A filter by the values of a column, each with the word for it."""

    word: Callable[[str], str]

    @override
    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": self.word(str(choice["display"]))}


class DeedFilter(_WordFilter):
    word = staticmethod(deed_word)


class ObjectFilter(_WordFilter):
    word = staticmethod(object_word)


@admin.register(AuditEntry)
class AuditAdmin(_Base):
    """Who did what; for whoever has the permission to view it."""

    list_display = ("at", "actor_name", "deed", "kind", "object_id", "address")
    list_filter = (("verb", DeedFilter), ("object_type", ObjectFilter))
    search_fields = ("actor_name", "object_id", "address")
    date_hierarchy = "at"
    show_full_result_count = False
    list_per_page = 50
    fields = ("at", "actor_name", "deed", "kind", "object_id", "address", "details", "seal")

    @admin.display(description=gettext_lazy("deed"), ordering="verb")
    def deed(self, entry: AuditEntry) -> SafeString:
        """In words, and as filters and the API of other systems know it."""
        return format_html("{} <code>{}</code>", deed_word(entry.verb), entry.verb)

    @admin.display(description=gettext_lazy("kind of object"), ordering="object_type")
    def kind(self, entry: AuditEntry) -> str:
        return object_word(entry.object_type)

    @admin.display(description=gettext_lazy("details"))
    def details(self, entry: AuditEntry) -> str:
        return jsontext.dumps(entry.data)

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
