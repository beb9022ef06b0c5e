"""Workflows: made, found, replaced, changed, shared, checked and deleted."""

from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status
from ninja.params.models import Query

from workflows_app.api.parameters import Cursor, IfMatch, Limit, WorkflowInPath
from workflows_app.dag.types import JsonObject
from workflows_app.models import Workflow
from workflows_app.queries import (
    WorkflowFilter,
    shares_json,
    unreadable_json,
    validation_json,
    workflow_json,
    workflows_page,
)
from workflows_app.rest.auth import READ, WRITE, caller
from workflows_app.rest.codec import document_in
from workflows_app.rest.errors import InvalidRequest
from workflows_app.rest.shapes import Refusal
from workflows_app.rest.versions import required_version, state_version, stated_version
from workflows_app.schemas import (
    DocumentFormat,
    Duplicate,
    Share,
    Validation,
    WorkflowChange,
    WorkflowPage,
    WorkflowShown,
)
from workflows_app.services import editing
from workflows_app.services.documents import Format, Source, document_of, export
from workflows_app.services.editing import Edit
from workflows_app.services.errors import InvalidDefinition

router = Router(tags=["workflows"])

_EXAMPLE: JsonObject = {
    "name": "fee",
    "variables": {"rate": Decimal("0.1")},
    "nodes": [
        {"key": "start", "type": "trigger"},
        {"key": "fee", "type": "adapter", "output": {"fee": "${{ input.amount * vars.rate }}"}},
    ],
    "edges": [{"from": "start", "to": "fee"}],
}
# The description of the API has its parts.
_DOCUMENT = {"$ref": "#/components/schemas/Document"}
# The body is read as text, so that a problem can say its line.
_DOCUMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _DOCUMENT, "example": _EXAMPLE},
            "application/yaml": {"schema": _DOCUMENT, "example": _EXAMPLE},
        },
    }
}
_ANY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {}, "example": _EXAMPLE} for kind in ("application/json", "application/yaml")},
    }
}


@router.get("/workflows", auth=READ, response=WorkflowPage)
def list_workflows(
    request: HttpRequest,
    limit: Limit,
    cursor: Cursor,
    search: Annotated[str | None, Query(None, description="a part of the name or description")],
    label: Annotated[str | None, Query(None)],
    is_active: Annotated[bool | None, Query(None)],
) -> Any:
    """The workflows that you may see, by name."""
    wanted = WorkflowFilter(search=search, label=label, is_active=is_active)
    page = workflows_page(caller(request).user, wanted, limit, cursor)
    return {"items": [workflow_json(found, with_document=False) for found in page.items], "next": page.next}


@router.post("/workflows", auth=WRITE, response={201: WorkflowShown, 409: Refusal}, openapi_extra=_DOCUMENT_BODY)
def create_workflow(request: HttpRequest, response: HttpResponse) -> Any:
    """A new workflow of yours from a document, JSON or YAML. Any error refuses it."""
    return _created(request, response, editing.create(document_in(request), caller(request).user))


@router.post("/workflows/validate", auth=READ, response=Validation, openapi_extra=_ANY_BODY)
def validate_document(request: HttpRequest) -> Any:
    """Everything that is wrong with a document; nothing is saved."""
    try:
        return validation_json(document_in(request))
    except InvalidDefinition as error:
        return unreadable_json(error)


@router.get("/workflows/{workflow}", auth=READ, response=WorkflowShown)
def get_workflow(request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath) -> Any:
    """A workflow with its document; its version is the ETag."""
    return _shown(response, workflow)


@router.put("/workflows/{workflow}", auth=WRITE, response=WorkflowShown, openapi_extra=_DOCUMENT_BODY)
def replace_workflow(request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch) -> Any:
    """Another document for a workflow. Needs If-Match; an identical document changes nothing."""
    edit = _edit(request, workflow, if_match)
    return _shown(response, editing.replace(edit, document_in(request)))


@router.patch("/workflows/{workflow}", auth=WRITE, response=WorkflowShown)
def change_workflow(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch, body: WorkflowChange
) -> Any:
    """Another name, description, labels, or switched on or off. Needs If-Match."""
    fields = body.model_dump(exclude_unset=True)
    is_active = fields.pop("is_active", None)
    return _shown(response, editing.change(_edit(request, workflow, if_match), fields, is_active=is_active))


@router.delete("/workflows/{workflow}", auth=WRITE, response={204: None})
def delete_workflow(request: HttpRequest, workflow: WorkflowInPath, if_match: IfMatch) -> Any:
    """Delete a workflow; its executions stay. Needs If-Match."""
    editing.delete(_edit(request, workflow, if_match))
    return Status(204, None)


@router.get("/workflows/{workflow}/document", auth=READ)
def export_document(
    request: HttpRequest,
    workflow: WorkflowInPath,
    form: Annotated[DocumentFormat, Query("json", alias="format")],
) -> HttpResponse:
    """The document as it was given, JSON or YAML."""
    response = HttpResponse(export(workflow, Format(form)), content_type=f"application/{form}; charset=utf-8")
    state_version(response, workflow.version)
    return response


@router.post("/workflows/{workflow}/duplicate", auth=WRITE, response={201: WorkflowShown, 409: Refusal})
def duplicate_workflow(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, body: Duplicate | None = None
) -> Any:
    """A copy that belongs to you."""
    name = None if body is None else body.name
    return _created(request, response, editing.duplicate(workflow, caller(request).user, name))


@router.get("/workflows/{workflow}/shares", auth=READ, response=list[Share])
def list_shares(request: HttpRequest, workflow: WorkflowInPath) -> Any:
    """The groups that may use a workflow, and in which role."""
    return shares_json(workflow)


@router.put("/workflows/{workflow}/shares", auth=WRITE, response=list[Share])
def replace_shares(request: HttpRequest, workflow: WorkflowInPath, if_match: IfMatch, body: list[Share]) -> Any:
    """Share a workflow with these groups and no others; only its owner may. If-Match is heeded, but not needed."""
    roles = {share.group: share.role for share in body}
    if len(roles) < len(body):
        raise InvalidRequest("A group stands in the list twice: give each group one role.")
    edit = Edit(workflow=workflow, user=caller(request).user, version=stated_version(if_match))
    editing.share(edit, roles)
    return shares_json(workflow)


@router.post("/workflows/{workflow}/validate", auth=READ, response=Validation)
def validate_workflow(request: HttpRequest, workflow: WorkflowInPath) -> Any:
    """Everything that is wrong with a workflow as it is."""
    return validation_json(Source(document=document_of(workflow), line_of=lambda _path: None))


def _edit(request: HttpRequest, workflow: Workflow, if_match: str | None) -> Edit:
    return Edit(workflow=workflow, user=caller(request).user, version=required_version(if_match))


def _shown(response: HttpResponse, workflow: Workflow) -> Any:
    state_version(response, workflow.version)
    return workflow_json(workflow)


def _created(request: HttpRequest, response: HttpResponse, workflow: Workflow) -> Any:
    assert request.resolver_match is not None
    name = f"{request.resolver_match.namespace}:{get_workflow.__name__}"
    response["Location"] = reverse(name, kwargs={"workflow": str(workflow.pk)})
    return Status(201, _shown(response, workflow))
