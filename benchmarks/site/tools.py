"""The node of the workloads, and a tool that holds up the event loop in which it runs."""

import asyncio
import time

from benchmarks.workloads import body
from workflows_app.tools import tool


@tool("bench.node", effect="none")
async def bench_node(values: list[int], milliseconds: int = 0) -> dict[str, int]:
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)
    return {"v": body(values)}


# Its start is on record before it is called: so it is seen to have begun.
@tool("bench.block", effect="at_most_once")
async def bench_block(seconds: float) -> dict[str, float]:
    time.sleep(seconds)  # noqa: ASYNC251 - what is measured is that nobody else notices
    return {"blocked": seconds}
