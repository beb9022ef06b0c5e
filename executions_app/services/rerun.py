"""Run an execution again: the same snapshot and input, all of it or what did not succeed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db import IntegrityError

from executions_app.engine.states import ExecutionStatus, NodeStatus
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.models.commits import committed
from executions_app.services.errors import ExecutionNotFound, InactiveWorkflow, NotFinished, NothingFailed
from executions_app.services.start import already_running, insert
from workflows_app.dag.plan import Plan
from workflows_app.models.access import Verb
from workflows_app.services.access import demand
from workflows_app.services.audit import audit
from workflows_app.services.compile import plan_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class From(StrEnum):
    # Every node runs.
    START = "start"
    # Nodes that ended well before anything went wrong keep their outputs.
    FAILED = "failed"


def rerun(
    execution_id: uuid.UUID, *, begin: From = From.START, user: User | None = None, reserved: bool = False
) -> WorkflowExecution:
    """Accept a new execution of the snapshot of one that has ended. `reserved` is as in `StartRequest`.

    Raises `ExecutionNotFound`, `Forbidden`, `NotFinished`, `NothingFailed`, `InactiveWorkflow`, `AlreadyRunning` and
    `TooManyPending`.
    """
    before = WorkflowExecution.objects.select_related("version", "workflow").filter(pk=execution_id).first()
    if before is None:
        raise ExecutionNotFound(execution_id)
    demand(user, Verb.RUN, before)
    if not before.is_finished:
        raise NotFinished(execution_id, before.status)
    if begin is From.FAILED and before.status == ExecutionStatus.COMPLETED:
        raise NothingFailed(execution_id)
    if before.workflow is not None and not before.workflow.is_active:
        raise InactiveWorkflow(before.workflow.name)
    plan = plan_of(before.version)
    keep = _settled_for_good(plan, execution_id) if begin is From.FAILED else ()
    again = WorkflowExecution(
        version=before.version,
        rerun_of=before,
        started_by=user,
        trigger_type=before.trigger_type,
        scheduling=before.scheduling,
        labels=before.labels,
        priority=plan.settings.priority,
        input=before.input,
    )
    kept = f", with {len(keep)} of {len(plan.nodes)} nodes kept" if keep else ""
    message = f"Execution of {before.version} was accepted: execution {execution_id} again{kept}."
    try:
        with committed("rerun"):
            insert(again, plan, message, reserved=reserved, keep=keep)
            audit(user, "execution.rerun", again, {"rerun_of": str(execution_id), "from": str(begin)})
    except IntegrityError:
        raise already_running(before.version) from None
    return again


def _settled_for_good(plan: Plan, execution_id: uuid.UUID) -> Sequence[int]:
    """The nodes that completed, or were passed over, and all of whose ancestors did: no failure had a part in them."""
    statuses = dict(NodeExecution.objects.filter(execution_id=execution_id, item=-1).values_list("order", "status"))
    kept: set[int] = set()
    for node in sorted(range(len(plan.nodes)), key=lambda node: plan.levels[node]):
        sources = (plan.ends[edge][0] for edge in plan.incoming[node])
        ended_well = statuses.get(node) in (NodeStatus.COMPLETED, NodeStatus.SKIPPED)
        if ended_well and all(source in kept for source in sources):
            kept.add(node)
    return sorted(kept)
