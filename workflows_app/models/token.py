"""What programs show instead of a password: API tokens, and tickets that open one socket."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, override

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.models.fields import JsonTextField

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class Scope(StrEnum):
    """What a token may be used for, within what its user may do."""

    # Look at workflows, executions and tools.
    READ = "read"
    # Start and cancel executions, try tools.
    RUN = "run"
    # Make, change, share and delete workflows.
    WRITE = "write"


class ApiToken(models.Model):
    """A secret that stands for its user; the database has nothing but its hash."""

    user: models.ForeignKey[User, User] = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=gettext_lazy("user"), on_delete=models.CASCADE, related_name="api_tokens"
    )
    name: models.CharField[str, str] = models.CharField(gettext_lazy("name"), max_length=200, blank=True, default="")
    # The beginning of the token, by which people know it again.
    prefix: models.CharField[str, str] = models.CharField(gettext_lazy("beginning"), max_length=16)
    secret_hash: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    scopes: models.Field[list[str], list[str]] = JsonTextField(gettext_lazy("scopes"))
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(gettext_lazy("made"), auto_now_add=True)
    expires_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        gettext_lazy("expires"), null=True, blank=True
    )
    # To the minute: every request of a token would be a write.
    last_used_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        gettext_lazy("last used"), null=True, blank=True
    )
    revoked_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        gettext_lazy("revoked"), null=True, blank=True
    )

    class Meta:
        ordering = ["-created_at"]
        verbose_name = gettext_lazy("API token")
        verbose_name_plural = gettext_lazy("API tokens")

    @override
    def __str__(self) -> str:
        return f"{self.prefix}... {self.name}".strip()


class SocketTicket(models.Model):
    """Opens one WebSocket within seconds, with the rights of whoever asked for it. Deleted when it is used."""

    user: models.ForeignKey[User, User] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    # Where it was asked for with a token: what it opens lasts no longer than that.
    token: models.ForeignKey[ApiToken | None, ApiToken | None] = models.ForeignKey(
        ApiToken, on_delete=models.CASCADE, null=True, related_name="+"
    )
    secret_hash: models.CharField[str, str] = models.CharField(max_length=64, unique=True)
    scopes: models.Field[list[str], list[str]] = JsonTextField()
    expires_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(db_index=True)

    if TYPE_CHECKING:
        token_id: int | None

    class Meta:
        verbose_name = gettext_lazy("socket ticket")
        verbose_name_plural = gettext_lazy("socket tickets")

    @override
    def __str__(self) -> str:
        return f"ticket of {self.user}"
