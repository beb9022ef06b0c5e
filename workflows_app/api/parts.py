"""The nodes and edges of a workflow, one at a time. Each answer has the workflow's version, also as ETag."""

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Status
from ninja.params.models import Body

from workflows_app.api.parameters import Cursor, IfMatch, Limit, WorkflowInPath
from workflows_app.dag.types import JsonObject
from workflows_app.models import Workflow
from workflows_app.queries import edge_json, edges_page, node_json, node_of, nodes_page
from workflows_app.rest.auth import READ, WRITE, caller
from workflows_app.rest.versions import required_version, state_version, stated_version
from workflows_app.schemas import PartShown, PartsPage
from workflows_app.services import parts
from workflows_app.services.editing import Edit

router = Router(tags=["nodes and edges"])

Definition = Annotated[dict[str, Any], Body(..., description="as in a document")]
Fields = Annotated[dict[str, Any], Body(..., description="only the keys that are to change")]


@router.get("/workflows/{workflow}/nodes", auth=READ, response=PartsPage)
def list_nodes(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, limit: Limit, cursor: Cursor
) -> Any:
    """The nodes in document order."""
    page = nodes_page(workflow, limit, cursor)
    state_version(response, workflow.version)
    return {"items": [node_json(node) for node in page.items], "next": page.next, "version": workflow.version}


@router.post("/workflows/{workflow}/nodes", auth=WRITE, response={201: PartShown})
def add_node(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch, node: Definition
) -> Any:
    """A new node, the last in the document. If-Match is heeded, but not needed."""
    changed = parts.add_node(_addition(request, workflow, if_match), node)
    return Status(201, _shown(response, changed.workflow, node_json(changed.part)))


@router.get("/workflows/{workflow}/nodes/{key}", auth=READ, response=PartShown)
def get_node(request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, key: str) -> Any:
    """A node as the document states it."""
    return _shown(response, workflow, node_json(node_of(workflow, key)))


@router.patch("/workflows/{workflow}/nodes/{key}", auth=WRITE, response=PartShown)
def change_node(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch, key: str, fields: Fields
) -> Any:
    """Other values of some keys. Its edges follow a node that gets another key. Needs If-Match."""
    changed = parts.change_node(_edit(request, workflow, if_match), key, fields)
    return _shown(response, changed.workflow, node_json(changed.part))


@router.delete("/workflows/{workflow}/nodes/{key}", auth=WRITE, response=PartShown)
def remove_node(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch, key: str
) -> Any:
    """Its edges go with it. Needs If-Match; answers what was removed."""
    changed = parts.remove_node(_edit(request, workflow, if_match), key)
    return _shown(response, changed.workflow, node_json(changed.part))


@router.get("/workflows/{workflow}/edges", auth=READ, response=PartsPage)
def list_edges(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, limit: Limit, cursor: Cursor
) -> Any:
    """The edges in document order, each with its id."""
    page = edges_page(workflow, limit, cursor)
    state_version(response, workflow.version)
    return {"items": [edge_json(edge) for edge in page.items], "next": page.next, "version": workflow.version}


@router.post("/workflows/{workflow}/edges", auth=WRITE, response={201: PartShown})
def add_edge(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch, edge: Definition
) -> Any:
    """A new edge, the last in the document. If-Match is heeded, but not needed."""
    changed = parts.add_edge(_addition(request, workflow, if_match), edge)
    return Status(201, _shown(response, changed.workflow, edge_json(changed.part)))


@router.patch("/workflows/{workflow}/edges/{edge_id}", auth=WRITE, response=PartShown)
def change_edge(
    request: HttpRequest,
    response: HttpResponse,
    workflow: WorkflowInPath,
    if_match: IfMatch,
    edge_id: str,
    fields: Fields,
) -> Any:
    """Other values of some keys. Needs If-Match."""
    changed = parts.change_edge(_edit(request, workflow, if_match), edge_id, fields)
    return _shown(response, changed.workflow, edge_json(changed.part))


@router.delete("/workflows/{workflow}/edges/{edge_id}", auth=WRITE, response=PartShown)
def remove_edge(
    request: HttpRequest, response: HttpResponse, workflow: WorkflowInPath, if_match: IfMatch, edge_id: str
) -> Any:
    """Needs If-Match; answers what was removed."""
    changed = parts.remove_edge(_edit(request, workflow, if_match), edge_id)
    return _shown(response, changed.workflow, edge_json(changed.part))


def _edit(request: HttpRequest, workflow: Workflow, if_match: str | None) -> Edit:
    return Edit(workflow=workflow, user=caller(request).user, version=required_version(if_match))


def _addition(request: HttpRequest, workflow: Workflow, if_match: str | None) -> Edit:
    return Edit(workflow=workflow, user=caller(request).user, version=stated_version(if_match))


def _shown(response: HttpResponse, workflow: Workflow, part: JsonObject) -> Any:
    state_version(response, workflow.version)
    return {**part, "version": workflow.version, "problems": workflow.problems}
