"""Tools and agents with an effect on a world that no database rolls back: a line in the ledger, by one append."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.crash.prices import PAID, RESERVED
from workflows_app.agents.calls import CallKind, CallOutcome, Caps, Closing, Opening, Spent
from workflows_app.dag.types import NodeType
from workflows_app.processors import registry
from workflows_app.processors.base import NodeCall, Prepared, Unchecked
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.reconciling import Done, InterruptedAttempt, NotDone


def enter(context: ToolContext, effect: str, call: str = "") -> None:
    line = {
        "execution": context.execution_id,
        "node": context.node,
        "attempt": context.attempt_id + call,
        "key": context.idempotency_key,
        "effect": effect,
        "at": time.time(),
    }
    descriptor = os.open(os.environ["CRASH_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    _ = os.write(descriptor, json.dumps(line).encode() + b"\n")
    os.close(descriptor)


@tool("crash.read", effect="none")
async def read(context: ToolContext, seconds: float = 0.0) -> int:
    enter(context, "none")
    await asyncio.sleep(seconds)
    return context.number


@tool("crash.pay", effect="idempotent")
async def pay(context: ToolContext, seconds: float = 0.0) -> int:
    enter(context, "idempotent")
    await asyncio.sleep(seconds)
    return context.number


@tool("crash.gate", effect="none")
async def gate(context: ToolContext, name: str) -> int:
    """Wait until there is a file of this name beside the ledger."""
    enter(context, "none")
    while not Path(os.environ["CRASH_LEDGER"]).with_name(name).exists():  # noqa: ASYNC110 - opened by another process
        await asyncio.sleep(0.02)
    return context.number


@tool("crash.order", effect="at_most_once")
def order(context: ToolContext, seconds: float = 0.0) -> int:
    enter(context, "at_most_once")
    time.sleep(seconds)
    return context.number


# Its rate is in the settings.
@tool("crash.quote", effect="at_most_once")
async def quote(context: ToolContext) -> int:
    enter(context, "at_most_once")
    return context.number


def ask(attempt: InterruptedAttempt) -> Done | NotDone:
    """It was done where the ledger has it."""
    ledger = Path(os.environ["CRASH_LEDGER"])
    return Done(-1) if ledger.exists() and attempt.attempt_id in ledger.read_text() else NotDone()


@tool("crash.send", effect="checkable", reconcile=ask)
async def send(context: ToolContext, before: float = 0.0, after: float = 0.0) -> int:
    """Its effect is somewhere in the middle."""
    await asyncio.sleep(before if context.number == 1 else 0.0)
    enter(context, "checkable")
    await asyncio.sleep(after if context.number == 1 else 0.0)
    return context.number


@tool("crash.count", effect="none")
def count(context: ToolContext, steps: int, seconds: float = 0.0, key: str = "") -> dict[str, Any]:
    """Say each number, and how far it is; then who said it, and what the key looks like."""
    for step in range(steps):
        context.log(f"step {step} with {key}", step=step)
        context.progress((step + 1) / steps)
        time.sleep(seconds)
    return {"process": os.getpid(), "length": len(key), "key": key, "number": context.number}


@tool("crash.poison", effect="none")
async def poison(context: ToolContext) -> int:
    enter(context, "none")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def reserved(left: Caps) -> Spent | None:
    fits = left.max_cost is None or left.max_cost >= RESERVED
    return Spent(requests=1, output_tokens=1, cost=RESERVED) if fits else None


class PayingAgent(Unchecked):
    """Asks a model that is none, several times; in the middle of each request it pays."""

    def pre_process(self, call: NodeCall) -> Prepared:
        del call
        return Prepared(input=None)

    async def process(self, call: NodeCall, prepared: Prepared) -> Any:
        del prepared
        for _ in range(6):
            begun = await call.calls.begin(Opening(kind=CallKind.MODEL, name="m", provider="p"), reserved)
            await asyncio.sleep(0.05)
            enter(call.attempt, "none", f":{begun.number}")
            await asyncio.sleep(0.05)
            spent = Spent(requests=1, output_tokens=1, cost=PAID)
            call.calls.end(begun.number, Closing(outcome=CallOutcome.SUCCEEDED, spent=spent))
        return {}


registry.replace(NodeType.AGENT, PayingAgent())
