"""A secret that workflows use by its name, encrypted."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, override

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.models.access import EVERYTHING, NOTHING, Verb, sees_everything
from workflows_app.models.fields import new_id

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from workflows_app.models.access import Account

    _CredentialManagerBase = models.Manager["Credential"]
else:
    _CredentialManagerBase = models.Manager


class CredentialManager(_CredentialManagerBase):
    """Credentials, and those of them that exist for a user: sharing a workflow shows nobody its owner's."""

    def visible_to(self, user: Account) -> models.QuerySet[Credential]:
        if sees_everything(user):
            return self.all()
        return self.filter(owner=user.pk) if user.is_active else self.none()


class Credential(models.Model):
    """`${{ secrets.NAME }}` in the workflows of its owner. Its value is nowhere in clear but where a node uses it."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner: models.ForeignKey[User, User] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=gettext_lazy("owner"),
        on_delete=models.CASCADE,
        related_name="credentials",
    )
    name: models.CharField[str, str] = models.CharField(
        gettext_lazy("name"),
        max_length=100,
        validators=[
            RegexValidator(
                r"^[A-Za-z_][A-Za-z0-9_]*\Z",
                gettext_lazy("Use letters, digits and underscores only, and begin with no digit."),
            )
        ],
    )
    description: models.TextField[str, str] = models.TextField(gettext_lazy("description"), blank=True, default="")
    # A Fernet token of the value together with the row and the owner that it belongs to.
    ciphertext: models.TextField[str, str] = models.TextField(editable=False)
    # Which key it was encrypted with: a fingerprint that tells nothing of the key.
    key_id: models.CharField[str, str] = models.CharField(max_length=16, editable=False, db_index=True)
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(gettext_lazy("made"), auto_now_add=True)
    updated_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(gettext_lazy("changed"), auto_now=True)
    # To the minute.
    last_used_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        gettext_lazy("last used"), null=True, blank=True, editable=False
    )

    objects = CredentialManager()

    if TYPE_CHECKING:
        owner_id: int

    class Meta:
        verbose_name = gettext_lazy("secret")
        verbose_name_plural = gettext_lazy("secrets")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="credential_unique_name")]

    @override
    def __str__(self) -> str:
        return self.name

    def rights_of(self, user: Account) -> frozenset[Verb]:
        """What a user may do with it: see `access`."""
        return EVERYTHING if user.is_active and (user.is_superuser or user.pk == self.owner_id) else NOTHING
