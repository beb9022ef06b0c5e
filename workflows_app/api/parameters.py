"""Parameters that operations share. A workflow in a path is found before a body is read: 404 comes before 422."""

from typing import Annotated, Any

from ninja.params.models import Header, Query
from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from workflows_app.models import Workflow
from workflows_app.models.pages import DEFAULT_LIMIT, MAX_LIMIT
from workflows_app.queries import workflow_for
from workflows_app.rest.auth import caller


def _workflow(value: Any, info: ValidationInfo) -> Workflow:
    assert info.context is not None
    return workflow_for(caller(info.context["request"]).user, str(value))


# The workflow with the id in the path, if it exists for who calls.
WorkflowInPath = Annotated[Any, PlainValidator(_workflow), WithJsonSchema({"type": "string", "format": "uuid"})]
Limit = Annotated[int, Query(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str | None, Query(None, description="`next` of the page before")]
IfMatch = Annotated[str | None, Header(None, alias="If-Match", description="the ETag of the version that is meant")]
