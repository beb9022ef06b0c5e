"""H1: a thousand `http.request` nodes in one workflow, beside httpx that sends the same requests as often at a time.

The server is a process of its own that answers at once. What httpx does is only to ask: the product also keeps every
row, journal and output.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.database import Database

NAMES = ("H1",)
NODES = 1000
# Of httpx's client, and of the product: its default.
CONNECTIONS = 100
COLUMNS = ("workload", "nodes", "product s", "httpx s", "ratio")
BODY = b'{"v":1}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


@dataclass(kw_only=True)
class Calls:
    """Seconds of each round by contender."""

    name: str
    nodes: int = NODES
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def row(self) -> tuple[str, ...]:
        product, plain = (statistics.median(self.seconds[contender]) for contender in ("product", "httpx"))
        return self.name, str(self.nodes), f"{product:.4f}", f"{plain:.4f}", f"{product / plain:.2f}"


def measure(name: str, rounds: int, database: Database) -> list[Calls]:
    """The first round warms up and does not count; every other one goes backwards."""
    found = Calls(name=f"{name} http.request beside httpx")
    with _server() as url:
        workflow = _install(url, database)
        contenders = {"product": lambda: _product(workflow, database), "httpx": lambda: _plain(url)}
        for number in range(rounds + 1):
            for contender in list(contenders)[:: -1 if number % 2 else 1]:
                took = asyncio.run(_timed(contenders[contender]()))
                if number:
                    found.seconds.setdefault(contender, []).append(took)
    return [found]


@contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.calls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def _install(url: str, database: Database) -> Any:
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.db import connection

    from workflows_app.services import documents
    from workflows_app.services.publish import publish

    settings.PASTETRADER = {
        **getattr(settings, "PASTETRADER", {}),
        "HTTP_ALLOWED_HOSTS": ["127.0.0.1"],
        "HTTP_CONNECTIONS": CONNECTIONS,
    }
    keys = [f"n{number}" for number in range(NODES)]
    call = {"type": "tool", "tool": "http.request", "inputs": {"url": url}}
    document: Any = {
        "name": "h1",
        "settings": {"max_parallel_nodes": NODES},
        "nodes": [{"key": "start", "type": "trigger"}, *({"key": key, **call} for key in keys)],
        "edges": [{"from": "start", "to": key} for key in keys],
    }
    database.renew()
    users: Any = get_user_model()
    source = documents.Source(document=document, line_of=lambda _path: None)
    workflow, _ = documents.save(source, users.objects.get(username="bench"))
    _ = publish(workflow)
    connection.close()
    database.keep()
    return workflow


type _Contender = tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]


async def _timed(contender: _Contender) -> float:
    open_, run = contender
    await open_()
    _ = gc.collect()
    begun = time.perf_counter()
    await run()
    return time.perf_counter() - begun


def _product(workflow: Any, database: Database) -> _Contender:
    async def open_() -> None:
        from django.db import connection

        from executions_app.recorder.thread import in_recorder

        database.renew()
        await in_recorder(lambda: connection.ensure_connection())

    async def run() -> None:
        from executions_app.executor import WorkflowExecutor
        from executions_app.services.run import close

        result = await WorkflowExecutor().execute(workflow.id, {})
        if result.status != "completed":
            raise RuntimeError(f"H1: {result.status} {result.reason} {result.error}")
        close()

    return open_, run


def _plain(url: str) -> _Contender:
    async def open_() -> None:
        import httpx

        del httpx

    async def run() -> None:
        import httpx

        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        async with httpx.AsyncClient(limits=limits, timeout=60) as client:
            # Its pool slows down by those that wait in it: they wait here.
            slots = asyncio.Semaphore(CONNECTIONS)

            async def one() -> None:
                async with slots:
                    answer = await client.get(url)
                if answer.json() != {"v": 1}:
                    raise RuntimeError("H1: the server gave something else")

            _ = await asyncio.gather(*(one() for _ in range(NODES)))

    return open_, run


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
