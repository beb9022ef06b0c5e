"""Regular expressions by RE2: linear time, bounded memory."""

from functools import lru_cache
from typing import Any, cast

import re2

MAX_PATTERN = 1024


class PatternError(ValueError):
    """Raised for a pattern that RE2 does not take; a phrase that says why."""


@lru_cache(maxsize=256)
def matcher(pattern: str, memory: int = 1 << 20) -> Any:
    """A compiled pattern with `search`, `fullmatch` and its `programsize`, in so many bytes. Raises `PatternError`."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"it has more than {MAX_PATTERN} characters")
    engine = cast("Any", re2)
    options = engine.Options()
    options.log_errors = False
    options.max_mem = memory
    options.never_capture = True
    try:
        return engine.compile(pattern, options=options)
    except engine.error as error:
        reason = cast("Exception", error).args[0]
        raise PatternError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
