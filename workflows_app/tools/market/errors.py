"""What can go wrong with market data."""

from collections.abc import Sequence

from workflows_app.dag.wording import listed, quoted
from workflows_app.tools.errors import NodeConfigurationError, NodeInputError

# So many symbols are named where one is unknown.
_NAMED = 10


class UnknownSymbol(NodeInputError):
    """Raised when there are no prices of a symbol, or none up to the day `until`.

    Both sound the same: that there will be prices later is not known on that day.
    """

    def __init__(self, symbol: str, until: str | None, known: Sequence[str]) -> None:
        then = "" if until is None else f" up to {until}"
        named = [*known[:_NAMED], *([f"{len(known) - _NAMED} more"] if len(known) > _NAMED else [])]
        hint = f": the symbols are {listed(named, 'and')}" if known else ""
        super().__init__(f"There are no prices of {quoted(symbol)}{then}{hint}.")


class TooFewCloses(NodeInputError):
    """Raised when an indicator needs more prices than it got."""

    def __init__(self, tool: str, periods: Sequence[int], needed: int, given: int) -> None:
        days = listed(map(str, periods), "and")
        super().__init__(
            f"Tool '{tool}' over {days} days needs at least {needed} closes, but there are {given}: "
            + "take a longer time or a shorter period."
        )


class PricesUnreadable(NodeConfigurationError):
    """Raised when the source of prices is missing, is not what it should be, or sends what is no price."""
