"""A process that calls one tool as a server would, and prints what came of it: `hostile_server.py TOOL INPUTS LIMIT`.

Run as another user than root, for whom alone the number of processes has a limit.
"""

import asyncio
import os
import sys

from tests.unit.tools import isolated_tools
from workflows_app.dag import jsontext
from workflows_app.tools import ToolContext, shell
from workflows_app.tools.process_limits import ProcessLimits, processes
from workflows_app.tools.registry import registry


async def main(tool, inputs, limit):
    assert isolated_tools.__name__
    processes.limits = ProcessLimits(processes=int(limit) or None)
    shell.programs.allowed = {"sh": "/bin/sh"}
    context = ToolContext(
        execution_id="e", node="n", attempt_id="a", idempotency_key="k", number=1,
        deadline=asyncio.get_running_loop().time() + 60, journal=print,
    )  # fmt: skip
    try:
        result = await registry.get(tool).call(jsontext.loads(inputs), context)
    except Exception as error:  # noqa: BLE001 - it is what is asked for
        result = f"{type(error).__name__}: {error}"
    # This line is only there where the server is.
    print(f"{os.getuid()} {jsontext.dumps(result)}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
