"""A tool that holds up the event loop in which it runs."""

import time

from workflows_app.tools import tool


# Its start is on record before it is called: so it is seen to have begun.
@tool("bench.block", effect="at_most_once")
async def bench_block(seconds: float) -> dict[str, float]:
    time.sleep(seconds)  # noqa: ASYNC251 - what is measured is that nobody else notices
    return {"blocked": seconds}
