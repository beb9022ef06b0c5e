"""What happened in an execution: its nodes and its journal."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router
from ninja.params.models import Query

from executions_app.api.parameters import After, ExecutionInPath
from executions_app.engine.states import NodeStatus
from executions_app.queries import (
    JournalFilter,
    entry_shown_to,
    event_json,
    journal_page,
    log_json,
    node_detail,
    node_shown_to,
    nodes_page,
)
from executions_app.schemas import EventPage, LogPage, NodeDetail, NodePage
from workflows_app.api.parameters import Cursor, Limit
from workflows_app.rest.auth import READ, caller

router = Router(tags=["executions"])


@router.get("/executions/{execution}/nodes", auth=READ, response=NodePage)
def list_node_executions(
    request: HttpRequest,
    execution: ExecutionInPath,
    limit: Limit,
    cursor: Cursor,
    status: Annotated[list[NodeStatus], Query([], description="one or several")],
) -> Any:
    """Every node with its attempts, in the order of the document. Tracebacks are shown to staff."""
    page = nodes_page(execution, status, limit, cursor)
    return {"items": [node_shown_to(caller(request).user, node) for node in page.items], "next": page.next}


@router.get("/executions/{execution}/nodes/{key}", auth=READ, response=NodeDetail)
def get_node_execution(request: HttpRequest, execution: ExecutionInPath, key: str) -> Any:
    """What happened to one node, and why; of an agent with every call that it made."""
    return node_shown_to(caller(request).user, node_detail(execution, key))


@router.get("/executions/{execution}/logs", auth=READ, response=LogPage)
def list_logs(
    request: HttpRequest,
    execution: ExecutionInPath,
    limit: Limit,
    cursor: Cursor,
    after: After,
    level: Annotated[
        Literal["debug", "info", "warning", "error"], Query("debug", description="this level and graver ones")
    ],
    node: Annotated[str | None, Query(None)],
) -> Any:
    """The journal for people."""
    page = journal_page(execution, JournalFilter(level=level, node=node, after=after), limit, cursor)
    return {"items": [entry_shown_to(caller(request).user, log_json(log)) for log in page.items], "next": page.next}


@router.get("/executions/{execution}/events", auth=READ, response=EventPage)
def list_events(request: HttpRequest, execution: ExecutionInPath, limit: Limit, cursor: Cursor, after: After) -> Any:
    """The journal for programs, without gaps."""
    page = journal_page(execution, JournalFilter(after=after), limit, cursor)
    return {"items": [entry_shown_to(caller(request).user, event_json(log)) for log in page.items], "next": page.next}
