"""The immutable snapshot that a run needs: found where the content is known, made where it is new."""

import hashlib
import uuid

from workflows_app.dag.plan import Plan
from workflows_app.models import Workflow, WorkflowVersion
from workflows_app.services.compile import PLANS_KEPT, agrees, compile_document, plan_of
from workflows_app.services.documents import Source, checked, document_of
from workflows_app.services.toolbox import Toolbox


def publish(workflow: Workflow) -> WorkflowVersion:
    """The snapshot of a workflow's present version.

    It is checked again where it was never published, or where a tool has changed since. Raises
    `InvalidDefinition` with all problems.
    """
    present = (workflow.id, workflow.version)
    latest, tools = _published.get(present) or _latest(workflow), Toolbox()
    if latest is None or not agrees(plan_of(latest), tools):
        document = checked(Source(document=document_of(workflow), line_of=lambda _path: None), tools)
        latest = _snapshot(compile_document(document, tools), workflow)
    if len(_published) >= PLANS_KEPT:
        _published.clear()
    _published[present] = latest
    return latest


# A snapshot of a version never changes: what is known of it here stays true.
_published: dict[tuple[uuid.UUID, int], WorkflowVersion] = {}


def _latest(workflow: Workflow) -> WorkflowVersion | None:
    versions = WorkflowVersion.objects.filter(workflow=workflow, number=workflow.version)
    return versions.order_by("-created_at").first()


def publish_anonymous(source: Source) -> WorkflowVersion:
    """The snapshot of a document that belongs to no workflow. Raises `InvalidDefinition`."""
    tools = Toolbox()
    return _snapshot(compile_document(checked(source, tools), tools), None)


def _snapshot(plan: Plan, workflow: Workflow | None) -> WorkflowVersion:
    text = plan.to_json()
    version, _created = WorkflowVersion.objects.get_or_create(
        workflow=workflow,
        number=None if workflow is None else workflow.version,
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        defaults={"name": plan.name, "plan": text},
    )
    return version
