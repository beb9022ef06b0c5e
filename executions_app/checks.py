"""System checks of this app's settings."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

POSITIVE_NUMBERS = (
    "CANCEL_GRACE_SECONDS",
    "CANCEL_POLL_SECONDS",
    "MAX_EXECUTION_BYTES",
    "MAX_OUTPUT_BYTES",
    "TOOL_THREADS",
)


def check_limits(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    configured = getattr(settings, "PASTETRADER", {})
    return [
        Error(
            f"PASTETRADER['{name}'] is {configured[name]!r}.",
            hint="Set a number greater than 0, or leave the setting out.",
            id="pastetrader.E002",
        )
        for name in POSITIVE_NUMBERS
        if name in configured
        and (
            isinstance(configured[name], bool)
            or not isinstance(configured[name], (int, float))
            or not configured[name] > 0
        )
    ]


def register_checks() -> None:
    _ = register(check_limits)
