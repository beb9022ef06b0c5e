"""Accept a run: check everything, then write the execution, a row for every node and the first journal entry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, connection, transaction

from executions_app.conf import execution_settings
from executions_app.dispatch.base import Job
from executions_app.dispatch.chosen import send
from executions_app.dispatch.identity import engine_name
from executions_app.engine.states import ExecutionStatus
from executions_app.live.publisher import publisher
from executions_app.models import WorkflowExecution, querysets
from executions_app.models.commits import committed
from executions_app.services.admission import place
from executions_app.services.errors import (
    AlreadyRunning,
    IdempotencyConflict,
    InactiveWorkflow,
    InvalidInput,
    TooManyPending,
)
from workflows_app.dag import jsontext, schema
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import JsonObject, Scheduling
from workflows_app.models import Workflow, WorkflowVersion
from workflows_app.models.access import Verb
from workflows_app.services.access import demand
from workflows_app.services.audit import audit
from workflows_app.services.compile import plan_of
from workflows_app.services.documents import Source
from workflows_app.services.publish import publish, publish_anonymous

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What a run is to do, and for whom; None is a command or a schedule, which may do everything.

    `target` is a workflow, or the source of a document that belongs to none.
    """

    target: Workflow | Source
    input: JsonObject
    user: User | None = None
    labels: Sequence[str] = ()
    trigger_type: str = "manual"
    scheduling: Scheduling | None = None
    # Instead of the workflow's; from -100 to 100.
    priority: int | None = None
    # Not before this time, which is aware.
    run_at: datetime | None = None
    idempotency_key: str | None = None
    # This process is about to run it: other engines leave it alone for the time of a lease.
    reserved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`created` is False where the idempotency key brought back an execution that exists already."""

    execution: WorkflowExecution
    created: bool


def start(request: StartRequest) -> Accepted:
    """Accept a run. It is pending, and on record, when this returns; nothing has started.

    Raises `Forbidden`, `InvalidDefinition`, `InvalidInput`, `InactiveWorkflow`, `AlreadyRunning`,
    `IdempotencyConflict`, `TooManyPending`; then nothing is on record.
    """
    if isinstance(request.target, Workflow):
        demand(request.user, Verb.RUN, request.target)
    version = _snapshot(request.target)
    plan = plan_of(version)
    before = _accepted_before(request)
    if before is not None:
        return Accepted(execution=before, created=False)
    _check_input(plan, request.input)
    try:
        with committed("start"):
            execution = _accept(request, version, plan)
            audit(request.user, "execution.started", execution)
        return Accepted(execution=execution, created=True)
    except IntegrityError:
        # Somebody else was first, with the same key or with a run of an exclusive workflow.
        before = _accepted_before(request)
        if before is not None:
            return Accepted(execution=before, created=False)
        raise already_running(version) from None


def _snapshot(target: Workflow | Source) -> WorkflowVersion:
    if isinstance(target, Source):
        return publish_anonymous(target)
    if not target.is_active:
        raise InactiveWorkflow(target.name)
    return publish(target)


def _check_input(plan: Plan, value: JsonObject) -> None:
    if plan.input_schema is None:
        return
    problems = schema.violations(plan.input_schema, value)
    if problems:
        raise InvalidInput(problems)


def _accept(request: StartRequest, version: WorkflowVersion, plan: Plan) -> WorkflowExecution:
    execution = WorkflowExecution(
        version=version,
        started_by=request.user,
        trigger_type=request.trigger_type,
        scheduling=request.scheduling or plan.settings.scheduling,
        priority=plan.settings.priority if request.priority is None else request.priority,
        labels=[*plan.labels, *request.labels],
        input=request.input,
        idempotency_hash=_idempotency_hash(request),
        request_hash=_request_hash(request),
    )
    at = request.run_at
    later = "" if at is None else f", to start at {jsontext.rfc3339(at)} or soon after"
    insert(execution, plan, f"Execution of {version} was accepted{later}.", reserved=request.reserved, run_at=at)
    return execution


def insert(
    execution: WorkflowExecution,
    plan: Plan,
    message: str,
    *,
    reserved: bool,
    keep: Sequence[int] = (),
    run_at: datetime | None = None,
) -> None:
    """Put an execution on record as pending, in the caller's transaction, and have it taken after the commit.

    It is due at `run_at`, or at once. Of a re-run some nodes keep what they came to in the execution that it runs
    again. Raises `TooManyPending`, and what `place` raises.
    """
    _refuse_flood(execution.started_by)
    execution.workflow_id = execution.version.workflow_id
    execution.exclusive = not plan.settings.allow_concurrent and execution.workflow_id is not None
    execution.last_seq = 1 + len(keep)
    execution.created_at = querysets.now()
    if run_at is not None:
        execution.due_at = run_at
    place(execution, plan)
    if reserved:
        execution.claimed_by = engine_name()
        execution.lease_until = execution.created_at + timedelta(seconds=execution_settings().lease_seconds)
    querysets.insert_execution(execution)
    querysets.insert_nodes(execution.id, plan)
    transaction.on_commit(lambda: publisher.changed(execution.id))
    with connection.cursor() as cursor:
        querysets.write_log(cursor, execution.id, 1, "execution.pending", message)
    if not reserved:
        send(Job(execution_id=execution.id, queue=execution.queue, priority=execution.priority, due_at=run_at))
    if execution.rerun_of_id is not None:
        querysets.keep_nodes(execution.id, execution.rerun_of_id, keep, first_seq=2)


def _refuse_flood(user: User | None) -> None:
    if user is None:
        return
    limit = execution_settings().pending_executions
    # Requests at the same time may pass together: this keeps a queue from growing without end, it is no quota.
    if WorkflowExecution.objects.filter(status=ExecutionStatus.PENDING, started_by=user)[:limit].count() >= limit:
        raise TooManyPending(limit)


def _accepted_before(request: StartRequest) -> WorkflowExecution | None:
    if request.idempotency_key is None:
        return None
    before = WorkflowExecution.objects.filter(idempotency_hash=_idempotency_hash(request)).first()
    if before is not None and before.request_hash != _request_hash(request):
        raise IdempotencyConflict(request.idempotency_key)
    return before


def _idempotency_hash(request: StartRequest) -> str | None:
    """A key counts per workflow and caller; a document without a workflow is its own workflow."""
    if request.idempotency_key is None:
        return None
    target = request.target
    subject = str(target.pk) if isinstance(target, Workflow) else jsontext.dumps(target.document)
    caller = "" if request.user is None else str(request.user.pk)
    return _sha256([subject, caller, request.idempotency_key])


def _request_hash(request: StartRequest) -> str:
    if request.idempotency_key is None:
        return ""
    asked = [request.input, list(request.labels), request.scheduling]
    if request.priority is not None or request.run_at is not None:
        # Requests with neither have the hash that they had before there was either.
        asked += [request.priority, request.run_at and request.run_at.isoformat()]
    return _sha256(asked)


def _sha256(value: object) -> str:
    return hashlib.sha256(jsontext.dumps(value).encode()).hexdigest()


def already_running(version: WorkflowVersion) -> AlreadyRunning:
    """Why a run of an exclusive workflow was refused."""
    running = WorkflowExecution.objects.filter(
        workflow_id=version.workflow_id,
        exclusive=True,
        status__in=[ExecutionStatus.PENDING, ExecutionStatus.RUNNING],
    ).first()
    return AlreadyRunning(version.name, running and running.id)
