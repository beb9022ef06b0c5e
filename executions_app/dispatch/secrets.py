"""The secrets that a run may use: those of its workflow's owner."""

import uuid
from collections.abc import Mapping, Sequence

from executions_app.models import WorkflowExecution
from workflows_app.processors.errors import NodeConfigurationError
from workflows_app.services.errors import DefinitionError
from workflows_app.services.secrets import resolver_for


def secrets_of(execution_id: uuid.UUID, names: Sequence[str]) -> Mapping[str, str]:
    """Values by name. Raises `NodeConfigurationError` where one cannot be had; the sentence has nothing of a value."""
    found = WorkflowExecution.objects.filter(pk=execution_id).values_list("workflow_id", "workflow__owner_id").get()
    workflow_id, owner_id = found
    if workflow_id is not None and owner_id is None:
        raise NodeConfigurationError("The workflow of this execution was deleted, and with it went its secrets.")
    try:
        return resolver_for(owner_id, str(execution_id))(names)
    except DefinitionError as error:
        raise NodeConfigurationError(str(error)) from error
