"""Names that only one may have."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from django.db import IntegrityError, transaction


@contextmanager
def unique_name(taken: Exception) -> Generator[None]:
    """A transaction in which the only constraint that can be hurt is that of the name: then `taken` is raised."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise taken from error
