"""What the agents of one run may take together: reserved before a call, settled after it, never exceeded in between.

A reservation is an upper bound of what the call can take. What is settled and reserved together stays within the caps
of the node and of the execution at any moment, however many agents are at work. Where others have reserved what is
left, a call waits for them, in the order of asking. It belongs to one event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from workflows_app.agents.calls import NOTHING, Caps, Quote, Spent, amount, limit_in_billionths
from workflows_app.agents.errors import BudgetExceeded
from workflows_app.dag.plan import BudgetPlan
from workflows_app.dag.wording import quoted


def caps_of_budget(budget: BudgetPlan | None) -> Caps:
    """What a document allows an execution."""
    if budget is None:
        return Caps()
    return Caps(
        max_requests=budget.max_requests,
        max_tokens=budget.max_tokens,
        max_cost=None if budget.max_cost is None else limit_in_billionths(budget.max_cost),
    )


def strictest(*several: Caps) -> Caps:
    return Caps(
        max_requests=_least(caps.max_requests for caps in several),
        max_tokens=_least(caps.max_tokens for caps in several),
        max_cost=_least(caps.max_cost for caps in several),
    )


def left_of(caps: Caps, *taken: Spent) -> Caps:
    """What is left, or 0 where more was taken."""
    total = sum(taken, NOTHING)
    return Caps(
        max_requests=_less(caps.max_requests, total.requests),
        max_tokens=_less(caps.max_tokens, total.tokens),
        max_cost=_less(caps.max_cost, total.cost or 0),
    )


def fits(wanted: Spent, left: Caps) -> bool:
    """Whether so much is left. What has no price does not fit where money is bounded."""
    return (
        (left.max_requests is None or wanted.requests <= left.max_requests)
        and (left.max_tokens is None or wanted.tokens <= left.max_tokens)
        and (left.max_cost is None or (wanted.cost is not None and wanted.cost <= left.max_cost))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """What a call of a node may take, until it is settled."""

    node: int
    amount: Spent


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    node: int
    quote: Quote
    granted: asyncio.Future[Reservation]


class Budget:
    """`caps` are of the execution, `caps_of_node` of a node by its position; `spent` is what nodes took before."""

    def __init__(self, caps: Caps, caps_of_node: Callable[[int], "NamedCaps"], spent: Mapping[int, Spent]) -> None:
        self._caps = caps
        self._caps_of_node = caps_of_node
        self._settled: dict[int, Spent] = dict(spent)
        self._total: Spent = sum(spent.values(), NOTHING)
        self._reserved: set[Reservation] = set()
        self._waiting: deque[_Waiter] = deque()

    @property
    def is_idle(self) -> bool:
        return not self._reserved and not self._waiting

    async def reserve(self, node: int, quote: Quote) -> Reservation:
        """Reserve what `quote` makes of what is left. Raises `BudgetExceeded`, and what `quote` raises.

        It is asked what it would reserve if others took nothing of what they have reserved: a call waits rather than
        being content with little. A node that holds a reservation already waits for nobody: two that waited for each
        other would wait for ever.
        """
        if self._held(node) != NOTHING:
            return self._take(node, self._quoted(node, quote, self._left(node)))
        wanted = self._quoted(node, quote, self._hopes(node))
        if not self._waiting and fits(wanted, self._left(node)):
            return self._take(node, wanted)
        waiter = _Waiter(node, quote, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            # It may have been granted in the same turn of the loop.
            if not waiter.granted.cancelled() and waiter.granted.exception() is None:
                self.settle(waiter.granted.result(), NOTHING)
            self._serve()
            raise

    def settle(self, reservation: Reservation, spent: Spent) -> None:
        """Put what a call took in the place of what was reserved for it, and let those go on who waited for that."""
        self._reserved.discard(reservation)
        self.add(reservation.node, spent)
        self._serve()

    def add(self, node: int, spent: Spent) -> None:
        """Count what nobody had reserved."""
        self._settled[node] = self._settled.get(node, NOTHING) + spent
        self._total += spent

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Answer one who waits: the first, or one whose node has been granted something meanwhile, which must not wait.

        False where all wait on.
        """
        for position, one in enumerate(self._waiting):
            if not one.granted.done():
                holds = self._held(one.node) != NOTHING
                if position and not holds:
                    continue
                try:
                    left = self._left(one.node) if holds else self._hopes(one.node)
                    wanted = self._quoted(one.node, one.quote, left)
                except Exception as error:  # noqa: BLE001 - it is the waiting call's answer
                    one.granted.set_exception(error)
                else:
                    if not fits(wanted, self._left(one.node)):
                        continue
                    one.granted.set_result(self._take(one.node, wanted))
            del self._waiting[position]
            return True
        return False

    def _take(self, node: int, wanted: Spent) -> Reservation:
        reservation = Reservation(node, wanted)
        self._reserved.add(reservation)
        return reservation

    def _quoted(self, node: int, quote: Quote, left: Caps) -> Spent:
        wanted = quote(left)
        if wanted is not None and fits(wanted, left):
            return wanted
        raise BudgetExceeded(self._why_not(node, quote, left, wanted))

    def _held(self, node: int) -> Spent:
        return sum((one.amount for one in self._reserved if one.node == node), NOTHING)

    def _left(self, node: int) -> Caps:
        """What is neither settled nor reserved."""
        reserved = sum((one.amount for one in self._reserved), NOTHING)
        return strictest(left_of(self._caps, self._total, reserved), self._left_of_node(node))

    def _hopes(self, node: int) -> Caps:
        """What would be left if the others took nothing of what they have reserved."""
        return strictest(left_of(self._caps, self._total, self._held(node)), self._left_of_node(node))

    def _left_of_node(self, node: int) -> Caps:
        caps = self._caps_of_node(node).caps
        return left_of(caps, self._settled.get(node, NOTHING), self._held(node))

    def _why_not(self, node: int, quote: Quote, left: Caps, wanted: Spent | None) -> str:
        """A sentence that names the cap which is in the way."""
        name = self._deciding(quote, left, wanted)
        if not name:
            return "The next request was not sent: what it may take cannot be told beforehand."
        if name == "max_cost" and wanted is not None and wanted.cost is None:
            return "The cost is bounded, and the price of this model is not known: add it to AGENT_PRICES."
        named = self._caps_of_node(node)
        held = self._held(node)
        of_node = (f"node {quoted(named.key)}", named.caps, self._settled.get(node, NOTHING) + held)
        of_execution = ("the execution", self._caps, self._total + held)
        # Where both leave the same, the nearer one is named.
        who, caps, used = min(
            (one for one in (of_node, of_execution) if getattr(one[1], name) is not None),
            key=lambda one: getattr(left_of(one[1], one[2]), name),
        )
        cap, rest = getattr(caps, name), getattr(left_of(caps, used), name)
        taken = {"max_requests": used.requests, "max_tokens": used.tokens, "max_cost": used.cost or 0}[name]
        where = "'settings.budget', or in AGENT_BUDGET" if caps is self._caps else "its 'limits'"
        return (
            f"The next request does not fit into what {who} may use: of {_NOUNS[name]} {_shown(name, cap)} were "
            f"allowed, {_shown(name, taken)} used and {_shown(name, rest)} left. It was not sent. "
            f"Raise {quoted(name)} in {where}."
        )

    def _deciding(self, quote: Quote, left: Caps, wanted: Spent | None) -> str:
        """The first cap without which the call would fit; else one that bounds it, or empty for none."""
        bounded = [name for name in _NOUNS if getattr(left, name) is not None]
        for name in bounded:
            without = msgspec.structs.replace(left, **{name: None})
            other = quote(without) if wanted is None else wanted
            if other is not None and fits(other, without):
                return name
        return bounded[0] if bounded else ""


@dataclass(frozen=True, slots=True)
class NamedCaps:
    """What a node, by its key, may take."""

    key: str
    caps: Caps


_NOUNS = {"max_requests": "requests", "max_tokens": "tokens", "max_cost": "cost"}


def _shown(name: str, number: int) -> str:
    if name != "max_cost":
        return str(number)
    cost = amount(number) or Decimal(0)
    return f"{cost.normalize():f}"


def _least(numbers: Iterable[int | None]) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _less(cap: int | None, taken: int) -> int | None:
    return None if cap is None else max(0, cap - taken)
