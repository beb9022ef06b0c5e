"""Each is called with a secret and has it come back in another way. `MASKING=off` makes them succeed."""

import asyncio
import base64
import json
import logging
import os

import httpx
from pydantic import BaseModel, TypeAdapter

from tests.spellings import spellings
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.masking import Mask

logger = logging.getLogger("leaky")

if os.environ.get("MASKING") == "off":
    # For the control.
    Mask.text = lambda self, text: text
    Mask.value = lambda self, value: value


class Order(BaseModel):
    amount: int


@tool("leak.output", effect="none")
async def output(key: str) -> dict[str, object]:
    return {"plain": key, key: ["as a key"], "spelled": sorted(spellings(key)), "json": json.dumps({"k": [key]})}


@tool("leak.error", effect="none")
async def error(key: str) -> None:
    try:
        _ = {}[key]
    except KeyError as cause:
        raise ConnectionError(f"no route to https://ada:{key}@example.com/?k={key}") from cause


@tool("leak.thread", effect="none")
def in_a_thread(key: str) -> None:
    logger.warning("in a thread: %s", key)
    raise ValueError(key, {"key": key})


@tool("leak.child", effect="none", isolation="process")
def in_a_child(context: ToolContext, key: str) -> None:
    context.log(f"in a child: {key}", key=key)
    raise ValueError(f"in a child: {key}")


@tool("leak.pydantic", effect="none")
async def pydantic(key: str) -> Order:
    return TypeAdapter(Order).validate_python({"amount": key})


@tool("leak.journal", effect="none")
async def journal(context: ToolContext, key: str) -> None:
    context.log(f"the key is {key}", "warning", key=key, nested={key: [key]})
    context.heartbeat({"at": key})


@tool("leak.log", effect="none")
async def log(key: str) -> None:
    logger.error("the key is %s", key, extra={"key": key})
    logger.info("Basic %s", base64.b64encode(f"ada:{key}".encode()).decode())
    try:
        _ = {}[key]
    except KeyError:
        logger.exception("a traceback")

    async def unheard() -> None:
        raise LookupError(f"nobody waits for {key}")

    # It is told when it is thrown away.
    _ = asyncio.create_task(unheard())  # noqa: RUF006 - the purpose
    await asyncio.sleep(0)


@tool("leak.fetch", effect="none")
async def fetch(url: str, headers: dict[str, str], body: dict[str, str]) -> object:
    """A real request; the other side says what it got."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(url, headers=headers, json=body)
        return answer.json()


@tool("leak.pass", effect="none")
async def pass_on(headers: dict[str, str], url: str, key: str) -> dict[str, object]:
    return {"headers": headers, "url": url, "length": len(key)}
