"""Ask for the end of a run."""

import uuid

from executions_app.dispatch.running import signal_cancel
from executions_app.models import WorkflowExecution, querysets
from executions_app.services.errors import AlreadyFinished, ExecutionNotFound


def cancel(execution_id: uuid.UUID) -> WorkflowExecution:
    """Cancel a pending execution at once; ask the engine of a running one. Twice is the same as once.

    The execution as it is afterwards. Raises `ExecutionNotFound`, and `AlreadyFinished` for one that had ended.
    """
    execution = WorkflowExecution.objects.filter(pk=execution_id).first()
    if execution is None:
        raise ExecutionNotFound(execution_id)
    if not execution.is_finished:
        querysets.request_cancel(execution_id)
        _ = signal_cancel(execution_id)
        execution.refresh_from_db()
    if execution.is_finished and execution.cancel_requested_at is None:
        raise AlreadyFinished(execution_id, execution.status)
    return execution
