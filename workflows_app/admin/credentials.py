"""Secrets: set, replaced, deleted. A value goes in and is never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override

from django import forms
from django.contrib import admin
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from workflows_app.admin.base import AuditedAdmin, offer_users
from workflows_app.models import Credential
from workflows_app.queries import visible_credentials
from workflows_app.services.audit import acting_from, address_of
from workflows_app.services.errors import InvalidSecret
from workflows_app.services.secrets import NewSecret, check_secret, create_secret, delete_secret, replace_secret

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    _Form = forms.ModelForm[Credential]
else:
    _Form = forms.ModelForm

_SHOWN = ("created_at", "updated_at", "last_used_at")


class SecretForm(_Form):
    """What a secret is to be; its value is checked and kept by the service."""

    value = forms.CharField(
        label=gettext_lazy("Value"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "size": 60}),
        help_text=gettext_lazy(
            "At least 8 characters. It is kept encrypted and never shown again. One of several lines is set on "
            "the command line, or by the API."
        ),
    )

    class Meta:
        model = Credential
        fields = ("owner", "name", "description")
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}

    @override
    def clean(self) -> dict[str, Any]:
        given = cast("dict[str, Any]", super().clean())
        # On the page of a secret its name is text.
        name = given.get("name") or self.instance.name
        if given.get("value") and name:
            try:
                check_secret(NewSecret(name=name, value=given["value"]))
            except InvalidSecret as error:
                self.add_error(error.field, str(error))
        return given


class AnotherValue(SecretForm):
    """Of a secret that there is, the value may stay."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["value"].required = False
        self.fields["value"].label = gettext_lazy("Another value")
        self.fields["value"].help_text = gettext_lazy("Left empty, the value stays as it is.")


@admin.register(Credential)
class CredentialAdmin(AuditedAdmin[Credential]):
    """Superusers see the names of everybody's secrets, others with the permission their own."""

    list_display = ("name", "owner", "description", *_SHOWN)
    search_fields = ("name", "description", "owner__username")
    list_select_related = ("owner",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Credential]:
        return visible_credentials(cast("User", request.user))

    @override
    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = AnotherValue if change else SecretForm
        return super().get_form(request, obj, change, **{"form": form, **kwargs})

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        given = ("owner", "name", "description")
        if obj is None:
            return (*given, "value")
        # Who may only look is not asked for another value.
        asked = ("value",) if self.has_change_permission(request, obj) else ()
        return (*given, *asked, *_SHOWN)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # What is encrypted is bound to its owner, and workflows to its name.
        return _SHOWN if obj is None else ("owner", "name", *_SHOWN)

    @override
    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "owner":
            offer_users(field, request)
        return field

    @override
    def save_model(self, request: HttpRequest, obj: Credential, form: Any, change: bool) -> None:
        new = NewSecret(name=obj.name, value=form.cleaned_data["value"] or None, description=obj.description)
        user = cast("User", request.user)
        if change:
            _ = replace_secret(obj, new, user)
        else:
            # The pages that follow name the row that was made.
            obj.pk = create_secret(new, obj.owner, user).pk

    @override
    def delete_model(self, request: HttpRequest, obj: Credential) -> None:
        delete_secret(obj, cast("User", request.user))

    @override
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Credential]) -> None:
        for credential in queryset:
            delete_secret(credential, cast("User", request.user))

    # An error's page would have the form's content.
    @override
    @method_decorator(sensitive_post_parameters("value"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(request, *args, **kwargs)

    @override
    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_from(address_of(request)):
            return super().delete_view(request, *args, **kwargs)

    # The audit has everything.
    @override
    def log_addition(self, request: Any, obj: Any, message: Any) -> Any: ...

    @override
    def log_change(self, request: Any, obj: Any, message: Any) -> Any: ...

    @override
    def log_deletions(self, request: Any, queryset: Any) -> Any: ...
