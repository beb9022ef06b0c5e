"""Market data and indicators: daily bars as they were known on a day, and what TA-Lib makes of them."""

from workflows_app.tools.market import indicators, prices, sources

__all__ = ["indicators", "prices", "sources"]
