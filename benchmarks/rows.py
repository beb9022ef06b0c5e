"""The rows that the product writes, many in one statement through Django's connection: the Django floor's writes.

The statements are the floor's own, put together as each database likes it best. That the rows are the product's is
compared in the first round of every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uuid_utils
from django.db import connection, transaction

from executions_app.models.bulk import ManyRows, insert, update

_EXECUTIONS = "executions_app_workflowexecution"
_NODES = "executions_app_nodeexecution"
_ID = [("id", "uuid")]
_ALL = "1 = 1"

INSERT_EXECUTION = insert(
    _EXECUTIONS,
    [*_ID, ("workflow_id", "uuid"), ("version_id", "uuid"), ("scheduling", "text"), ("created_at", "timestamptz")],
    fixed="trigger_type, labels, status, reason, input, exclusive, request_hash, fence, last_seq, recorded_seq, "
    "claimed_by, recoveries, cancel_reason",
    values="'manual', '[]', 'pending', '', '{}', false, '', 0, 1, 0, '', 0, ''",
)
INSERT_NODE = insert(
    _NODES,
    [("execution_id", "uuid"), ("order", "int"), ("key", "text"), ("type", "text"), ("name", "text"), ("level", "int")],
    fixed="item, status, reason, retry_count, attempt_id, error_message, traceback, edges",
    values="-1, 'pending', '', 0, '', '', '', ''",
)
CLAIM = update(
    _EXECUTIONS,
    [("lease_until", "timestamptz"), ("started_at", "timestamptz")],
    fixed="status = 'running', fence = 1, claimed_by = 'floor', last_seq = 2, recorded_seq = 2",
    keys=_ID,
    only=_ALL,
)
NUMBER = update(_EXECUTIONS, [("last_seq", "int"), ("recorded_seq", "int")], keys=_ID, only=_ALL)
COMPLETE_NODE = update(
    _NODES,
    [
        ("attempt_id", "text"), ("input", "text"), ("started_at", "timestamptz"), ("output", "text"),
        ("edges", "text"), ("ended_at", "timestamptz"),
    ],
    fixed="status = 'completed'", keys=[("execution_id", "uuid"), ("order", "int"), ("item", "int")], only=_ALL,
)  # fmt: skip
INSERT_ATTEMPT = insert(
    "executions_app_nodeattempt",
    [
        ("attempt_id", "text"), ("execution_id", "uuid"), ("order", "int"), ("started_at", "timestamptz"),
        ("ended_at", "timestamptz"), ("pre_process_us", "bigint"), ("process_us", "bigint"),
        ("post_process_us", "bigint"), ("bytes_in", "bigint"), ("bytes_out", "bigint"),
    ],
    fixed="item, number, fence, outcome, traceback", values="-1, 1, 1, 'succeeded', ''",
)  # fmt: skip
END = update(
    _EXECUTIONS,
    [("output", "text"), ("ended_at", "timestamptz"), ("last_seq", "int"), ("recorded_seq", "int")],
    fixed="status = 'completed'",
    keys=_ID,
    only=_ALL,
)
INSERT_LOG = insert(
    "executions_app_executionlog",
    [
        ("execution_id", "uuid"), ("seq", "int"), ("event", "text"), ("node", "text"), ("message", "text"),
        ("data", "text"), ("at", "timestamptz"),
    ],
    fixed="level", values="'info'",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What every execution of a workload has in common. `nodes` are (order, key, type, name, level)."""

    workflow: str
    version: str
    title: str
    scheduling: str
    nodes: Sequence[tuple[int, str, str, str, int]]
    # The states of each node's outgoing edges.
    edges: Sequence[str]


@dataclass(slots=True, kw_only=True)
class Accepted:
    """A new execution; `seq` is the number of its last journal entry and belongs to the writing thread."""

    snapshot: Snapshot
    id: str = field(default_factory=lambda: uuid_utils.uuid7().hex)
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A node that started and completed: one row update, one attempt, two journal entries."""

    execution: Accepted
    order: int
    key: str
    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    execution: Accepted
    output: str


type Write = Accepted | Completed | Ended


def write(writes: Sequence[Write]) -> None:
    """One batch: one transaction, one statement per kind of row."""
    batch = _Batch()
    for item in writes:
        batch.add(item)
    with transaction.atomic(), connection.cursor() as cursor:
        for statement, rows in batch.statements():
            if rows:
                _ = statement.run(cursor, rows)


class _Batch:
    """The parameters of one transaction, by statement."""

    def __init__(self) -> None:
        self._now: str = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        self._executions: list[tuple[Any, ...]] = []
        self._nodes: list[tuple[Any, ...]] = []
        self._claims: list[tuple[Any, ...]] = []
        self._completed: list[tuple[Any, ...]] = []
        self._attempts: list[tuple[Any, ...]] = []
        self._ends: list[tuple[Any, ...]] = []
        self._logs: list[tuple[Any, ...]] = []
        self._numbered: dict[str, Accepted] = {}

    def add(self, item: Write) -> None:
        match item:
            case Accepted():
                self._accept(item)
            case Completed():
                self._complete(item)
            case Ended():
                self._end(item)

    def statements(self) -> Sequence[tuple[ManyRows, list[tuple[Any, ...]]]]:
        numbers = [(execution.seq, execution.seq, row) for row, execution in self._numbered.items()]
        return (
            (INSERT_EXECUTION, self._executions),
            (INSERT_NODE, self._nodes),
            (CLAIM, self._claims),
            (NUMBER, numbers),
            (COMPLETE_NODE, self._completed),
            (INSERT_ATTEMPT, self._attempts),
            (END, self._ends),
            (INSERT_LOG, self._logs),
        )

    def _accept(self, new: Accepted) -> None:
        shared = new.snapshot
        self._executions.append((new.id, shared.workflow, shared.version, shared.scheduling, self._now))
        self._nodes += [(new.id, *node) for node in shared.nodes]
        self._log(new, "execution.pending", "", f"Execution of {shared.title} was accepted.", "{}")
        self._claims.append((self._now, self._now, new.id))
        self._log(new, "execution.running", "", "Execution started.", '{"fence":1,"owner":""}')

    def _complete(self, node: Completed) -> None:
        execution, attempt = node.execution, str(uuid_utils.uuid7())
        edges = execution.snapshot.edges[node.order]
        row = (execution.id, node.order, -1)
        self._completed.append((attempt, node.input, self._now, node.output, edges, self._now, *row))
        measures = (1, 1, 1, len(node.input), len(node.output))
        self._attempts.append((attempt, execution.id, node.order, self._now, self._now, *measures))
        started = f'{{"attempt":1,"attempt_id":"{attempt}"}}'
        self._log(execution, "node.running", node.key, f"Node '{node.key}' started.", started)
        self._log(execution, "node.completed", node.key, f"Node '{node.key}' completed.", '{"status":"completed"}')
        self._numbered[execution.id] = execution

    def _end(self, end: Ended) -> None:
        execution = end.execution
        self._log(execution, "execution.completed", "", "Execution completed.", '{"status":"completed"}')
        self._ends.append((end.output, self._now, execution.seq, execution.seq, execution.id))

    def _log(self, execution: Accepted, event: str, node: str, message: str, data: str) -> None:
        execution.seq += 1
        self._logs.append((execution.id, execution.seq, event, node, message, data, self._now))
