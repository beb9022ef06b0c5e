"""The read side of definitions: workflows as every interface shows them, and only those that a user may see."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.models import Group
from django.db.models import Q

from workflows_app.dag.graph import topological_levels
from workflows_app.dag.plan import Plan
from workflows_app.dag.problems import errors_of, warnings_of
from workflows_app.dag.types import Handle, JsonObject
from workflows_app.models import Credential, Edge, Node, Workflow
from workflows_app.models.pages import Page, page_of
from workflows_app.services.access import may_read
from workflows_app.services.compile import compile_document
from workflows_app.services.documents import Source, document_of, problems_of
from workflows_app.services.errors import (
    AmbiguousSecret,
    InvalidDefinition,
    PartNotFound,
    SecretNotFound,
    WorkflowNotFoundError,
)
from workflows_app.services.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

    from workflows_app.models.access import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFilter:
    """`search` is a part of a name or description."""

    search: str | None = None
    label: str | None = None
    is_active: bool | None = None


def workflow_for(user: Account, text: str) -> Workflow:
    """The workflow with this id. Raises `WorkflowNotFoundError`, also where it is another user's."""
    try:
        found = Workflow.objects.select_related("owner").filter(pk=uuid.UUID(text)).first()
    except ValueError:
        found = None
    if found is None or not may_read(user, found):
        raise WorkflowNotFoundError(text)
    return found


def workflows_page(user: Account, wanted: WorkflowFilter, limit: int, cursor: str | None) -> Page[Workflow]:
    """By name. Raises `InvalidCursor`."""
    rows = Workflow.objects.visible_to(user).select_related("owner").defer("head")
    if wanted.search:
        rows = rows.filter(Q(name__icontains=wanted.search) | Q(description__icontains=wanted.search))
    if wanted.label is not None:
        rows = rows.filter(labels__has_item=wanted.label)
    if wanted.is_active is not None:
        rows = rows.filter(is_active=wanted.is_active)
    return page_of(rows, ("name", "id"), limit, cursor)


def visible_workflows(user: Account) -> QuerySet[Workflow]:
    return Workflow.objects.visible_to(user)


def labels_seen(user: Account) -> Sequence[str]:
    """The labels of the workflows that a user may see, in order."""
    lists = Workflow.objects.visible_to(user).exclude(labels=[]).order_by().values_list("labels", flat=True).distinct()
    return sorted({label for labels in lists for label in labels})


def group_names() -> Sequence[str]:
    """The groups with which a workflow may be shared."""
    return list(Group.objects.order_by("name").values_list("name", flat=True))


def workflow_json(workflow: Workflow, *, with_document: bool = True) -> JsonObject:
    """A workflow as every interface shows it; without its document it is an item of a list."""
    shown: dict[str, object] = {
        "id": str(workflow.id),
        "name": workflow.name,
        "owner": workflow.owner.get_username(),
        "version": workflow.version,
        "is_active": workflow.is_active,
        "description": workflow.description,
        "labels": workflow.labels,
        "problems": workflow.problems,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
    }
    if with_document:
        shown["document"] = document_of(workflow)
    return cast(JsonObject, shown)


def node_of(workflow: Workflow, key: str) -> Node:
    """Raises `PartNotFound`."""
    node = workflow.nodes.filter(key=key).first()
    if node is None:
        raise PartNotFound("node", key)
    return node


def nodes_page(workflow: Workflow, limit: int, cursor: str | None) -> Page[Node]:
    return page_of(workflow.nodes.all(), ("order", "id"), limit, cursor)


def edges_page(workflow: Workflow, limit: int, cursor: str | None) -> Page[Edge]:
    return page_of(workflow.edges.all(), ("order", "id"), limit, cursor)


def node_json(node: Node) -> JsonObject:
    """As the document states it."""
    return node.definition


