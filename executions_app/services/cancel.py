"""Ask for the end of a run."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from executions_app import measures
from executions_app.dispatch.announce import announce
from executions_app.dispatch.running import signal_cancel
from executions_app.engine.states import ExecutionStatus
from executions_app.live.publisher import publisher
from executions_app.models import WorkflowExecution, querysets
from executions_app.models.commits import committed
from executions_app.models.querysets import CancelRequest
from executions_app.services.errors import AlreadyFinished, ExecutionNotFound
from workflows_app.models.access import Verb
from workflows_app.services.access import demand
from workflows_app.services.audit import audit

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def cancel(execution_id: uuid.UUID, user: User | None = None, *, why: str = "") -> WorkflowExecution:
    """Cancel a pending execution at once; ask the engine of a running one. Twice is the same as once.

    The execution as it is afterwards. Raises `ExecutionNotFound`, `Forbidden` where the user may not, and
    `AlreadyFinished` for one that had ended.
    """
    execution = WorkflowExecution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise ExecutionNotFound(execution_id)
    demand(user, Verb.CANCEL, execution)
    if not execution.is_finished:
        name = "" if user is None else user.get_username()
        with committed("request_cancel"):
            ask_for_end(execution_id, CancelRequest(user and user.pk, name, why), user)
        execution.refresh_from_db()
    if execution.is_finished and execution.cancel_requested_at is None:
        raise AlreadyFinished(execution_id, execution.status)
    return execution


def ask_for_end(execution_id: uuid.UUID, request: CancelRequest, user: User | None) -> None:
    """End a pending execution, mark a running one, in the caller's transaction; nobody's rights are asked for."""
    ended = querysets.request_cancel(execution_id, request)
    audit(user, "execution.cancel_requested", WorkflowExecution(pk=execution_id))
    transaction.on_commit(lambda: publisher.changed(execution_id))
    # An engine in another process sees the mark in the database by itself.
    transaction.on_commit(lambda: _tell_end(execution_id) if ended else signal_cancel(execution_id))


def _tell_end(execution_id: uuid.UUID) -> None:
    measures.executions_ended.add(ExecutionStatus.CANCELLED)
    announce(execution_id)
