"""What the product is measured against: the same graph with less and less around it.

`limit` keeps nothing. `raw` keeps a row per node, by the driver alone, in group commits. `floor` keeps the rows that
the product keeps (execution, nodes from acceptance on, attempts, journal) through Django's connection, in group commits
from one thread, successors after the commit; it has no engine: no plan, no expressions, no tools, no limits, no events.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import msgspec

from benchmarks.database import Database
from benchmarks.raw import RawRows
from benchmarks.workloads import BenchNode, Workload, body

type Keep = Callable[[BenchNode, list[int], int], Awaitable[None]]
type Values = dict[str, int]


class Contender(Protocol):
    """Runs a whole workload; only `run` is timed. It gives every node's value, for each execution."""

    async def open(self) -> None: ...
    async def run(self) -> list[Values]: ...
    async def close(self) -> None: ...


async def walk(workload: Workload, keep: Keep) -> Values:
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


class Limit:
    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    async def open(self) -> None:
        return None

    async def run(self) -> list[Values]:
        async def keep(_node: BenchNode, _values: list[int], _value: int) -> None:
            return None

        return await asyncio.gather(*(walk(self._workload, keep) for _ in range(self._workload.executions)))

    async def close(self) -> None:
        return None


class GroupCommit:
    """Everything that waits goes into one call of `write` in a thread; who waits is told after it."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        self._write = write
        self._pool = ThreadPoolExecutor(1)
        self._items: list[Any] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._busy = False

    async def commit(self, item: Any) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._items.append(item)
        self._waiting.append(done)
        if not self._busy:
            self._busy = True
            _ = loop.call_soon(self._start)
        await done

    async def call(self, function: Callable[[], object]) -> None:
        """Call a function in the writing thread."""
        _ = await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def end(self) -> None:
        self._pool.shutdown()

    def _start(self) -> None:
        items, waiting = self._items, self._waiting
        self._items, self._waiting = [], []
        written = asyncio.get_running_loop().run_in_executor(self._pool, self._write, items)
        written.add_done_callback(lambda future: self._finish(future, waiting))

    def _finish(self, written: asyncio.Future[None], waiting: Sequence[asyncio.Future[None]]) -> None:
        error = written.exception()
        for done in waiting:
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._busy = bool(self._items)
        if self._busy:
            _ = asyncio.get_running_loop().call_soon(self._start)


class Raw:
    """A row per node, by the driver alone."""

    def __init__(self, workload: Workload, rows: RawRows) -> None:
        self._workload = workload
        self._rows = rows

    async def open(self) -> None:
        self._rows.open()
        self._commits = GroupCommit(self._rows.write)

    async def run(self) -> list[Values]:
        return await asyncio.gather(*(self._one() for _ in range(self._workload.executions)))

    async def close(self) -> None:
        self._commits.end()
        self._rows.close()

    async def _one(self) -> Values:
        run_id = uuid.uuid4().hex

        async def keep(node: BenchNode, _values: list[int], value: int) -> None:
            await self._commits.commit((run_id, node.key, text_of({"v": value})))

        return await walk(self._workload, keep)


class DjangoGroupCommit:
    """The floor of the ratios. `snapshot` is a `rows.Snapshot`."""

    def __init__(self, workload: Workload, database: Database, snapshot: Any) -> None:
        self._workload = workload
        self._database = database
        self._snapshot = snapshot
        self._order = {node.key: position for position, node in enumerate(workload.nodes, start=1)}

    async def open(self) -> None:
        from django.db import connection

        from benchmarks import rows

        self._database.renew()
        self._commits = GroupCommit(rows.write)
        # Looked up in the thread: every thread has a connection of its own.
        await self._commits.call(lambda: connection.ensure_connection())

    async def run(self) -> list[Values]:
        return await asyncio.gather(*(self._one() for _ in range(self._workload.executions)))

    async def close(self) -> None:
        from django.db import connection

        await self._commits.call(lambda: connection.close())
        self._commits.end()

    async def _one(self) -> Values:
        from benchmarks.rows import Accepted, Completed, Ended

        execution = Accepted(snapshot=self._snapshot)
        await self._commits.commit(execution)
        await self._commits.commit(Completed(execution=execution, order=0, key="start", input="{}", output="{}"))
        outputs: dict[str, dict[str, int]] = {"start": {}} | {node.key: {} for node in self._workload.nodes}

        async def keep(node: BenchNode, values: list[int], value: int) -> None:
            inputs: dict[str, Any] = {"values": values}
            if node.sleep_ms:
                inputs["milliseconds"] = node.sleep_ms
            outputs[node.key] = {"v": value}
            await self._commits.commit(
                Completed(
                    execution=execution,
                    order=self._order[node.key],
                    key=node.key,
                    input=text_of(inputs),
                    output=text_of(outputs[node.key]),
                )
            )

        result = await walk(self._workload, keep)
        await self._commits.commit(Ended(execution=execution, output=text_of(outputs)))
        return result


_encoder = msgspec.json.Encoder()


def text_of(value: object) -> str:
    return _encoder.encode(value).decode()
