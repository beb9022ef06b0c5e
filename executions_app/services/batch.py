"""Start several workflows at once, each with the input that its schema suggests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executions_app.services.errors import NeedsInput, RunError
from executions_app.services.start import StartRequest, start
from workflows_app.dag.input_fields import defaults, input_fields, without_default
from workflows_app.services.errors import DefinitionError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from executions_app.models import WorkflowExecution
    from workflows_app.models import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What became of each: started, with its execution, or skipped, with the reason."""

    started: Sequence[tuple[Workflow, WorkflowExecution]]
    skipped: Sequence[tuple[Workflow, RunError | DefinitionError]]


def start_each(workflows: Iterable[Workflow], user: User) -> Batch:
    """One that is refused keeps no other from being started."""
    started: list[tuple[Workflow, WorkflowExecution]] = []
    skipped: list[tuple[Workflow, RunError | DefinitionError]] = []
    for workflow in workflows:
        try:
            started.append((workflow, _start(workflow, user)))
        except (RunError, DefinitionError) as error:
            skipped.append((workflow, error))
    return Batch(started=started, skipped=skipped)


def _start(workflow: Workflow, user: User) -> WorkflowExecution:
    fields = input_fields(workflow.head.get("input_schema"))
    missing = without_default(fields)
    if missing:
        raise NeedsInput(missing)
    return start(StartRequest(target=workflow, input=defaults(fields), user=user)).execution
