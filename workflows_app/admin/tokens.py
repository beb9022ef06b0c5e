"""API tokens: made, seen by their beginning, revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, override

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from workflows_app.admin.base import AuditedAdmin, offer_users
from workflows_app.admin.words import SCOPE_NAMES, SCOPE_WORDS
from workflows_app.models import ApiToken
from workflows_app.models.token import Scope
from workflows_app.services.tokens import MOST_DAYS, create_token, revoke

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

    _Form = forms.ModelForm[ApiToken]
else:
    _Form = forms.ModelForm


class NewToken(_Form):
    """What a token is to be; its secret is made by the service."""

    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"),
        choices=[(str(scope), SCOPE_WORDS[scope]) for scope in Scope],
        initial=[str(scope) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.IntegerField(
        label=gettext_lazy("Days"),
        required=False,
        min_value=1,
        max_value=MOST_DAYS,
        help_text=gettext_lazy("Until it expires; empty: it never does."),
    )

    class Meta:
        model = ApiToken
        fields = ("user", "name")


@admin.register(ApiToken)
class TokenAdmin(AuditedAdmin[ApiToken]):
    """Superusers see and make the tokens of everybody, others with the permission their own."""

    list_display = ("prefix", "name", "user", "allowed", "state", "created_at", "expires_at", "last_used_at")
    list_filter = ("revoked_at",)
    search_fields = ("prefix", "name", "user__username")
    list_select_related = ("user",)
    actions = ("revoke_selected",)

    @admin.display(description=gettext_lazy("scopes"))
    def allowed(self, token: ApiToken) -> str:
        return ", ".join(str(SCOPE_NAMES[Scope(scope)]) for scope in token.scopes)

    @admin.display(description=gettext_lazy("state"))
    def state(self, token: ApiToken) -> str:
        if token.revoked_at is not None:
            return _("revoked")
        is_over = token.expires_at is not None and token.expires_at <= timezone.now()
        return _("expired") if is_over else _("good")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens = super().get_queryset(request)
        user = cast("User", request.user)
        return tokens if user.is_superuser else tokens.filter(user=user)

    @override
    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **({} if change else {"form": NewToken}), **kwargs)

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return ("prefix", "name", "user", "allowed", "state", "created_at", "expires_at", "last_used_at")
        return ("user", "name", "scopes", "days")

    @override
    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "user":
            offer_users(field, request)
        return field

    @override
    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        chosen, user = form.cleaned_data, cast("User", request.user)
        text = create_token(
            obj.user.get_username(),
            name=obj.name,
            days=chosen["days"],
            scopes=[Scope(scope) for scope in chosen["scopes"]],
            by=user,
        )
        sentence = _("The token is %(token)s. Keep it now: it cannot be shown again, only its hash is kept.") % {
            "token": text
        }
        self.message_user(request, sentence, messages.WARNING)

    @override
    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        """The audit has it."""

    @override
    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:workflows_app_apitoken_changelist"))

    @admin.action(description=gettext_lazy("Revoke selected tokens"), permissions=["add"])
    def revoke_selected(self, request: HttpRequest, chosen: QuerySet[ApiToken]) -> None:
        revoked = [token for token in chosen.select_related("user") if revoke(token, cast("User", request.user))]
        sentence = ngettext(
            "%(done)s of %(count)s token is revoked now; the others were already.",
            "%(done)s of %(count)s tokens are revoked now; the others were already.",
            len(chosen),
        ) % {"done": len(revoked), "count": len(chosen)}
        self.message_user(request, sentence)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # A token that was used stays, so that the audit's entries can be read.
        return False
