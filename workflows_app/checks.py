"""System checks of this app's settings."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register

from workflows_app.conf import workflow_settings


def check_market_data(app_configs: Any, **_kwargs: Any) -> Sequence[CheckMessage]:
    del app_configs
    path = workflow_settings().market_data
    if path is None or path.is_file():
        return []
    return [
        Error(
            f"PASTETRADER['MARKET_DATA'] is {path}, which is not a file.",
            hint="Name a CSV file with the columns Ticker, Date and Close, or leave the setting out.",
            id="pastetrader.E001",
        )
    ]


def register_checks() -> None:
    _ = register(check_market_data)
