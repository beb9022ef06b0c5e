"""What is made once for the whole site, and named by definitions."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy

from workflows_app.models.fields import new_id

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from workflows_app.models.access import Account

    class _Manager[M: models.Model](models.Manager[M]):
        pass
else:

    class _Manager[M](models.Manager):
        pass


MAX_NAME_LENGTH = 100


class SiteManager[M: SiteModel](_Manager[M]):
    """What there is, and what of it exists for a user."""

    def visible_to(self, user: Account) -> models.QuerySet[M]:
        """Those that are switched on are everybody's; the others are seen by whoever may change them."""
        if not user.is_active:
            return self.none()
        return self.all() if user.has_perm(self.model.permission("change")) else self.filter(is_active=True)


class SiteModel(models.Model):
    """One for the whole site; `version` counts its changes."""

    id: models.UUIDField[uuid.UUID, uuid.UUID] = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name: models.CharField[str, str] = models.CharField(gettext_lazy("name"), max_length=MAX_NAME_LENGTH, unique=True)
    description: models.TextField[str, str] = models.TextField(gettext_lazy("description"), blank=True, default="")
    is_active: models.BooleanField[bool, bool] = models.BooleanField(gettext_lazy("active"), default=True)
    version: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=1, editable=False)
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now_add=True)
    updated_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now=True)
    created_by: models.ForeignKey[User | None, User | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )

    class Meta:
        abstract = True
        ordering = ["name"]

    @classmethod
    def permission(cls, verb: str) -> str:
        """The permission that it takes to `add`, `change` or `delete` one."""
        return f"{cls._meta.app_label}.{verb}_{cls._meta.model_name}"
