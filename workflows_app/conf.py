"""The settings of this app: the `PASTETRADER` dict, read when needed and typed."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSettings:
    """`market_data`: a CSV file with the columns Ticker, Date and Close for `market.prices`; None: the bundled one."""

    market_data: Path | None = None


def workflow_settings() -> WorkflowSettings:
    configured = getattr(settings, "PASTETRADER", {})
    market_data = configured.get("MARKET_DATA")
    return WorkflowSettings(market_data=Path(market_data) if market_data else None)
