"""The tools about definitions."""

from typing import Any

from executions_app.mcp.arguments import ListWorkflows, Nothing, OfDocument, OfWorkflow
from executions_app.mcp.call import Call
from workflows_app.catalogue import tools_json
from workflows_app.queries import (
    WorkflowFilter,
    unreadable_json,
    validation_json,
    workflow_for,
    workflow_json,
    workflows_page,
)
from workflows_app.rest.codec import document_of_text
from workflows_app.services import editing
from workflows_app.services.errors import InvalidDefinition


async def list_workflows(call: Call, given: ListWorkflows) -> Any:
    wanted = WorkflowFilter(search=given.search, label=given.label, is_active=given.is_active)

    def listed(user: Any) -> Any:
        page = workflows_page(user, wanted, given.limit, given.cursor)
        return {"items": [workflow_json(found, with_document=False) for found in page.items], "next": page.next}

    return await call.ask(listed)


async def get_workflow(call: Call, given: OfWorkflow) -> Any:
    return await call.ask(lambda user: workflow_json(workflow_for(user, given.workflow)))


async def validate_workflow(call: Call, given: OfDocument) -> Any:
    def validated(_user: Any) -> Any:
        try:
            return validation_json(document_of_text(given.document))
        except InvalidDefinition as error:
            return unreadable_json(error)

    return await call.ask(validated)


async def create_workflow(call: Call, given: OfDocument) -> Any:
    return await call.ask(lambda user: workflow_json(editing.create(document_of_text(given.document), user)))


async def list_tools(call: Call, _given: Nothing) -> Any:
    return await call.ask(lambda user: {"items": tools_json(user), "next": None})
