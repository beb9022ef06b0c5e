"""Where an accepted run waits: its queue, its priority, when it is due, and how many of its key there may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection

from executions_app.models import WorkflowExecution
from executions_app.models.querysets import CancelRequest, now
from executions_app.models.turns import lane, lock_key, open_with_key
from executions_app.services.cancel import ask_for_end
from executions_app.services.errors import ConcurrencyLimit, InvalidInput
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.rendering import render
from workflows_app.dag.types import Overflow

if TYPE_CHECKING:
    from workflows_app.dag.plan import ConcurrencyPlan, Plan

# A key is part of indexed columns.
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class _KeyScope:
    """What the key of a run may depend on: what is known before it begins."""

    names: Mapping[str, object]
    now: datetime

    def lookup(self, name: str) -> object:
        return self.names[name]


def place(execution: WorkflowExecution, plan: Plan) -> None:
    """Say where an execution that is about to go on record waits, in the transaction that writes it.

    Where its key is at its limit, the oldest with that key is asked to end, if the workflow says so. Raises
    `ConcurrencyLimit` where it says that the run is not to be accepted then, `InvalidInput` where there is no key.
    """
    execution.queue = plan.settings.queue
    limited = plan.settings.concurrency
    # Runs of a document that belongs to no workflow have nothing in common.
    if limited is not None and execution.workflow_id is not None:
        key = _key(limited, execution, plan)
        execution.concurrency_key = f"{execution.workflow_id.hex}:{key}"
        execution.concurrency_limit = limited.limit
        _keep_within(limited, key, execution)
    execution.lane = lane(execution)


def _key(limited: ConcurrencyPlan, execution: WorkflowExecution, plan: Plan) -> str:
    """The key as text: what is no text as JSON."""
    scope = _KeyScope({"input": execution.input, "vars": plan.variables}, now())
    try:
        # With text before it, it is rendered to text.
        key = str(render(f":{limited.key}", scope))[1:]
    except ExpressionError as error:
        raise InvalidInput([("concurrency.key", str(error))]) from error
    if len(key) > MAX_KEY_LENGTH:
        sentence = f"It gives a text of {len(key)} characters, and {MAX_KEY_LENGTH} is the most."
        raise InvalidInput([("concurrency.key", sentence)])
    return key


def _keep_within(limited: ConcurrencyPlan, key: str, execution: WorkflowExecution) -> None:
    if limited.overflow is Overflow.QUEUE:
        return
    with connection.cursor() as cursor:
        # Runs of one key that are accepted at the same time count one another.
        lock_key(cursor, execution.concurrency_key)
        before = open_with_key(cursor, execution.concurrency_key)
    too_many = len(before) + 1 - limited.limit
    if too_many <= 0:
        return
    if limited.overflow is Overflow.SKIP:
        raise ConcurrencyLimit(limited.limit, key, before[0])
    name = "" if execution.started_by is None else execution.started_by.get_username()
    for oldest in before[:too_many]:
        request = CancelRequest(execution.started_by_id, name, f"execution {execution.id} takes its place.")
        ask_for_end(oldest, request, execution.started_by)
