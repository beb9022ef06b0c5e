"""What requests about workflows say, and what the answers say."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, WithJsonSchema

from workflows_app.models.access import Role
from workflows_app.rest.shapes import Given, Shown


class WorkflowChange(Given):
    """Only what is to change; null is no value of any of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": ["nightly"], "is_active": False}]})

    name: str = ""
    description: str = ""
    labels: list[str] = []
    is_active: bool = True


class Duplicate(Given):
    """Without a name the copy is called NAME-copy."""

    name: str | None = None


class Share(Given):
    model_config = ConfigDict(json_schema_extra={"examples": [{"group": "traders", "role": "operator"}]})

    group: Annotated[str, Field(max_length=150)]
    role: Role


class ProblemShown(Shown):
    """What is wrong, and where."""

    code: str
    message: str
    node: str | None
    edge: str | None
    field: str | None
    line: int | None


class WorkflowSummary(Shown):
    id: str
    name: str
    owner: str
    version: int
    is_active: bool
    description: str
    labels: list[str]
    problems: list[ProblemShown]
    created_at: datetime
    updated_at: datetime


class WorkflowShown(WorkflowSummary):
    document: dict[str, Any]


class WorkflowPage(Shown):
    items: list[WorkflowSummary]
    next: str | None


class PartsPage(Shown):
    """Nodes or edges as the document states them; an edge has its id besides."""

    items: list[dict[str, Any]]
    next: str | None
    version: int


class PartShown(Shown):
    """A node or an edge as the document states it, with the workflow's version and problems."""

    version: int
    problems: list[ProblemShown]


class Topology(Shown):
    levels: list[list[str]]
    total_levels: int
    max_parallel_nodes: int


class Validation(Shown):
    """`topology` is null where there are errors."""

    is_valid: bool
    errors: list[ProblemShown]
    warnings: list[ProblemShown]
    topology: Topology | None


class CredentialValue(Given):
    """Without a description that of before stays."""

    value: SecretStr
    description: str | None = None


class CredentialGiven(CredentialValue):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "broker", "value": "k3y-of-the-broker"}]})

    name: str


class CredentialShown(Shown):
    """A secret without its value, which nothing gives out."""

    name: str
    owner: str
    description: str
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None


class CredentialPage(Shown):
    items: list[CredentialShown]
    next: str | None


_AGENT: dict[str, Any] = {
    "name": "analyst",
    "description": "Judges shares",
    "provider": "default",
    "model": "default",
    "system": "You judge shares by what you are given.",
    "tools": ["market.rsi"],
    "output_schema": {"type": "object", "properties": {"mood": {"enum": ["neutral", "good", "bad"]}}},
    "limits": {"max_requests": 5},
}
_NullableObject = WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "null"}]})


class AgentGiven(Given):
    """An agent of the site: what a node of type agent states, under a name."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AGENT]})

    name: Annotated[str, Field(max_length=100)]
    description: str = ""
    provider: Annotated[str, Field(max_length=100)]
    model: Annotated[str, Field(max_length=200)]
    system: str = ""
    tools: list[str] = []
    allow_effects: bool = False
    output_schema: Annotated[dict[str, Any] | None, _NullableObject] = None
    limits: Annotated[dict[str, Any] | None, _NullableObject] = None
    is_active: bool = True


class AgentChange(AgentGiven):
    """Only what is to change."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_active": False}]})

    name: Annotated[str, Field(max_length=100)] = ""
    provider: Annotated[str, Field(max_length=100)] = ""
    model: Annotated[str, Field(max_length=200)] = ""


class AgentShown(Shown):
    """`owner` is who made it; its `version` is the ETag."""

    name: str
    owner: str | None
    description: str
    provider: str
    model: str
    system: str
    tools: list[str]
    allow_effects: bool
    output_schema: dict[str, Any] | None
    limits: dict[str, Any] | None
    is_active: bool
    version: int
    created_at: datetime
    updated_at: datetime


class AgentPage(Shown):
    items: list[AgentShown]
    next: str | None


class Ticket(Shown):
    """Opens one WebSocket: `?ticket=`."""

    ticket: str
    expires_in: int


type DocumentFormat = Literal["json", "yaml"]
