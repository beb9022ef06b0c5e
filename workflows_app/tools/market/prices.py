"""The tool `market.prices`: daily bars of a symbol as they were known on a day."""

from decimal import Decimal
from typing import NotRequired, TypedDict, cast

from workflows_app.tools.context import ToolContext
from workflows_app.tools.market import sources
from workflows_app.tools.market.bars import COLUMNS, Days
from workflows_app.tools.market.errors import UnknownSymbol
from workflows_app.tools.registry import tool


class Prices(TypedDict):
    symbol: str
    closes: list[Decimal]
    dates: list[str]
    # Where the source has them.
    opens: NotRequired[list[Decimal]]
    highs: NotRequired[list[Decimal]]
    lows: NotRequired[list[Decimal]]
    volumes: NotRequired[list[Decimal]]


@tool("market.prices", effect="none")
async def prices(context: ToolContext, symbol: str, until: str | None = None, since: str | None = None) -> Prices:
    """Daily prices of a symbol, oldest first, from the day `since` up to and including the day `until` (ISO dates)."""
    days = Days.read(since, until)
    source = sources.current()
    found = await source.bars(symbol, days, context)
    # Whatever a source gives: what was not known on that day does not exist.
    known = found.up_to(days.until)
    if not known.dates:
        raise UnknownSymbol(symbol, days.until, await source.symbols(days.until, context))
    asked = known.since(days.since)
    columns = {f"{name}s": list(asked.columns[name]) for name in COLUMNS if name in asked.columns}
    result = {"symbol": symbol, "closes": columns["closes"], "dates": list(asked.dates), **columns}
    return cast("Prices", cast("object", result))
