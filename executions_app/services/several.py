"""The same use case on several executions: what was done, and why the rest was not.

Each is a use case of its own, with its permission, its transaction and its entry in the audit.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from executions_app.engine.states import ExecutionStatus
from executions_app.models import WorkflowExecution
from executions_app.services.cancel import cancel
from executions_app.services.errors import (
    AlreadyFinished,
    InactiveWorkflow,
    NotFinished,
    NothingFailed,
    RunError,
)
from executions_app.services.rerun import From, rerun
from workflows_app.models.access import Verb
from workflows_app.services.errors import Forbidden

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The executions that it came to, and how many were refused, by the code of the refusal."""

    done: Sequence[WorkflowExecution]
    refused: Mapping[str, int]

    @property
    def asked(self) -> int:
        return len(self.done) + sum(self.refused.values())


def cancel_each(execution_ids: Iterable[uuid.UUID], user: User, *, why: str = "") -> Outcome:
    return _each(execution_ids, lambda execution_id: cancel(execution_id, user, why=why))


def rerun_each(execution_ids: Iterable[uuid.UUID], user: User, begin: From) -> Outcome:
    """`done` are the new executions."""
    return _each(execution_ids, lambda execution_id: rerun(execution_id, begin=begin, user=user))


def _each(execution_ids: Iterable[uuid.UUID], act: Callable[[uuid.UUID], WorkflowExecution]) -> Outcome:
    done: list[WorkflowExecution] = []
    refused: Counter[str] = Counter()
    for execution_id in execution_ids:
        try:
            done.append(act(execution_id))
        except (RunError, Forbidden) as error:
            refused[error.code] += 1
    return Outcome(done=done, refused=refused)


def cancel_refusals(executions: Iterable[WorkflowExecution], user: User) -> Mapping[uuid.UUID, str]:
    """Which of these `cancel_each` would refuse as they are now, with the code."""
    found = {execution.id: AlreadyFinished.code for execution in executions if execution.is_finished}
    return found | _forbidden(executions, user, Verb.CANCEL)


def rerun_refusals(executions: Iterable[WorkflowExecution], user: User, begin: From) -> Mapping[uuid.UUID, str]:
    """Which of these `rerun_each` would refuse as they are now, with the code; their workflows are at hand."""
    found: dict[uuid.UUID, str] = {}
    for execution in executions:
        if not execution.is_finished:
            found[execution.id] = NotFinished.code
        elif begin is From.FAILED and execution.status == ExecutionStatus.COMPLETED:
            found[execution.id] = NothingFailed.code
        elif execution.workflow is not None and not execution.workflow.is_active:
            found[execution.id] = InactiveWorkflow.code
    return found | _forbidden(executions, user, Verb.RUN)


def _forbidden(executions: Iterable[WorkflowExecution], user: User, verb: Verb) -> dict[uuid.UUID, str]:
    # What a user may do is the same for all executions of a workflow.
    rights: dict[object, frozenset[Verb]] = {}
    found: dict[uuid.UUID, str] = {}
    for execution in executions:
        whose = (execution.workflow_id, execution.started_by_id)
        if whose not in rights:
            rights[whose] = execution.rights_of(user)
        if verb not in rights[whose]:
            found[execution.id] = Forbidden.code
    return found
