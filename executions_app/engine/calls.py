"""The calls of a run's agents on record, and within what they may use: the engine's side of `agents.calls`.

A request to a model is on record, with what it may take at most, before it is sent; so is a call of a tool with an
effect. What was under way when an attempt ended, or its engine died, counts in full. Secrets are hidden in all of it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec

from executions_app.engine.budget import Budget, NamedCaps, Reservation, caps_of_budget, strictest
from executions_app.engine.events import CallEnded, CallStarted, Logged
from executions_app.engine.failures import printable
from executions_app.engine.ports import Ports, Sink
from executions_app.engine.secrecy import Secrets
from executions_app.engine.turns import said, take
from executions_app.engine.writing import Writing
from workflows_app.agents.calls import NOTHING, Begun, CallKind, CallOutcome, Caps, Closing, Opening, Quote, Spent
from workflows_app.agents.limits import caps_of, limits_of
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Effect, JsonObject, JsonValue, NodeKey
from workflows_app.tools.errors import AttemptEnded

# Names are columns; what a model calls may be anything.
NAME_LIMIT = 190
# Bytes of the JSON text of arguments or of a result.
DATA_LIMIT = 512 * 1024
_INTERRUPTED: JsonObject = {
    "code": "interrupted",
    "message": "The attempt ended before the call had an end.",
    "type": "AttemptEnded",
}
_NOT_MADE: JsonObject = {
    "code": "not_made",
    "message": "The attempt ended before the call was made.",
    "type": "AttemptEnded",
}


class Ledger:
    """What the attempts of one run share: where their calls go on record, and what they may take together."""

    def __init__(self, plan: Plan, sink: Sink, ports: Ports, spent: Mapping[int, Spent]) -> None:
        self._plan = plan
        self._caps: dict[int, NamedCaps] = {}
        self.sink = sink
        self.ports = ports
        self.loop = asyncio.get_running_loop()
        caps = strictest(caps_of_budget(plan.settings.budget), ports.limits.agent_budget)
        self.budget = Budget(caps, self._caps_of_node, spent)

    def _caps_of_node(self, position: int) -> NamedCaps:
        found = self._caps.get(position)
        if found is None:
            node = self._plan.nodes[position]
            found = self._caps[position] = NamedCaps(node.key, caps_of(limits_of(node.limits)))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call that has begun."""

    opening: Opening
    name: str
    reservation: Reservation | None
    writing: Writing

    @property
    def reserved(self) -> Spent:
        return NOTHING if self.reservation is None else self.reservation.amount


