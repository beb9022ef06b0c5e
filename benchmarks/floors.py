"""What the product is measured against: the same graph with less and less around it.

`asyncio` keeps nothing. `sqlite` keeps a row per node, raw, in group commits. `django` writes the rows that the product
writes (execution, nodes from acceptance on, journal) by its statements, through Django's connection, in group commits
from a thread; it has no engine: no plan, no expressions, no tools, no limits, no events.
"""

import asyncio
import json
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.workloads import BenchNode, Workload, body

type Keep = Callable[[BenchNode, list[int], int], Awaitable[None]]
type Run = Callable[[], Awaitable[list[dict[str, int]]]]


async def walk(workload: Workload, keep: Keep) -> dict[str, int]:
    """A task for every node, which awaits its predecessors; `keep` returns when the node is durable."""
    tasks: dict[str, asyncio.Task[int]] = {}

    async def one(node: BenchNode) -> int:
        values = [await tasks[source] for source in node.sources]
        if node.sleep_ms:
            await asyncio.sleep(node.sleep_ms / 1000)
        value = body(values)
        await keep(node, values, value)
        return value

    async with asyncio.TaskGroup() as group:
        for node in workload.nodes:
            tasks[node.key] = group.create_task(one(node))
    return {key: task.result() for key, task in tasks.items()}


def asyncio_alone(workload: Workload) -> Run:
    async def keep(_node: BenchNode, _values: list[int], _value: int) -> None:
        return None

    async def run() -> list[dict[str, int]]:
        return await asyncio.gather(*(walk(workload, keep) for _ in range(workload.executions)))

    return run


class GroupCommit:
    """Everything that waits goes into one call of `write` in a thread; who waits is told after it."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1)
        self._items: list[tuple[Any, asyncio.Future[None]]] = []
        self._busy = False

    async def commit(self, item: Any) -> None:
        done = asyncio.get_running_loop().create_future()
        self._items.append((item, done))
        if not self._busy:
            self._busy = True
            _ = asyncio.get_running_loop().call_soon(self._start)
        await done

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def _start(self) -> None:
        items, self._items = self._items, []
        written = asyncio.get_running_loop().run_in_executor(self._pool, self._write, [item for item, _ in items])
        written.add_done_callback(lambda future: self._finish(future, items))

    def _finish(self, written: asyncio.Future[None], items: list[tuple[Any, asyncio.Future[None]]]) -> None:
        written.result()
        for _, done in items:
            done.set_result(None)
        self._busy = bool(self._items)
        if self._busy:
            _ = asyncio.get_running_loop().call_soon(self._start)


def raw_sqlite(workload: Workload, folder: Path) -> Run:
    database = sqlite3.connect(folder / f"raw-{workload.name}.sqlite3", check_same_thread=False, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        "CREATE TABLE node (run TEXT, key TEXT, status TEXT, output TEXT, PRIMARY KEY (run, key));"
    )

    def write(rows: list[Any]) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO node VALUES (?, ?, 'completed', ?)", rows)
        database.execute("COMMIT")

    commits = GroupCommit(write)

    async def one() -> dict[str, int]:
        run_id = uuid.uuid4().hex

        async def keep(node: BenchNode, _values: list[int], value: int) -> None:
            await commits.commit((run_id, node.key, json.dumps({"v": value})))

        return await walk(workload, keep)

    async def run() -> list[dict[str, int]]:
        return await asyncio.gather(*(one() for _ in range(workload.executions)))

    return run


def django_group_commit(workload: Workload, accept: Callable[[], Any]) -> Run:
    """`accept()` writes execution, nodes and first entry as the product's own start does, and claims it."""
    from benchmarks.rows import NodeWrite, finish, write_nodes

    commits = GroupCommit(write_nodes)
    order = {node.key: position for position, node in enumerate(workload.nodes, start=1)}

    async def one() -> dict[str, int]:
        row_id = await commits.call(accept)
        await commits.commit(NodeWrite(row_id, 0, "start", "{}", "{}", datetime.now(UTC)))

        async def keep(node: BenchNode, values: list[int], value: int) -> None:
            input_text, output_text = json.dumps({"values": values}), json.dumps({"v": value})
            now = datetime.now(UTC)
            await commits.commit(NodeWrite(row_id, order[node.key], node.key, input_text, output_text, now))

        result = await walk(workload, keep)
        await commits.call(finish, row_id, json.dumps(result))
        return result

    async def run() -> list[dict[str, int]]:
        return await asyncio.gather(*(one() for _ in range(workload.executions)))

    return run
