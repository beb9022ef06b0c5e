"""The calls of an agent, as its node's record has them: requests to its model, calls of its tools, what each one took.

Costs are whole billionths of the unit of the price table: they add up exactly, in every database.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from workflows_app.dag.types import Effect, JsonObject, JsonValue

# Of one unit of money.
BILLIONTHS = 10**9


class CallKind(StrEnum):
    MODEL = "model"
    TOOL = "tool"


class CallOutcome(StrEnum):
    """`refused`: it was not made; `abandoned`: nobody knows what became of it, and all that was reserved counts."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class Spent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What calls took. `cost` is None where no price is known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = None

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Spent") -> "Spent":
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Spent(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=sum(costs) if costs else None,
        )


NOTHING = Spent()


class Caps(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How much may be taken, or is left to be taken; None: no bound."""

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: int | None = None


UNBOUNDED = Caps()

# What to reserve of what is left; None: so little that the call is not to be made.
type Quote = Callable[[Caps], Spent | None]


class Opening(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call that is about to be made. `name` is the model or the tool; `arguments` are a tool's."""

    kind: CallKind
    name: str
    effect: Effect = Effect.NONE
    arguments: JsonValue = None
    # For models: who is asked.
    provider: str = ""


class Closing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a call. `error` is `{code, message, type}`; `spent` replaces what was reserved."""

    outcome: CallOutcome
    result: JsonValue = None
    error: JsonObject | None = None
    spent: Spent = NOTHING


class Begun(NamedTuple):
    """`number` counts from 1 in its attempt."""

    number: int
    reserved: Spent


class Calls(Protocol):
    """The calls of one attempt: recorded, and bounded by what the node and the execution may use.

    `turn` returns when what has these names, a tool's and its kind's, may be called once, as their rates have it.
    `begin` returns when the call is on record. It asks `quote` what to reserve, given what is left; where others have
    reserved too much, it waits until they have settled. Raises `BudgetExceeded` where nothing can come back.
    `end` is to be called once for each; what is left open counts as abandoned. `write` is for the text of an answer
    as it comes. `end` and `write` never wait.
    """

    async def turn(self, tools: Sequence[str]) -> None: ...

    async def begin(self, opening: Opening, quote: Quote | None = None) -> Begun: ...

    def end(self, number: int, closing: Closing) -> None: ...

    def write(self, number: int, text: str) -> None: ...


class Unrecorded:
    """Calls of what is no node of a run, such as a trial: nothing is kept and nothing is bounded."""

    def __init__(self) -> None:
        self._made = 0

    async def turn(self, tools: Sequence[str]) -> None:
        pass

    async def begin(self, opening: Opening, quote: Quote | None = None) -> Begun:
        del opening
        self._made += 1
        return Begun(self._made, (quote(UNBOUNDED) if quote else None) or NOTHING)

    def end(self, number: int, closing: Closing) -> None:
        pass

    def write(self, number: int, text: str) -> None:
        pass


def billionths(amount: int | Decimal) -> int:
    """An amount of money, rounded up. What is bounded by it must round down: see `limit_in_billionths`."""
    return -int(-Decimal(amount) * BILLIONTHS // 1)


def limit_in_billionths(amount: int | Decimal) -> int:
    return int(Decimal(amount) * BILLIONTHS // 1)


def amount(cost: int | None) -> Decimal | None:
    """A cost as people read it."""
    return None if cost is None else Decimal(cost) / BILLIONTHS
