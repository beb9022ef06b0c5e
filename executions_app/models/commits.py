"""The engine's transactions, each with a name, so that a test can strike right before and right after any commit."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from django.db import transaction

# Called with the name of a commit and "before" or "after"; only fault harnesses set it.
strike: Callable[[str, str], None] | None = None


@contextmanager
def committed(name: str) -> Generator[None]:
    """A transaction that is durable when the block has been left."""
    with transaction.atomic():
        yield
        if strike is not None:
            strike(name, "before")
    if strike is not None:
        strike(name, "after")