def edge_json(edge: Edge) -> JsonObject:
    """As the document states it, with the id by which it is changed."""
    return {"id": str(edge.id), **edge.definition}


def graph_json(workflow: Workflow) -> JsonObject:
    """The nodes with their levels and the edges, to be drawn."""
    nodes = list(workflow.nodes.order_by("order"))
    edges = [edge.definition for edge in workflow.edges.order_by("order")]
    place = {node.key: position for position, node in enumerate(nodes)}
    ends = [(place[cast(str, edge["from"])], place[cast(str, edge["to"])]) for edge in edges]
    levels = topological_levels(len(nodes), ends)
    return {
        "nodes": [
            {"key": node.key, "name": node.definition.get("name") or node.key, "type": node.type, "level": level}
            for node, level in zip(nodes, levels, strict=True)
        ],
        "edges": [
            {
                "from": edge["from"],
                "to": edge["to"],
                "label": edge.get("label", ""),
                "condition": edge.get("condition"),
                "default": edge.get("default", False),
                "handle": edge.get("handle", Handle.OUT),
            }
            for edge in edges
        ],
    }


def shares_json(workflow: Workflow) -> Sequence[JsonObject]:
    shares = workflow.shares.select_related("group").order_by("group__name")
    return [{"group": share.group.name, "role": share.role} for share in shares]


def validation_json(source: Source) -> dict[str, Any]:
    """What is wrong with a document, and the levels in which it would run; null where it cannot."""
    tools = Toolbox()
    problems = problems_of(source, tools)
    errors = errors_of(problems)
    topology = None if errors else _topology(compile_document(cast(JsonObject, source.document), tools))
    return {
        "is_valid": not errors,
        "errors": [problem.as_json() for problem in errors],
        "warnings": [problem.as_json() for problem in warnings_of(problems)],
        "topology": topology,
    }


def unreadable_json(error: InvalidDefinition) -> dict[str, Any]:
    """`validation_json` of what could not even be read."""
    errors = [problem.as_json() for problem in error.problems]
    return {"is_valid": False, "errors": errors, "warnings": [], "topology": None}


def _topology(plan: Plan) -> dict[str, Any]:
    """`max_parallel_nodes` is the width of the widest level."""
    levels: list[list[str]] = [[] for _ in range(max(plan.levels, default=-1) + 1)]
    for node, level in zip(plan.nodes, plan.levels, strict=True):
        levels[level].append(node.key)
    return {
        "levels": levels,
        "total_levels": len(levels),
        "max_parallel_nodes": max((len(level) for level in levels), default=0),
    }


def visible_credentials(user: Account) -> QuerySet[Credential]:
    return Credential.objects.visible_to(user)


def credentials_page(user: Account, limit: int, cursor: str | None) -> Page[Credential]:
    """By name. Raises `InvalidCursor`."""
    return page_of(Credential.objects.visible_to(user).select_related("owner"), ("name", "id"), limit, cursor)


def credential_for(user: Account, name: str) -> Credential:
    """The user's own secret of this name; for a superuser else the only one of all owners.

    Raises `SecretNotFound`, `AmbiguousSecret`.
    """
    rows = Credential.objects.visible_to(user).select_related("owner")
    # No database is asked for U+0000.
    found = list(rows.filter(name=name)) if name.isidentifier() else []
    own = [credential for credential in found if credential.owner_id == user.pk]
    match own or found:
        case [credential]:
            return credential
        case []:
            raise SecretNotFound([name])
        case _:
            raise AmbiguousSecret(name)


def credential_json(credential: Credential) -> JsonObject:
    """A secret as every interface shows it: without its value, and without what its value became."""
    shown: dict[str, object] = {
        "name": credential.name,
        "owner": credential.owner.get_username(),
        "description": credential.description,
        "created_at": credential.created_at,
        "updated_at": credential.updated_at,
        "last_used_at": credential.last_used_at,
    }
    return cast(JsonObject, shown)
