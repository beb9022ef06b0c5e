"""The rows of the product, written by its own statements with nothing around them: the Django floor."""

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from executions_app.models import querysets
from workflows_app.models.fields import new_id


class NodeWrite(NamedTuple):
    """A node that started and completed: one row update, two journal entries."""

    execution: uuid.UUID
    order: int
    key: str
    input: str
    output: str
    at: datetime


def accept(template: Any, plan: Any) -> uuid.UUID:
    """Execution, nodes and two entries, in one transaction: accepted and claimed."""
    template.pk = new_id()
    with transaction.atomic(), connection.cursor() as cursor:
        querysets.insert_execution(template)
        querysets.insert_nodes(template.pk, plan)
        now = querysets.db_time(datetime.now(UTC))
        row = querysets.db_id(template.pk)
        entries = [(row, 1, "execution.pending", "info", "", "Accepted.", "{}", now)]
        cursor.execute(querysets.CLAIM, (now, row))
        entries.append((row, 2, "execution.running", "info", "", "Started.", "{}", now))
        cursor.executemany(querysets.INSERT_LOG, entries)
    return template.pk


def write_nodes(writes: list[NodeWrite]) -> None:
    time = querysets.time_adapter()
    nodes: list[tuple[Any, ...]] = []
    entries: list[tuple[Any, ...]] = []
    with transaction.atomic(), connection.cursor() as cursor:
        numbers: dict[uuid.UUID, int] = {}
        for execution, count in Counter(write.execution for write in writes).items():
            cursor.execute(querysets.LOCK_AND_NUMBER, (2 * count, querysets.db_id(execution), 1))
            numbers[execution] = cursor.fetchone()[0] - 2 * count
        for write in writes:
            row, at, seq = querysets.db_id(write.execution), time(write.at), numbers[write.execution]
            numbers[write.execution] += 2
            nodes.append(
                ("attempt", write.input, at, "completed", "", 0, write.output, None, "", "", None, at, row, write.order)
            )
            entries.append((row, seq + 1, "node.running", "info", write.key, f"Node '{write.key}' started.", "{}", at))
            entries.append(
                (row, seq + 2, "node.completed", "info", write.key, f"Node '{write.key}' completed.", "{}", at)
            )
        cursor.executemany(querysets.NODE_STARTED_AND_SETTLED, nodes)
        cursor.executemany(querysets.INSERT_LOG, entries)


def finish(execution: uuid.UUID, output: str) -> None:
    row, now = querysets.db_id(execution), querysets.db_time(datetime.now(UTC))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(querysets.LOCK_AND_NUMBER, (1, row, 1))
        seq = cursor.fetchone()[0]
        cursor.execute(querysets.END, ("completed", "completed", "completed", "", output, None, now, row, 1))
        cursor.execute(
            querysets.INSERT_LOG, (row, seq, "execution.completed", "info", "", "Execution completed.", "{}", now)
        )
