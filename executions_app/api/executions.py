"""Executions: started, found, looked at and cancelled."""

from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status
from ninja.params.models import Header, Query
from pydantic import WithJsonSchema

from executions_app.api.parameters import ExecutionInPath, Time
from executions_app.engine.states import ExecutionStatus
from executions_app.models import WorkflowExecution
from executions_app.queries import ExecutionFilter, execution_by_id, execution_json, executions_page
from executions_app.schemas import Execute, ExecutionPage, ExecutionShown, ExecutionSummary, Rerun, Statistics
from executions_app.services.cancel import cancel
from executions_app.services.rerun import rerun
from executions_app.services.start import StartRequest, start
from executions_app.statistics import statistics_json
from executions_app.waiting import MAX_WAIT, until_the_end
from workflows_app.api.parameters import Cursor, Limit, WorkflowInPath
from workflows_app.models.pages import Page
from workflows_app.queries import workflow_for
from workflows_app.rest.auth import READ, RUN, caller
from workflows_app.rest.codec import body_as
from workflows_app.rest.shapes import Refusal

router = Router(tags=["executions"])

_EXECUTE_BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/json": {"schema": Execute.model_json_schema()}}}
}

_RERUN_BODY: dict[str, Any] = {"requestBody": {"content": {"application/json": {"schema": Rerun.model_json_schema()}}}}

Statuses = Annotated[list[ExecutionStatus], Query([], description="one or several")]
Text = Annotated[str | None, Query(None)]


@router.post(
    "/workflows/{workflow}/execute",
    auth=RUN,
    response={200: ExecutionShown, 202: ExecutionShown, 409: Refusal},
    openapi_extra=_EXECUTE_BODY,
)
async def execute_workflow(
    request: HttpRequest,
    response: HttpResponse,
    workflow: Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})],
    wait: Annotated[float, Query(0, ge=0, le=MAX_WAIT, description="seconds to wait for the end")],
    key: Annotated[str | None, Header(None, alias="Idempotency-Key", min_length=1, max_length=255)],
) -> Any:
    """Accept an execution: 202, or 200 when it has ended within `wait`.

    The same Idempotency-Key with an equal body brings back the same execution.
    """
    if not wait:
        return await sync_to_async(lambda: _accepted(request, response, _accept(request, workflow, key)))()
    execution_id = (await sync_to_async(_accept)(request, workflow, key)).pk
    await until_the_end(execution_id, wait)
    return await sync_to_async(lambda: _accepted(request, response, execution_by_id(str(execution_id))))()


@router.get("/executions", auth=READ, response=ExecutionPage)
def list_executions(
    request: HttpRequest,
    limit: Limit,
    cursor: Cursor,
    status: Statuses,
    workflow: Annotated[str | None, Query(None, description="an id or a name")],
    trigger_type: Text,
    since: Time,
    until: Time,
    label: Text,
) -> Any:
    """The executions that you may see, the newest first."""
    wanted = ExecutionFilter(
        status=status, workflow=workflow, trigger_type=trigger_type, since=since, until=until, label=label
    )
    return _page(executions_page(caller(request).user, wanted, limit, cursor))


@router.get("/workflows/{workflow}/executions", auth=READ, response=ExecutionPage)
def list_executions_of_workflow(
    request: HttpRequest,
    workflow: WorkflowInPath,
    limit: Limit,
    cursor: Cursor,
    status: Statuses,
    trigger_type: Text,
    since: Time,
    until: Time,
    label: Text,
) -> Any:
    """The executions of a workflow, the newest first."""
    wanted = ExecutionFilter(
        status=status, workflow=str(workflow.pk), trigger_type=trigger_type, since=since, until=until, label=label
    )
    return _page(executions_page(caller(request).user, wanted, limit, cursor))


@router.get("/workflows/{workflow}/statistics", auth=READ, response=Statistics)
def get_statistics(request: HttpRequest, workflow: WorkflowInPath) -> Any:
    """How the executions of a workflow went."""
    return statistics_json(workflow)


@router.get("/executions/{execution}", auth=READ, response=ExecutionShown)
def get_execution(request: HttpRequest, execution: ExecutionInPath) -> Any:
    """An execution with its nodes; above 1000 nodes without their input and output."""
    return execution_json(execution)


@router.post("/executions/{execution}/cancel", auth=RUN, response={202: ExecutionSummary, 409: Refusal})
def cancel_execution(request: HttpRequest, execution: ExecutionInPath) -> Any:
    """Ask for its end: a pending one ends at once, a running one when its nodes have stopped."""
    return Status(202, execution_json(cancel(execution.pk, caller(request).user), with_nodes=False))


@router.post(
    "/executions/{execution}/rerun",
    auth=RUN,
    response={202: ExecutionShown, 409: Refusal},
    openapi_extra=_RERUN_BODY,
)
def rerun_execution(request: HttpRequest, response: HttpResponse, execution: ExecutionInPath) -> Any:
    """A new execution of the same snapshot and input, from the start or from what failed."""
    body = body_as(Rerun, request)
    again = rerun(execution.pk, begin=body.begin, user=caller(request).user)
    return _accepted(request, response, again)


def _accept(request: HttpRequest, workflow_id: str, key: str | None) -> WorkflowExecution:
    user = caller(request).user
    workflow = workflow_for(user, workflow_id)
    body = body_as(Execute, request)
    wanted = StartRequest(
        target=workflow,
        input=body.input,
        labels=body.labels,
        priority=body.priority,
        run_at=body.run_at,
        user=user,
        idempotency_key=key,
    )
    return start(wanted).execution


def _accepted(request: HttpRequest, response: HttpResponse, execution: WorkflowExecution) -> Any:
    assert request.resolver_match is not None
    name = f"{request.resolver_match.namespace}:{get_execution.__name__}"
    response["Location"] = reverse(name, kwargs={"execution": str(execution.pk)})
    return Status(200 if execution.is_finished else 202, execution_json(execution))


def _page(page: Page[Any]) -> Any:
    return {"items": [execution_json(found, with_nodes=False) for found in page.items], "next": page.next}