class Book:
    """The `Calls` of one attempt. `secrets` are those that the node knows by then."""

    def __init__(
        self, ledger: Ledger, node: int, *, key: NodeKey, attempt_id: str, secrets: Callable[[], Secrets]
    ) -> None:
        self._ledger = ledger
        self._node = node
        self._key = key
        self._attempt_id = attempt_id
        self._secrets = secrets
        self._made = 0
        self._open: dict[int, _Call] = {}
        self._closed = False
        self._said_to_wait = False

    async def turn(self, tools: Sequence[str]) -> None:
        """Raises `AttemptEnded` where nobody waits for the attempt any more."""
        self._must_be_open()
        if self._ledger.ports.pace is not None:
            await take(self._ledger.ports.pace(tools), self._say_to_wait)
            self._must_be_open()

    async def begin(self, opening: Opening, quote: Quote | None = None) -> Begun:
        """Raises `BudgetExceeded`, and `AttemptEnded` where nobody waits for the attempt any more."""
        self._must_be_open()
        arguments = self._text(opening.arguments)
        reservation = None
        if opening.kind is CallKind.MODEL or quote is not None:
            reservation = await self._ledger.budget.reserve(self._node, _at_least_one(quote, opening.kind))
            if self._closed:
                self._ledger.budget.settle(reservation, NOTHING)
                self._must_be_open()
        self._made += 1
        number = self._made
        call = self._open[number] = _Call(
            opening=opening,
            name=printable(self._secrets().text(opening.name), NAME_LIMIT),
            reservation=reservation,
            writing=Writing(self._ledger.loop, self._secrets().mask, lambda text: self._wrote(number, text)),
        )
        started = CallStarted(
            node=self._node,
            at=self._ledger.ports.clock.now(),
            attempt_id=self._attempt_id,
            number=number,
            kind=opening.kind,
            name=call.name,
            provider=printable(self._secrets().text(opening.provider), NAME_LIMIT),
            effect=opening.effect,
            arguments=arguments,
            reserved=None if reservation is None else call.reserved,
        )
        if reservation is None and opening.effect is Effect.NONE:
            self._ledger.sink.post(started)
        else:
            try:
                await self._ledger.sink.commit([started])
            except BaseException:
                self.end(number, Closing(outcome=CallOutcome.REFUSED, error=_NOT_MADE))
                raise
            self._must_be_open()
        return Begun(number, call.reserved)

    def end(self, number: int, closing: Closing) -> None:
        """What comes from code that was let go, or a second time, changes nothing."""
        call = self._open.get(number)
        if call is None:
            return
        result, error = self._text(closing.result), self._shown(closing.error)
        del self._open[number]
        call.writing.end()
        spent = call.reserved if closing.outcome is CallOutcome.ABANDONED else closing.spent
        self._ledger.sink.post(
            CallEnded(
                node=self._node,
                at=self._ledger.ports.clock.now(),
                attempt_id=self._attempt_id,
                number=number,
                kind=call.opening.kind,
                name=call.name,
                outcome=closing.outcome,
                result=result,
                error=error if isinstance(error, dict) else None,
                spent=spent,
            )
        )
        # Whoever waits for it begins after this is on its way to the record.
        if call.reservation is not None:
            self._ledger.budget.settle(call.reservation, spent)
        elif spent != NOTHING:
            self._ledger.budget.add(self._node, spent)

    def write(self, number: int, text: str) -> None:
        call = self._open.get(number)
        if call is not None and text:
            call.writing.take(text)

    def close(self) -> None:
        """The attempt is over: what is open is abandoned, and nothing more is taken of its code."""
        self._closed = True
        for number in tuple(self._open):
            self.end(number, Closing(outcome=CallOutcome.ABANDONED, error=_INTERRUPTED))

    def _must_be_open(self) -> None:
        if self._closed:
            raise AttemptEnded(self._key)

    def _say_to_wait(self, rule: str) -> None:
        if not self._said_to_wait:
            self._said_to_wait = True
            self._ledger.sink.post(said(self._node, self._key, rule, self._ledger.ports))

    def _wrote(self, number: int, text: str) -> None:
        text = jsontext.printable(text)
        self._ledger.sink.post(
            Logged(
                node=self._node,
                at=self._ledger.ports.clock.now(),
                level="debug",
                message=f"Wrote {len(text)} characters.",
                data={"text": {"call": number, "delta": text}},
            )
        )

    def _shown(self, value: JsonValue) -> JsonValue:
        """Without secrets. What agents are told is anything, and goes on record whatever it is."""
        try:
            harmless = jsontext.clean(value)
        except jsontext.JsonError:
            harmless = _of_text(value)
        return self._secrets().value(harmless)

    def _text(self, value: JsonValue) -> str:
        """JSON text without secrets; empty for null. What is too long is not kept."""
        if value is None:
            return ""
        text = jsontext.dumps(self._shown(value))
        if len(text) <= DATA_LIMIT:
            return text
        return jsontext.dumps(f"(left out: {len(text)} characters of JSON)")


def _of_text(value: object, levels: int = 20) -> JsonValue:
    """What has no JSON form, such as text with U+0000, as text that has one."""
    match value:
        case dict() | list() if not levels:
            return "..."
        case dict():
            items = cast("dict[object, object]", value)
            return {jsontext.printable(str(key)): _of_text(item, levels - 1) for key, item in items.items()}
        case list():
            return [_of_text(item, levels - 1) for item in cast("list[object]", value)]
        case _:
            return jsontext.printable(str(value))


def _at_least_one(quote: Quote | None, kind: CallKind) -> Quote:
    """What is asked of a model is one request, whatever else it takes."""

    def at_least_one(left: Caps) -> Spent | None:
        wanted = NOTHING if quote is None else quote(left)
        if wanted is None or kind is not CallKind.MODEL or wanted.requests:
            return wanted
        return msgspec.structs.replace(wanted, requests=1)

    return at_least_one
