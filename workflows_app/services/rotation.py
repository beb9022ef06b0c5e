"""Encrypting every secret anew under the first key of the ring, so that the others can be thrown away."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from workflows_app.models import Credential
from workflows_app.services.errors import SecretUnreadable
from workflows_app.services.vault import Sealed, present_key_id, seal, unseal

BATCH = 100


@dataclass(slots=True, kw_only=True)
class Rotation:
    """What a rotation did: `unreadable` says for each secret that it could not read why."""

    key_id: str
    rotated: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def rotate(*, dry_run: bool = False, batch: int = BATCH) -> Rotation:
    """Take what an earlier key encrypted, a batch in a transaction; one that is interrupted is simply begun again.

    A secret that its owner sets meanwhile keeps the owner's value. Raises `NoCredentialKeys`.
    """
    rotation = Rotation(key_id=present_key_id())
    # A secret that was set meanwhile, by a process that has the earlier key first, is met in the next round.
    while _round(rotation, dry_run=dry_run, batch=batch):
        rotation.unreadable.clear()
    return rotation


def _round(rotation: Rotation, *, dry_run: bool, batch: int) -> bool:
    """Go once through what is left; whether something was changed by others meanwhile."""
    after, was_changed = uuid.UUID(int=0), False
    while True:
        left = Credential.objects.exclude(key_id=rotation.key_id).filter(pk__gt=after)
        rows = list(left.select_related("owner").order_by("pk")[:batch])
        if not rows:
            return was_changed
        after = rows[-1].pk
        sealed = _sealed(rows, rotation)
        if dry_run:
            rotation.rotated += len(sealed)
        else:
            written = _write(sealed)
            rotation.rotated += written
            was_changed = was_changed or written < len(sealed)


def _sealed(rows: Sequence[Credential], rotation: Rotation) -> list[tuple[Credential, Sealed]]:
    found: list[tuple[Credential, Sealed]] = []
    for row in rows:
        try:
            found.append((row, seal(row.pk, row.owner_id, unseal(row))))
        except SecretUnreadable as error:
            rotation.unreadable.append((f"{row.owner.get_username()}/{row.name}", str(error)))
    return found


def _write(sealed: Sequence[tuple[Credential, Sealed]]) -> int:
    """Only over the ciphertext that was read; how many were written."""
    with transaction.atomic():
        return sum(
            Credential.objects.filter(pk=row.pk, ciphertext=row.ciphertext).update(**new._asdict())
            for row, new in sealed
        )
