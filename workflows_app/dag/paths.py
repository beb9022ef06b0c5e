"""Dotted paths into JSON values: `rows.0.price`."""

# No list is longer.
_MOST_DIGITS = 9


def index_of(step: str) -> int | None:
    """What a step counts in a list, from 0; None where it is no number, and can only be a key."""
    return int(step) if step.isascii() and step.isdecimal() and len(step) <= _MOST_DIGITS else None
