"""The calls of an agent in memory, bounded as the engine bounds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from workflows_app.agents.calls import NOTHING, UNBOUNDED, Begun, Caps, Closing, Opening, Quote, Spent
from workflows_app.agents.errors import BudgetExceeded


@dataclass
class Recorded:
    """One call. `closing` is None while it is open."""

    opening: Opening
    reserved: Spent
    closing: Closing | None = None
    text: str = ""
    writes: int = 0

    @property
    def end(self) -> Closing:
        assert self.closing is not None
        return self.closing

    @property
    def told(self) -> tuple[str, str, str]:
        return self.opening.kind, self.opening.name, self.end.outcome


@dataclass
class RecordedCalls:
    """`caps` bound all calls together; the budget of an attempt is the one of its node here."""

    caps: Caps = UNBOUNDED
    made: list[Recorded] = field(default_factory=list)
    # The names for which turns were waited for, and how many calls had been made by then.
    turns: list[tuple[tuple[str, ...], int]] = field(default_factory=list)

    @property
    def spent(self) -> Spent:
        return sum((call.end.spent for call in self.made), NOTHING)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [call.told for call in self.made]

    async def turn(self, tools: Sequence[str]) -> None:
        self.turns.append((tuple(tools), len(self.made)))

    async def begin(self, opening: Opening, quote: Quote | None = None) -> Begun:
        reserved = NOTHING
        if quote is not None:
            asked = quote(self._left())
            if asked is None:
                raise BudgetExceeded("The budget is used up.")
            reserved = asked
        self.made.append(Recorded(opening, reserved))
        return Begun(len(self.made), reserved)

    def end(self, number: int, closing: Closing) -> None:
        call = self.made[number - 1]
        assert call.closing is None, "A call ends once."
        call.closing = closing

    def write(self, number: int, text: str) -> None:
        call = self.made[number - 1]
        assert call.closing is None, "What is written comes before the end."
        call.text += text
        call.writes += 1

    def _left(self) -> Caps:
        spent, caps = self.spent, self.caps
        return Caps(
            max_requests=None if caps.max_requests is None else caps.max_requests - spent.requests,
            max_tokens=None if caps.max_tokens is None else caps.max_tokens - spent.tokens,
            max_cost=None if caps.max_cost is None else caps.max_cost - (spent.cost or 0),
        )
