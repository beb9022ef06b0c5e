"""Tools with an effect on a world that no database rolls back: a line in the ledger, written by one append."""

import asyncio
import json
import os
import signal
import time

from workflows_app.tools import ToolContext, tool


def enter(context: ToolContext, effect: str) -> None:
    line = {
        "execution": context.execution_id,
        "node": context.node,
        "attempt": context.attempt_id,
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


@tool("crash.order", effect="at_most_once")
def order(context: ToolContext, seconds: float = 0.0) -> int:
    enter(context, "at_most_once")
    time.sleep(seconds)
    return context.number


@tool("crash.poison", effect="none")
async def poison(context: ToolContext) -> int:
    enter(context, "none")
    os.kill(os.getpid(), signal.SIGKILL)
    return 0
