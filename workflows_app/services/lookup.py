"""Finding a workflow by what a person types."""

import uuid

from workflows_app.models import Workflow
from workflows_app.services.errors import AmbiguousName, WorkflowNotFoundError


def find(name: str) -> Workflow:
    """The workflow with this id, name or `OWNER/NAME`, over all owners.

    Raises `WorkflowNotFoundError`, or `AmbiguousName` where several owners have one of that name.
    """
    workflows = Workflow.objects.all()
    try:
        found = list(workflows.filter(pk=uuid.UUID(name)))
    except ValueError:
        owner, _, rest = name.rpartition("/")
        found = list(workflows.filter(name=rest, **({"owner__username": owner} if owner else {})))
    if not found:
        raise WorkflowNotFoundError(name)
    if len(found) > 1:
        raise AmbiguousName(name, sorted(workflow.owner.get_username() for workflow in found))
    return found[0]
