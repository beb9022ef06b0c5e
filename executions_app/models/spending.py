"""What agents took: the statements that write their calls, and the sums that an engine goes on with."""

import uuid

from django.db.models import Sum

from executions_app.models.bulk import Columns, insert, update
from executions_app.models.call import AgentCall
from workflows_app.agents.calls import CallOutcome, Spent

CALLS = AgentCall._meta.db_table

_SPENT: Columns = [
    ("requests", "bigint"), ("input_tokens", "bigint"), ("output_tokens", "bigint"), ("cost", "bigint"),
]  # fmt: skip
_CALL_END: Columns = [
    ("outcome", "text"), ("result", "text"), ("error", "text"), *_SPENT, ("ended_at", "timestamptz"),
]  # fmt: skip
CALL = insert(
    CALLS,
    [
        ("execution_id", "uuid"), ("order", "int"), ("attempt_id", "text"), ("number", "int"), ("fence", "int"),
        ("kind", "text"), ("provider", "text"), ("name", "text"), ("effect", "text"), ("arguments", "text"),
        *((f"reserved_{name}", kind) for name, kind in _SPENT), ("started_at", "timestamptz"), *_CALL_END,
    ],
    fixed="item", values="-1",
)  # fmt: skip
CALL_ENDED = update(
    CALLS,
    _CALL_END,
    keys=[("execution_id", "uuid"), ("attempt_id", "text"), ("number", "int")],
    only=f"{CALLS}.outcome = 'started'",
)

# Nobody knows what became of them: they count as what was reserved.
ABANDON_CALLS = f"""
    UPDATE {CALLS} SET outcome = '{CallOutcome.ABANDONED}', requests = COALESCE(reserved_requests, 0),
        input_tokens = COALESCE(reserved_input_tokens, 0), output_tokens = COALESCE(reserved_output_tokens, 0),
        cost = reserved_cost, ended_at = %s
    WHERE execution_id = %s AND outcome = 'started'"""


def spent_by_node(execution_id: uuid.UUID) -> dict[int, Spent]:
    """What the calls of each node took, by its place in the plan."""
    calls = AgentCall.objects.filter(execution_id=execution_id).order_by().values_list("order")
    sums = calls.annotate(Sum("requests"), Sum("input_tokens"), Sum("output_tokens"), Sum("cost"))
    return {
        order: Spent(
            requests=int(requests),
            input_tokens=int(tokens_in),
            output_tokens=int(tokens_out),
            cost=None if cost is None else int(cost),
        )
        for order, requests, tokens_in, tokens_out, cost in sums
    }
