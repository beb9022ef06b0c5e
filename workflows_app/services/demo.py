"""The demo workflows of a site, for a user who has none yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import transaction

from workflows_app.conf import workflow_settings
from workflows_app.models import Workflow
from workflows_app.services.documents import read
from workflows_app.services.editing import create
from workflows_app.services.errors import NameTaken

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def demo_files() -> Sequence[Path]:
    """The documents in the folder of `PASTETRADER["DEMO"]`; none where it is not set."""
    folder = workflow_settings().demo
    return [] if folder is None else sorted(folder.glob("*.yaml"))


def load_demo(owner: User) -> Sequence[Workflow]:
    """Those workflows that were made; what the owner has under these names stays as it is.

    Raises `InvalidDefinition`; then nothing is saved.
    """
    made: list[Workflow] = []
    with transaction.atomic():
        for path in demo_files():
            source = read(path.read_text(encoding="utf-8"))
            try:
                with transaction.atomic():
                    made.append(create(source, owner))
            except NameTaken:
                continue
    return made
