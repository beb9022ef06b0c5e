"""The tools about runs."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from executions_app.conf import execution_settings
from executions_app.mcp.arguments import (
    GetExecution,
    ListExecutions,
    OfExecution,
    RerunExecution,
    RunWorkflow,
    WatchExecution,
)
from executions_app.mcp.call import Call
from executions_app.queries import (
    ExecutionFilter,
    JournalFilter,
    entry_shown_to,
    execution_for,
    execution_json,
    executions_page,
    journal_page,
    log_json,
    node_detail,
    node_shown_to,
)
from executions_app.services.cancel import cancel
from executions_app.services.rerun import rerun
from executions_app.services.start import StartRequest, start
from executions_app.waiting import looks, until_the_end
from workflows_app.models.pages import MAX_LIMIT
from workflows_app.queries import workflow_for
from workflows_app.rest.errors import TooManyWatches

if TYPE_CHECKING:
    from executions_app.models import WorkflowExecution

# How many watches each user has in this process.
_watches: Counter[Any] = Counter()


async def run_workflow(call: Call, given: RunWorkflow) -> Any:
    def started(user: Any) -> WorkflowExecution:
        wanted = StartRequest(
            target=workflow_for(user, given.workflow),
            input=given.input,
            labels=given.labels,
            priority=given.priority,
            run_at=given.run_at,
            user=user,
            idempotency_key=given.idempotency_key,
        )
        return start(wanted).execution

    execution_id = (await call.ask(started)).pk
    if given.wait:
        await until_the_end(execution_id, given.wait)
    return await call.ask(lambda user: execution_json(execution_for(user, str(execution_id))))


async def get_execution(call: Call, given: GetExecution) -> Any:
    def shown(user: Any) -> Any:
        execution = execution_for(user, given.execution)
        after, key = given.journal_after, given.node
        return {
            **execution_json(execution),
            "journal": None if after is None else _journal(user, execution, after),
            "node": None if key is None else node_shown_to(user, node_detail(execution, key)),
        }

    return await call.ask(shown)


async def watch_execution(call: Call, given: WatchExecution) -> Any:
    """Tells each entry of the journal as it is committed, until the end or until the time is up."""
    user_id, limit = call.bearer.user.pk, execution_settings().sockets_per_user
    if _watches[user_id] >= limit:
        raise TooManyWatches(limit)
    _watches[user_id] += 1
    try:
        return await _watch(call, given)
    finally:
        _watches[user_id] -= 1
        if not _watches[user_id]:
            del _watches[user_id]


async def _watch(call: Call, given: WatchExecution) -> Any:
    seq = given.after
    seen: deque[Any] = deque(maxlen=MAX_LIMIT)

    def look(user: Any) -> tuple[WorkflowExecution, Sequence[Any]]:
        execution = execution_for(user, given.execution)
        return execution, _journal(user, execution, seq)

    loop = asyncio.get_running_loop()
    end = loop.time() + given.seconds
    execution, entries = await call.ask(look)
    async for _ in looks(given.seconds):
        while entries:
            for entry in entries:
                await call.tell(entry["seq"], entry["message"])
            seen.extend(entries)
            seq = entries[-1]["seq"]
            if loop.time() >= end:
                break
            execution, entries = await call.ask(look)
        if execution.is_finished and seq >= execution.last_seq:
            break
        execution, entries = await call.ask(look)
    return {
        "execution": execution_json(execution, with_nodes=False),
        "has_ended": execution.is_finished and seq >= execution.last_seq,
        "seq": seq,
        "journal": list(seen),
    }


async def cancel_execution(call: Call, given: OfExecution) -> Any:
    def cancelled(user: Any) -> Any:
        return execution_json(cancel(execution_for(user, given.execution).pk, user), with_nodes=False)

    return await call.ask(cancelled)


async def rerun_execution(call: Call, given: RerunExecution) -> Any:
    def again(user: Any) -> Any:
        return execution_json(rerun(execution_for(user, given.execution).pk, begin=given.begin, user=user))

    return await call.ask(again)


async def list_executions(call: Call, given: ListExecutions) -> Any:
    wanted = ExecutionFilter(status=given.status, workflow=given.workflow, label=given.label)

    def listed(user: Any) -> Any:
        page = executions_page(user, wanted, given.limit, given.cursor)
        return {"items": [execution_json(found, with_nodes=False) for found in page.items], "next": page.next}

    return await call.ask(listed)


def _journal(user: Any, execution: WorkflowExecution, after: int) -> Sequence[Any]:
    page = journal_page(execution, JournalFilter(after=after), MAX_LIMIT, None)
    return [entry_shown_to(user, log_json(entry)) for entry in page.items]
