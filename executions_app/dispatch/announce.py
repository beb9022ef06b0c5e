"""Telling the other apps that an execution ended."""

import uuid

from executions_app.models import WorkflowExecution
from executions_app.signals import execution_finished


def announce(execution_id: uuid.UUID) -> None:
    """Send `execution_finished`, after the commit, by whoever ended the execution. A receiver that raises is logged."""
    if execution_finished.has_listeners(WorkflowExecution):
        execution = WorkflowExecution.objects.get(pk=execution_id)
        _ = execution_finished.send_robust(sender=WorkflowExecution, execution=execution)
