"""What the pages of things that are made once for the whole site share."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, override

from django.contrib import messages
from django.http import Http404, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from workflows_app.admin.base import AuditedAdmin
from workflows_app.admin.frame import user_of
from workflows_app.models.site import SiteModel
from workflows_app.services.audit import acting_from, address_of
from workflows_app.services.errors import SiteConflict, SiteNameTaken
from workflows_app.services.site import Edit, Shelf

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class SiteAdmin[M: SiteModel](AuditedAdmin[M]):
    """Everybody of the staff sees what there is; to change it takes the permission of the model."""

    shelf: ClassVar[Shelf[Any, Any]]
    # The name of the address of one, which has its name.
    entry: ClassVar[str]

    def url_of(self, name: str) -> str:
        return reverse(self.entry, args=[name])

    @override
    def has_module_permission(self, request: HttpRequest) -> bool:
        return user_of(request).is_staff

    @override
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return user_of(request).is_staff

    @override
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and not self.has_change_permission(request, row):
            # The form is for those who may change it.
            return HttpResponseRedirect(self.url_of(row.name))
        shown: dict[str, Any] = {"entry_url": None if row is None else self.url_of(row.name), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, shown)

    @override
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (SiteConflict, SiteNameTaken) as error:
            # Somebody else was faster than the check of the form.
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.path)

    @override
    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        with acting_from(address_of(request)):
            return super().delete_view(request, object_id, extra_context)

    @override
    def save_model(self, request: HttpRequest, obj: M, form: Any, change: bool) -> None:
        recipe = form.recipe()
        if change:
            edit = Edit(row=obj, user=user_of(request), version=form.cleaned_data["read_version"])
            saved = self.shelf.change(edit, asdict(recipe))
        else:
            saved = self.shelf.create(recipe, user_of(request))
        obj.pk, obj.version = saved.pk, saved.version

    @override
    def delete_model(self, request: HttpRequest, obj: M) -> None:
        self.shelf.delete(Edit(row=obj, user=user_of(request), version=None))

    @override
    def response_post_save_add(self, request: HttpRequest, obj: M) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.url_of(obj.name))

    @override
    def response_post_save_change(self, request: HttpRequest, obj: M) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.url_of(obj.name))

    @override
    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        """The audit has it, as all that is done here."""

    @override
    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        pass

    @override
    def log_deletions(self, request: Any, queryset: Any) -> Any:
        pass

    @override
    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        raise Http404(_("The audit has the history of this."))
