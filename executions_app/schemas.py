"""What requests about runs say, and what the answers say."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema

from executions_app.services.rerun import From
from workflows_app.dag.moments import instant
from workflows_app.dag.types import MAX_PRIORITY, Effect
from workflows_app.rest.shapes import Given, Number, Shown


class Execute(Given):
    """`labels` are added to those of the workflow, `priority` is instead of its own; it starts at `run_at` or after."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": {"symbol": "AAPL"}, "labels": ["nightly"]}]})

    input: dict[str, Any] = {}
    labels: list[Annotated[str, Field(max_length=200)]] = []
    run_at: Annotated[
        datetime | None,
        PlainValidator(lambda value: None if value is None else instant(value)),
        WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
    ] = None
    priority: Annotated[int, Field(strict=True, ge=-MAX_PRIORITY, le=MAX_PRIORITY)] | None = None


class Rerun(Given):
    """`failed` keeps what ended well before anything failed."""

    model_config = ConfigDict(populate_by_name=True, json_schema_extra={"examples": [{"from": "failed"}]})

    begin: Annotated[From, WithJsonSchema({"enum": [str(word) for word in From]})] = Field(From.START, alias="from")


class Trial(Given):
    """What a tool is called with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": {"symbol": "AAPL"}}]})

    inputs: dict[str, Any] = {}


_TOOL: Any = {
    "name": "crm.find_customer",
    "kind": "core.set",
    "description": "A customer by number",
    "configuration": {"number": "${{ input.number }}", "region": "eu"},
    "input_schema": {
        "type": "object",
        "properties": {"number": {"type": "integer"}},
        "required": ["number"],
        "additionalProperties": False,
    },
}
_NullableObject = WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "null"}]})


class ToolGiven(Given):
    """A tool of the site: arguments of a registered tool, its kind. Without an effect it has that of its kind."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TOOL]})

    name: Annotated[str, Field(max_length=100)]
    kind: Annotated[str, Field(max_length=200)]
    description: str = ""
    configuration: dict[str, Any] = {}
    input_schema: Annotated[dict[str, Any] | None, _NullableObject] = None
    output_schema: Annotated[dict[str, Any] | None, _NullableObject] = None
    effect: Effect | None = None
    is_active: bool = True


class ToolChange(ToolGiven):
    """Only what is to change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_active": False}]})

    name: Annotated[str, Field(max_length=100)] = ""
    kind: Annotated[str, Field(max_length=200)] = ""


class WorkflowOfExecution(Shown):
    """As it was when the execution was accepted; without an id it was run from a file."""

    id: str | None
    name: str
    version: int | None


class ErrorShown(Shown):
    code: str
    message: str
    type: str
    node: str | None


class ExecutionSummary(Shown):
    id: str
    workflow: WorkflowOfExecution
    status: str
    reason: str | None
    labels: list[str]
    rerun_of: str | None
    trigger_type: str
    scheduling: str
    queue: str
    priority: int
    due_at: datetime
    input: Any
    output: Any
    error: ErrorShown | None
    seq: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: Number | None


class NodeSummary(Shown):
    """With `input` and `output`, unless the execution has more than 1000 nodes."""

    key: str
    type: str
    name: str
    status: str
    reason: str | None
    level: int
    retry_count: int
    error: ErrorShown | None
    details: dict[str, Any] | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: Number | None


class UsageShown(Shown):
    """What agents took; `cost` in the unit of the price table, null where no price is known."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost: Number | None


class ReservedShown(Shown):
    """What a call was allowed to take when it was made."""

    input_tokens: int
    output_tokens: int
    cost: Number | None


class CallShown(Shown):
    """A request of an agent to its model, or a call of one of its tools, which `arguments` and `result` are of.

    While `outcome` is `started` nothing of it is in `usage`, and at most `reserved` will be. `abandoned` is one whose
    outcome nobody knows: all that was reserved counts.
    """

    number: int
    kind: str
    provider: str | None
    name: str
    effect: str
    outcome: str
    arguments: Any
    result: Any
    error: dict[str, Any] | None
    reserved: ReservedShown | None
    usage: UsageShown
    started_at: datetime
    ended_at: datetime | None
    duration_ms: Number | None


class ExecutionShown(ExecutionSummary):
    """`usage` is null where no agent called anything."""

    nodes: list[NodeSummary]
    usage: UsageShown | None


class ExecutionPage(Shown):
    items: list[ExecutionSummary]
    next: str | None


class MeasuresShown(Shown):
    """What each step of an attempt took, null for one that was not begun, and the JSON text that went in and came out.

    An attempt fails in its last step that is not null.
    """

    pre_process_ms: Number
    process_ms: Number | None
    post_process_ms: Number | None
    bytes_in: int | None
    bytes_out: int | None


class AttemptShown(Shown):
    attempt_id: str
    number: int
    outcome: str
    error: dict[str, Any] | None
    traceback: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_ms: Number | None
    # Null while it is under way, and where its engine died.
    measures: MeasuresShown | None


class NodeShown(NodeSummary):
    input: Any
    output: Any
    attempts: list[AttemptShown]


class AttemptDetail(AttemptShown):
    """`calls` are those of an agent, in their order."""

    calls: list[CallShown]


class NodeDetail(NodeSummary):
    """`usage` is of all attempts, null where there were no calls."""

    input: Any
    output: Any
    attempts: list[AttemptDetail]
    usage: UsageShown | None


class NodePage(Shown):
    items: list[NodeShown]
    next: str | None


class EventShown(Shown):
    """A journal entry for programs; `seq` counts without gaps."""

    seq: int
    event: str
    node: str | None
    at: datetime
    data: Any


class EventPage(Shown):
    items: list[EventShown]
    next: str | None


class LogShown(EventShown):
    """A journal entry for people."""

    level: str
    message: str


class LogPage(Shown):
    items: list[LogShown]
    next: str | None


class Durations(Shown):
    """Milliseconds; null where nothing has run to its end."""

    p50: Number | None
    p95: Number | None
    p99: Number | None


class Statistics(Shown):
    """`counts` by status, `failures_by_node` by key; `usage` of all agents, null where there were none."""

    counts: dict[str, int]
    duration_ms: Durations
    failures_by_node: dict[str, int]
    usage: UsageShown | None


class ToolShown(Shown):
    """`effects` are those that a node may state instead of `effect`.

    A tool of the site (`source` is `configured`) is made of a registered one, its `kind`; its `configuration` is shown
    to whoever may change it, and its `version` is the ETag.
    """

    name: str
    description: str
    source: str
    kind: str | None
    effect: str
    effects: list[str]
    isolation: str
    is_active: bool
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    configuration: dict[str, Any] | None
    version: int | None


class ToolPage(Shown):
    items: list[ToolShown]
    next: str | None


class TrialShown(Shown):
    """`error` is null where the tool returned."""

    output: Any
    error: ErrorShown | None
    duration_ms: Number
    logs: list[dict[str, Any]]
