"""Who did what, when and from where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, override

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject
from workflows_app.models.fields import JsonTextField

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    _AuditQuerySetBase = models.QuerySet["AuditEntry"]
else:
    _AuditQuerySetBase = models.QuerySet


class AuditIsAppendOnly(TypeError):
    """Raised when something tries to change or delete what is on record."""

    def __init__(self) -> None:
        super().__init__("An audit entry is never changed or deleted: write another one.")


class _AppendOnly(_AuditQuerySetBase):
    @override
    def update(self, **kwargs: Any) -> NoReturn:
        raise AuditIsAppendOnly

    @override
    def delete(self) -> NoReturn:
        raise AuditIsAppendOnly


class AuditEntry(models.Model):
    """One deed of a user. It outlives the user and the object."""

    actor: models.ForeignKey[User | None, User | None] = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    actor_name: models.CharField[str, str] = models.CharField(gettext_lazy("user"), max_length=200)
    # `workflow.replaced`, `execution.started`.
    verb: models.CharField[str, str] = models.CharField(gettext_lazy("deed"), max_length=40)
    object_type: models.CharField[str, str] = models.CharField(gettext_lazy("kind of object"), max_length=40)
    object_id: models.CharField[str, str] = models.CharField(gettext_lazy("object"), max_length=200)
    # Empty where the deed came from no other machine.
    address: models.CharField[str, str] = models.CharField(
        gettext_lazy("address"), max_length=64, blank=True, default=""
    )
    at: models.DateTimeField[datetime, datetime] = models.DateTimeField(
        gettext_lazy("time"), default=timezone.now, db_index=True
    )
    data: models.Field[JsonObject, JsonObject] = JsonTextField(gettext_lazy("details"), default=dict)
    # Made of this entry, the one before it and the secret key. Empty in entries that are older than seals.
    seal: models.CharField[str, str] = models.CharField(gettext_lazy("seal"), max_length=64, blank=True, default="")

    objects = _AppendOnly.as_manager()

    if TYPE_CHECKING:
        actor_id: int | None

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = gettext_lazy("audit entry")
        verbose_name_plural = gettext_lazy("audit entries")
        indexes = [models.Index(fields=["object_type", "object_id"], name="audit_by_object")]

    @override
    def __str__(self) -> str:
        return f"{self.actor_name}: {self.verb} {self.object_id}"

    @override
    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AuditIsAppendOnly
        super().save(*args, **kwargs)

    @override
    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditIsAppendOnly

    def sealed(self, before: str, key: str | None = None) -> str:
        """The seal of this entry behind the one with the seal `before`; by the secret key, or an earlier one."""
        content = [
            before, self.actor_id, self.actor_name, self.verb, self.object_type, self.object_id, self.address,
            self.at.astimezone(UTC).isoformat(), self.data,
        ]  # fmt: skip
        return salted_hmac("pastetrader.audit", jsontext.dumps(content), secret=key, algorithm="sha256").hexdigest()
