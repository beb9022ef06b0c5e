"""Ask for the end of a run."""

import uuid

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from executions_app.dispatch.announce import announce
from executions_app.dispatch.running import signal_cancel
from executions_app.models import WorkflowExecution, querysets
from executions_app.models.querysets import CancelRequest
from executions_app.services.errors import AlreadyFinished, ExecutionNotFound


def cancel(execution_id: uuid.UUID, *, user: AbstractBaseUser | None = None, why: str = "") -> WorkflowExecution:
    """Cancel a pending execution at once; ask the engine of a running one. Twice is the same as once.

    The execution as it is afterwards. Raises `ExecutionNotFound`, and `AlreadyFinished` for one that had ended.
    """
    execution = WorkflowExecution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise ExecutionNotFound(execution_id)
    if not execution.is_finished:
        name = "" if user is None else user.get_username()
        ended = querysets.request_cancel(execution_id, CancelRequest(user and user.pk, name, why))
        # An engine in another process sees the mark in the database by itself.
        transaction.on_commit(lambda: announce(execution_id) if ended else signal_cancel(execution_id))
        execution.refresh_from_db()
    if execution.is_finished and execution.cancel_requested_at is None:
        raise AlreadyFinished(execution_id, execution.status)
    return execution
