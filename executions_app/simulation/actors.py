"""The simulated tool: it does what its scenario says, attempt by attempt."""

import asyncio
import builtins
from typing import cast

from executions_app.engine.states import AttemptOutcome
from executions_app.engine.testing import MemorySink
from executions_app.simulation.scenario import Deed, Does, Scenario
from executions_app.simulation.virtual_time import VirtualTimeLoop
from workflows_app.dag.types import Effect
from workflows_app.processors.base import NodeCall, Prepared, Unchecked
from workflows_app.processors.errors import Permanent, Retryable

# How long a server asks to wait that says HTTP 429.
RETRY_AFTER = 7.0
# Longer than any grace.
FOR_EVER = 10_000.0


class Actor(Unchecked):
    """The processor of all tool nodes of one run. `late` counts results that came after the code was told to end."""

    def __init__(self, scenario: Scenario, record: MemorySink) -> None:
        self._scenario = scenario
        self._record = record
        # Its engine was killed: none of its code runs any more.
        self.is_dead = False
        self.violations: list[str] = []
        self.late = 0

    def pre_process(self, call: NodeCall) -> Prepared:
        return Prepared(input=call.merged_input())

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        del prepared
        if self.is_dead:
            raise asyncio.CancelledError
        attempts = self._record.attempts
        if call.node.effect is not Effect.NONE and call.attempt.attempt_id not in attempts:
            self.violations.append(f"{call.node.key} was called, and its start is not on record")
        if call.node.effect is Effect.AT_MOST_ONCE and any(
            row.outcome in (AttemptOutcome.ABANDONED, AttemptOutcome.TIMED_OUT)
            for row in attempts.values()
            # Its own may be abandoned already: another engine may have taken over a moment ago.
            if row.attempt_id != call.attempt.attempt_id and self._scenario.plan.nodes[row.node] is call.node
        ):
            self.violations.append(f"{call.node.key} was called again after an unknown outcome")
        deed = deed_of(self._scenario, call.node.key, call.attempt.number)
        return await self._do(deed, call)

    async def _do(self, deed: Deed, call: NodeCall) -> object:
        match deed.does:
            case Does.SWALLOW | Does.SWALLOW_FOR_EVER | Does.END_SLOWLY:
                return await self._resist(deed, call)
            case Does.HANG:
                await asyncio.sleep(FOR_EVER * 10)
            case Does.LEAVE_BEHIND:
                await self._in_a_thread(deed, call)
            case Does.BLOCK:
                cast(VirtualTimeLoop, asyncio.get_running_loop()).block(deed.seconds)
            case _:
                await _pause(deed.seconds)
        match deed.does:
            case Does.FAIL:
                raise error_class(deed.error)(f"{call.node.key} fails")
            case Does.FAIL_RETRYABLE:
                raise Retryable("The server asks to wait.", retry_after=RETRY_AFTER)
            case Does.FAIL_PERMANENT:
                raise Permanent("The order was refused.")
            case Does.GARBAGE:
                return {"n": deed.number, "nan": float("nan"), "object": object()}
            case Does.CANCEL_ITSELF:
                raise asyncio.CancelledError
            case Does.EXIT:
                raise SystemExit(3)
            case _:
                return output_of(deed, call.attempt.number)

    async def _resist(self, deed: Deed, call: NodeCall) -> object:
        try:
            await asyncio.sleep(FOR_EVER)
        except asyncio.CancelledError:
            await asyncio.sleep(FOR_EVER if deed.does is Does.SWALLOW_FOR_EVER else deed.seconds)
            if deed.does is Does.END_SLOWLY:
                raise
        self.late += 1
        return output_of(deed, call.attempt.number)

    async def _in_a_thread(self, deed: Deed, call: NodeCall) -> None:
        try:
            await asyncio.sleep(FOR_EVER if deed.seconds > 1 else deed.seconds)
        except asyncio.CancelledError:
            call.attempt.interrupted("Its thread goes on.", "goes on")
            raise


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def deed_of(scenario: Scenario, key: str, attempt: int) -> Deed:
    deeds = scenario.deeds[key]
    return deeds[min(attempt, len(deeds)) - 1]


def output_of(deed: Deed, attempt: int) -> dict[str, int]:
    """What a deed returns says which attempt it comes from."""
    return {"n": deed.number, "attempt": attempt}


def error_class(name: str) -> type[Exception]:
    known = getattr(builtins, name, None)
    return cast("type[Exception]", known) if known is not None else type(name, (Exception,), {})
