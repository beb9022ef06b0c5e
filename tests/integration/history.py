"""A history of 100 000 executions, as rows: made in seconds, without running any of them."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection, transaction

from executions_app.models.bulk import insert
from executions_app.models.querysets import ATTEMPTS, EXECUTIONS, LOGS, NODES, db_id, db_time
from tests.integration.conftest import document, source_of
from workflows_app.models import Workflow, WorkflowShare, WorkflowVersion
from workflows_app.models.access import Role
from workflows_app.services.documents import save
from workflows_app.services.publish import publish

EXECUTION_COUNT = 100_000
# Of the newest executions nodes, attempts and journal are there, too; the last of them is a large one.
RECORDED = 400
NODES_EACH = 10
LARGE_NODES = 600
RECENT = 1_000
WORKFLOWS = 40
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
# Ten days.
STEP = timedelta(days=10) / EXECUTION_COUNT

_TIMES = [("created_at", "timestamptz"), ("started_at", "timestamptz"), ("ended_at", "timestamptz")]
_EXECUTION = insert(
    EXECUTIONS,
    [
        ("id", "uuid"), ("workflow_id", "uuid"), ("version_id", "uuid"), ("started_by_id", "int"), ("status", "text"),
        ("trigger_type", "text"), ("labels", "text"), ("idempotency_hash", "text"), ("claimed_by", "text"),
        ("lease_until", "timestamptz"), *_TIMES,
    ],
    fixed="scheduling, reason, input, exclusive, request_hash, fence, last_seq, recorded_seq, recoveries, "
    "cancel_reason",
    values="'levels', '', '{}', false, '', 1, 22, 22, 0, ''",
)  # fmt: skip
_NODE = insert(
    NODES,
    [("execution_id", "uuid"), ("order", "int"), ("key", "text"), ("status", "text"), ("attempt_id", "text")],
    fixed="item, type, name, level, reason, retry_count, error_message, traceback, edges",
    values="-1, 'tool', 'n', 0, '', 0, '', '', ''",
)
_ATTEMPT = insert(
    ATTEMPTS,
    [("attempt_id", "text"), ("execution_id", "uuid"), ("order", "int"), *_TIMES[1:]],
    fixed="item, number, fence, outcome, traceback", values="-1, 1, 1, 'succeeded', ''",
)  # fmt: skip
_LOG = insert(
    LOGS,
    [("execution_id", "uuid"), ("seq", "int"), ("level", "text"), ("node", "text"), ("at", "timestamptz")],
    fixed="event, message, data", values="'log', 'said', '{}'",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Who has it: `ada` a fifth of the workflows, `bob` one of them by a share, `cyd` none; `root` sees all.

    Half of all executions were started by `ada`: those of a workflow that was deleted, and of no workflow, are hers.
    """

    root: Any
    ada: Any
    bob: Any
    cyd: Any
    workflow: Workflow
    # Of the large execution and of one of ten nodes, both of `workflow`.
    large: uuid.UUID
    small: uuid.UUID
    # When the last few began.
    since: str


def make_history() -> History:
    """Write it, each part in one statement."""
    users: Any = get_user_model()
    root = users.objects.create_superuser("root", password=None)
    ada, bob, cyd, eve = (users.objects.create_user(name) for name in ("ada", "bob", "cyd", "eve"))
    versions = _versions(ada, eve)
    workflow = versions[0].workflow
    assert workflow is not None
    readers = Group.objects.create(name="readers")
    bob.groups.add(readers)
    WorkflowShare.objects.create(workflow=workflow, group=readers, role=Role.VIEWER)
    with transaction.atomic(), connection.cursor() as cursor:
        for begin in range(0, EXECUTION_COUNT, 10_000):
            rows = [_execution(number, versions, ada, eve) for number in range(begin, begin + 10_000)]
            _EXECUTION.run(cursor, rows)
        large, small = EXECUTION_COUNT - WORKFLOWS, EXECUTION_COUNT - 2 * WORKFLOWS
        for number in range(EXECUTION_COUNT - RECORDED, EXECUTION_COUNT):
            _record(cursor, number, LARGE_NODES if number == large else NODES_EACH)
    deleted = versions[-1].workflow
    assert deleted is not None
    deleted.delete()
    since = (FIRST + (EXECUTION_COUNT - RECENT) * STEP).strftime("%Y-%m-%dT%H:%M:%SZ")
    return History(
        root=root, ada=ada, bob=bob, cyd=cyd, workflow=workflow, large=_id(large), small=_id(small), since=since
    )


def _versions(ada: Any, eve: Any) -> list[WorkflowVersion]:
    owners = [ada if number % 5 == 0 else eve for number in range(WORKFLOWS)]
    saved = [save(source_of(document("t>a", name=f"w{n}")), owner)[0] for n, owner in enumerate(owners)]
    return [publish(workflow) for workflow in saved]


def _id(number: int) -> uuid.UUID:
    return uuid.UUID(int=(7 << 76) + number)


def _execution(number: int, versions: list[WorkflowVersion], ada: Any, eve: Any) -> tuple[Any, ...]:
    version = versions[number % WORKFLOWS]
    status = _status(number)
    created_at = FIRST + number * STEP
    # A few are of documents that no workflow has.
    of_file = number % 500 == 17
    return (
        db_id(_id(number)),
        None if of_file or version.workflow_id is None else db_id(version.workflow_id),
        db_id(version.id),
        (ada if number % 2 else eve).pk,
        status,
        "webhook" if number % 10 == 3 else "manual",
        '["rare"]' if number % 1000 == 0 else '["often"]',
        f"hash-{number}" if number % 3 == 0 else None,
        "engine" if status == "running" else "",
        db_time(created_at) if status == "running" else None,
        db_time(created_at),
        None if status == "pending" else db_time(created_at),
        None if status in ("pending", "running") else db_time(created_at + timedelta(milliseconds=number % 977)),
    )


def _status(number: int) -> str:
    """What is open is new; one in a hundred failed."""
    if number >= EXECUTION_COUNT - 30:
        return "pending" if number % 2 else "running"
    return "failed" if number % 100 == 0 else "completed"


def _record(cursor: Any, number: int, nodes: int) -> None:
    execution, at = db_id(_id(number)), db_time(FIRST + number * STEP)
    orders = range(nodes)
    _NODE.run(cursor, [(execution, n, f"n{n}", "failed" if n == 3 else "completed", f"{number}-{n}") for n in orders])
    _ATTEMPT.run(cursor, [(f"{number}-{n}", execution, n, at, at) for n in orders])
    levels = ("info", "info", "info", "warning")
    _LOG.run(cursor, [(execution, n + 1, levels[n % 4], f"n{n % nodes}", at) for n in range(2 * nodes)])
