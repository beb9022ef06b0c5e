"""What those who watch read: where executions stand, what happened since, and all of one as of one moment."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Q

from executions_app.engine.states import TERMINAL_EXECUTION, ExecutionStatus
from executions_app.live.wire import Chunk, entry_json, message
from executions_app.models import ExecutionLog, NodeExecution, WorkflowExecution, querysets
from executions_app.models.moment import one_moment
from executions_app.progress import progress_json
from executions_app.queries import execution_json, node_json, usage_json
from executions_app.services.errors import ExecutionNotFound
from workflows_app.dag import jsontext
from workflows_app.models import WorkflowVersion
from workflows_app.services.access import may_read

if TYPE_CHECKING:
    from workflows_app.models.access import Account

# So many entries are in one message, and so many executions are looked at together.
PAGE = 500
# A message that is longer has no further entry.
MESSAGE_BYTES = 64 * 1024


class Standing(NamedTuple):
    """How far an execution is. `end` is its status once it has ended."""

    seq: int
    end: str | None


class Snapshot(NamedTuple):
    """All of an execution as of one moment, as a finished message."""

    seq: int
    end: str | None
    text: str


def watched_by(user: Account, text: str) -> uuid.UUID:
    """The id of an execution that a user may watch, without its data, which may be large.

    Raises `ExecutionNotFound`, also where it is another user's.
    """
    try:
        execution = WorkflowExecution.objects.only("workflow", "started_by").filter(pk=uuid.UUID(text)).first()
    except ValueError:
        execution = None
    if execution is None or not may_read(user, execution):
        raise ExecutionNotFound(text)
    return execution.pk


def standings(execution_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Standing]:
    """Where these executions stand; one that does not exist is not among them."""
    rows = WorkflowExecution.objects.filter(pk__in=execution_ids).order_by()
    return {id_: Standing(seq, _end(status)) for id_, seq, status in rows.values_list("id", "last_seq", "status")}


def chunk_after(execution_id: uuid.UUID, after: int) -> Chunk | None:
    """The next entries of an execution, as many as fit into a message; None where there are none."""
    rows = ExecutionLog.objects.filter(execution=execution_id, seq__gt=after).order_by("seq")[:PAGE]
    found = rows.values_list("seq", "event", "level", "node", "message", "at", "data")
    items: list[dict[str, Any]] = []
    size = 0
    for row in found.iterator(chunk_size=20):
        items.append(entry_json(*row))
        size += len(row[4]) + (len(jsontext.dumps(row[6])) if row[6] else 0)
        if size > MESSAGE_BYTES:
            break
    return Chunk.of_items(items) if items else None


def snapshot_of(execution_id: uuid.UUID) -> Snapshot | None:
    """None where there is no such execution."""
    with one_moment():
        execution = WorkflowExecution.objects.select_related("version").defer("version__plan").filter(pk=execution_id)
        found = execution.first()
        if found is None:
            return None
        nodes = NodeExecution.objects.filter(execution=found).order_by("order").defer("input", "output", "traceback")
        shown = execution_json(found, with_nodes=False)
        progress = progress_json(found, nodes)
        shown["nodes"] = [_standing_of(node, progress) for node in nodes]
        shown["usage"] = usage_json(found, {node.type for node in nodes})
    text = message("snapshot", seq=found.last_seq, execution=shown)
    return Snapshot(seq=found.last_seq, end=_end(found.status), text=text)


def _standing_of(node: NodeExecution, progress: Mapping[str, Any]) -> dict[str, Any]:
    shown = node_json(node, with_data=False)
    return {**shown, "progress": progress[node.key]} if node.key in progress else shown


def visible_among(user: Account, execution_ids: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Those of these executions that exist for a user."""
    seen = WorkflowExecution.objects.visible_to(user).filter(pk__in=execution_ids).order_by()
    return frozenset(seen.values_list("pk", flat=True))


class Moves:
    """Which executions began, moved on or ended since the last look: found in the database, whoever moved them."""

    # Commits may become visible a little after others with a later time.
    _OVERLAP = timedelta(seconds=10)
    _MOST = 1000

    def __init__(self) -> None:
        self._seen: dict[uuid.UUID, int] = {}
        self._since: datetime = querysets.now()
        self._is_first = True

    def look(self) -> Sequence[dict[str, Any]]:
        """The entries of executions themselves since the last look, in the order of their times; at first none."""
        standing = self._standing()
        if self._is_first:
            self._is_first, self._seen = False, {id_: seq for id_, (seq, _) in standing.items()}
            return ()
        # What was open at the last look and is not any more.
        ended = standings([id_ for id_ in self._seen if id_ not in standing])
        changed = {
            id_: range(self._seen.get(id_, 0) + 1, seq + 1)
            for id_, (seq, _) in (*standing.items(), *ended.items())
            if seq > self._seen.get(id_, 0)
        }
        self._seen = {id_: seq for id_, (seq, _) in standing.items()}
        return _moves(changed) if changed else ()

    def _standing(self) -> Mapping[uuid.UUID, Standing]:
        """Executions that are open, and those that were accepted a moment ago."""
        since, self._since = self._since - self._OVERLAP, querysets.now()
        rows = WorkflowExecution.objects.order_by("-created_at", "-id")
        # One status at a time: each has an index of its own.
        parts = [rows.filter(status=status) for status in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)]
        parts.append(rows.filter(created_at__gte=since))
        return {
            id_: Standing(seq, _end(status))
            for part in parts
            for id_, seq, status in part.values_list("id", "last_seq", "status")[: self._MOST]
        }


def _moves(numbers: Mapping[uuid.UUID, range]) -> Sequence[dict[str, Any]]:
    """Entries of the executions themselves that have these numbers."""
    wanted = Q(execution_id__in=list(numbers), event__startswith="execution.")
    rows = ExecutionLog.objects.filter(wanted).order_by("at", "execution_id", "seq")
    found = rows.values_list("execution_id", "seq", "event", "level", "node", "message", "at", "data")
    new = [(id_, entry_json(*entry)) for id_, *entry in found if entry[0] in numbers[id_]]
    executions = {row.pk: row for row in WorkflowExecution.objects.filter(pk__in={id_ for id_, _ in new}).order_by()}
    versions = WorkflowVersion.objects.defer("plan").in_bulk({row.version_id for row in executions.values()})
    return [
        {**entry, "execution": str(id_), "workflow": _workflow(executions[id_], versions), "status": _status(entry)}
        for id_, entry in new
        if id_ in executions
    ]


def _workflow(execution: WorkflowExecution, versions: Mapping[uuid.UUID, WorkflowVersion]) -> dict[str, Any]:
    version = versions[execution.version_id]
    id_ = None if execution.workflow_id is None else str(execution.workflow_id)
    return {"id": id_, "name": version.name, "version": version.number}


def _status(entry: Mapping[str, Any]) -> str:
    """What the execution is after this entry."""
    word = str(entry["event"]).removeprefix("execution.")
    return word if word in set(ExecutionStatus) else str(ExecutionStatus.RUNNING)


def _end(status: str) -> str | None:
    return status if status in TERMINAL_EXECUTION else None
