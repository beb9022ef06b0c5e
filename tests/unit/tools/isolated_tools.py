"""Tools for the tests of isolation, found by name in another process."""

import asyncio
import os
import subprocess
import sys
import time
from decimal import Decimal

from pydantic import BaseModel

from workflows_app.tools import Permanent, Retryable, ToolContext, tool
from workflows_app.tools.errors import NodeError


class Quote(BaseModel):
    symbol: str
    price: Decimal


class OutOfStock(ConnectionError):
    """With a constructor that nobody else can call."""

    def __init__(self, symbol: str, *, left: int) -> None:
        super().__init__(f"{symbol}: {left} left")


class Refused(NodeError):
    code = "refused"
    retryable = False


@tool("isolated.price", effect="none", isolation="process")
def price(symbol: str, amount: Decimal) -> Quote:
    return Quote(symbol=symbol, price=amount * 2)


@tool("isolated.later", effect="none", isolation="process")
async def later(context: ToolContext) -> dict[str, object]:
    await asyncio.sleep(0.01)
    context.log("at work", "warning", attempt=context.number)
    return {"attempt": context.attempt_id, "key": context.idempotency_key, "left": context.deadline > time.monotonic()}


@tool("isolated.fails", effect="none", isolation="process")
def fails(how: str) -> None:
    raise {
        "value": lambda: ValueError("wrong"),
        "own": lambda: OutOfStock("AAPL", left=0),
        "node": lambda: Refused("no"),
        "permanent": lambda: Permanent("closed"),
        "retryable": lambda: Retryable("busy", retry_after=2.5),
        "memory": MemoryError,
        "exit": lambda: SystemExit("bye"),
    }[how]()


@tool("isolated.dies", effect="none", isolation="process")
def dies(how: str) -> object:
    print("last words")  # noqa: T201 - what is printed is told
    match how:
        case "exit":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), 9)
        case "memory":
            return len(bytearray(10 * 1024**3))
        case "output":
            return "x" * (1024 * 1024)
        case "nothing JSON":
            return object()
        case "flood":
            for _ in range(20_000):
                sys.stdout.write("y" * 1000)
            return "flooded"
        case _:
            while True:
                pass
    return None


@tool("isolated.hangs", effect="none", isolation="process")
def hangs(path: str) -> None:
    """Tell the process's number and that of its own child in a file, and never end."""
    inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(f"{path}.new", "w") as file:  # noqa: PTH123 - quick
        file.write(f"{os.getpid()} {inner.pid}")
    os.rename(f"{path}.new", path)  # noqa: PTH104 - atomic
    while True:
        pass


@tool("isolated.environment", effect="none", isolation="process")
def environment() -> dict[str, str]:
    return dict(os.environ)


@tool("isolated.pid", effect="none", isolation="process")
def pid() -> int:
    return os.getpid()


@tool("isolated.logs", effect="none", isolation="process")
def logs(context: ToolContext) -> str:
    context.log("refuse me")
    return "logged"


@tool("isolated.returns", effect="none", isolation="process")
def returns(length: int) -> str:
    return "x" * length


@tool("isolated.scribbles", effect="none", isolation="process")
def scribbles() -> None:
    """Write to the pipe of the answers, which is the argument of the child."""
    os.write(int(sys.argv[1]), b"what is this?\n")
    time.sleep(60)


@tool("isolated.fails_oddly", effect="none", isolation="process")
def fails_oddly(how: str) -> None:
    raise {
        "group": lambda: ExceptionGroup("two at once", [ValueError("a"), ValueError("b")]),
        "stop": lambda: StopIteration("over"),
        "cancelled": lambda: asyncio.CancelledError("by itself"),
        "interrupt": lambda: KeyboardInterrupt("pressed"),
    }[how]()


@tool("isolated.progress", effect="none", isolation="process")
def progress(context: ToolContext) -> str:
    """More lines than the pipe of the answers may hold, were they all sent."""
    for done in range(200_000):
        context.progress(done / 400_000, "In a process")
        context.heartbeat(done)
    context.progress(1, "In a process, done")
    return "done"


@tool("isolated.bomb", effect="none", isolation="process")
def bomb(most: int) -> int:
    """Fork up to so often, as fast as it goes; what is forked waits for its end."""
    for number in range(most):
        try:
            pid = os.fork()
        except OSError:
            return number
        if pid == 0:
            time.sleep(600)
            os._exit(0)
    return most


@tool("isolated.kills", effect="none", isolation="process")
def kills(whom: str, path: str = os.devnull) -> str:
    """Kill the own group or the server, and say who did it in a file."""
    with open(path, "w") as file:  # noqa: PTH123 - quick
        file.write(str(os.getpid()))
    if whom == "group":
        os.killpg(0, 9)
    os.kill(os.getppid(), 9)
    time.sleep(600)
    return "killed"
