"""What the tools take and give, in the shapes of the API where it has them."""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from executions_app.engine.states import ExecutionStatus
from executions_app.schemas import Execute, ExecutionShown, ExecutionSummary, LogShown, NodeDetail, Rerun
from executions_app.waiting import MAX_WAIT
from workflows_app.models.pages import DEFAULT_LIMIT, MAX_LIMIT
from workflows_app.rest.shapes import Given, Shown

# A watch may take longer than a request: what it tells meanwhile keeps it alive.
MOST_WATCHED_SECONDS = 300

_WorkflowId = Annotated[str, Field(description="The id of a workflow, as list_workflows gives it.")]
_ExecutionId = Annotated[str, Field(description="The id of an execution, as run_workflow and list_executions give it.")]
_Document = Annotated[
    str,
    Field(
        description="The whole workflow document as text, YAML or JSON: name, nodes, edges, and perhaps description, "
        "labels, variables, settings, input_schema, output."
    ),
]
_Statuses = WithJsonSchema({"type": "array", "items": {"enum": [str(status) for status in ExecutionStatus]}})


class Nothing(Given):
    """No argument."""


class Paged(Given):
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str | None, Field(description="`next` of the page before")] = None


class ListWorkflows(Paged):
    search: Annotated[str | None, Field(description="a part of the name or description")] = None
    label: str | None = None
    is_active: bool | None = None


class OfWorkflow(Given):
    workflow: _WorkflowId


class OfDocument(Given):
    document: _Document


class RunWorkflow(Execute):
    workflow: _WorkflowId
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT, description="Seconds to wait for the end.")] = 0
    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            description="The same key with equal input and labels brings back the same execution instead of another.",
        ),
    ] = None


class OfExecution(Given):
    execution: _ExecutionId


class GetExecution(OfExecution):
    journal_after: Annotated[
        int | None,
        Field(ge=0, lt=2**31, description="With it, the next entries of the journal after this seq; 0 for the first."),
    ] = None
    node: Annotated[
        str | None,
        Field(description="With it, this node with its attempts and, of an agent, every call that it made."),
    ] = None


class WatchExecution(OfExecution):
    after: Annotated[int, Field(ge=0, lt=2**31, description="Only entries of the journal with a greater seq.")] = 0
    seconds: Annotated[
        float, Field(ge=0, le=MOST_WATCHED_SECONDS, description="How long to watch what does not end before.")
    ] = 50


class RerunExecution(OfExecution, Rerun):
    pass


class ListExecutions(Paged):
    workflow: Annotated[str | None, Field(description="the id or name of a workflow")] = None
    status: Annotated[list[ExecutionStatus], _Statuses, Field(description="one or several")] = []
    label: str | None = None


class ExecutionWithJournal(ExecutionShown):
    """`journal` has at most 200 entries: ask again after the last seq for more. What was not asked for is null."""

    journal: list[LogShown] | None
    node: NodeDetail | None


class Watched(Shown):
    """`has_ended` is false where the time was up: watch again `after` `seq`. `journal` has the last 200 entries."""

    execution: ExecutionSummary
    has_ended: bool
    seq: int
    journal: list[LogShown]


def schema_of(kind: type[Given | Shown]) -> dict[str, Any]:
    """The JSON Schema of arguments, or of a result."""
    return kind.model_json_schema(mode="serialization" if issubclass(kind, Shown) else "validation")
