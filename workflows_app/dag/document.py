"""The shape of a workflow document as Pydantic models: types, defaults and bounds of every key.

They say what a document looks like, for the validator and for the published JSON Schema. What a document
means (references, cycles, tools) is checked elsewhere; the engine runs a `Plan`, not these.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

from workflows_app.dag.types import (
    DEFAULT_QUEUE,
    MAX_PRIORITY,
    Effect,
    Handle,
    Jitter,
    Join,
    Match,
    NodeType,
    OnError,
    OnFailure,
    Overflow,
    Scheduling,
    Strategy,
)

# Names and keys are columns of indexed tables.
MAX_NAME_LENGTH = 200
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
KEY_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
# Of queues: names that every engine which may dispatch takes.
MAX_QUEUE_LENGTH = 60
QUEUE_PATTERN = r"^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"
RUNS_ON_PATTERN = r"^queue:[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"
_LONGEST_RUNS_ON = len("queue:") + MAX_QUEUE_LENGTH

# The error type of the validators below; their message completes "'field' ...".
EXPECTATION = "expectation"


def _refuse(expectation: str) -> PydanticCustomError:
    return PydanticCustomError(EXPECTATION, "{expectation}", {"expectation": expectation})


def _whole(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise _refuse(f"must be a whole number from {least} to {most}")

    return check


def _number(value: object) -> int | Decimal | None:
    """`value` where it is a finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    return value if isinstance(value, int) or value.is_finite() else None


def _any_number(value: object) -> int | Decimal:
    if (number := _number(value)) is not None:
        return number
    raise _refuse("must be a number")


def _not_negative(value: object) -> int | Decimal:
    if (number := _number(value)) is not None and number >= 0:
        return number
    raise _refuse("must be a number of 0 or more")


def _positive(value: object) -> int | Decimal:
    if (number := _number(value)) is not None and number > 0:
        return number
    raise _refuse("must be a number greater than 0")


def _positive_or_null(value: object) -> int | Decimal | None:
    if value is None:
        return None
    if (number := _number(value)) is not None and number > 0:
        return number
    raise _refuse("must be a number of seconds greater than 0, or null for no limit")


def _amount_or_null(value: object) -> int | Decimal | None:
    if value is None:
        return None
    if (number := _number(value)) is not None and number > 0:
        return number
    raise _refuse("must be an amount of money greater than 0, or null for no limit")


def _runs_on(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _LONGEST_RUNS_ON and re.fullmatch(RUNS_ON_PATTERN, value):
        return value
    raise _refuse("must be queue:NAME, a queue that workers serve, such as queue:cpu")


def _schema(value: object) -> dict[str, Any] | bool | None:
    if value is None or isinstance(value, dict | bool):
        return cast("dict[str, Any] | bool | None", value)
    raise _refuse("must be a JSON Schema, which is a mapping")


def _inputs(value: object) -> dict[str, Any] | str | None:
    if value is None or isinstance(value, dict | str):
        return cast("dict[str, Any] | str | None", value)
    raise _refuse("must be a mapping, or one expression in ${{ }} that gives a mapping")


type Number = Annotated[int | Decimal, PlainValidator(_any_number), WithJsonSchema({"type": "number"})]
type NotNegative = Annotated[
    int | Decimal, PlainValidator(_not_negative), WithJsonSchema({"type": "number", "minimum": 0})
]
type Positive = Annotated[
    int | Decimal, PlainValidator(_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
type PositiveOrNull = Annotated[
    int | Decimal | None,
    PlainValidator(_positive_or_null),
    WithJsonSchema({"type": ["number", "null"], "exclusiveMinimum": 0}),
]
type AmountOrNull = Annotated[
    int | Decimal | None,
    PlainValidator(_amount_or_null),
    WithJsonSchema({"type": ["number", "null"], "exclusiveMinimum": 0}),
]
type RetryCount = Annotated[
    int, PlainValidator(_whole(0, 1000)), WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 1000})
]
type TokenCount = Annotated[
    int, PlainValidator(_whole(1, 2**31 - 1)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 2**31 - 1})
]
type RequestCount = Annotated[
    int, PlainValidator(_whole(1, 1000)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1000})
]
type Parallelism = Annotated[
    int, PlainValidator(_whole(1, 10_000)), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10_000})
]
# Of runs: those with a higher one start first.
type Urgency = Annotated[
    int,
    PlainValidator(_whole(-MAX_PRIORITY, MAX_PRIORITY)),
    WithJsonSchema({"type": "integer", "minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}),
]
# What a 32-bit column holds.
type Priority = Annotated[
    int,
    PlainValidator(_whole(-(2**31), 2**31 - 1)),
    WithJsonSchema({"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}),
]
type Schema = Annotated[
    dict[str, Any] | bool | None,
    PlainValidator(_schema),
    WithJsonSchema({"type": ["object", "boolean", "null"]}),
]
type Inputs = Annotated[
    dict[str, Any] | str | None,
    PlainValidator(_inputs),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string", "pattern": r"^\$\{\{"}, {"type": "null"}]}),
]
type Key = Annotated[str, Field(pattern=KEY_PATTERN, max_length=MAX_NAME_LENGTH)]
type Queue = Annotated[str, Field(pattern=QUEUE_PATTERN, max_length=MAX_QUEUE_LENGTH)]
type RunsOn = Annotated[
    str | None,
    PlainValidator(_runs_on),
    WithJsonSchema({"type": ["string", "null"], "pattern": RUNS_ON_PATTERN, "maxLength": _LONGEST_RUNS_ON}),
]
type Filled = Annotated[str, Field(min_length=1)]
# A tuple, not a list: Pydantic deep-copies a default that cannot be hashed for every node that leaves it out.
type Texts = Annotated[tuple[str, ...], Field(strict=False)]

# Strict models take a word of an enumeration only as a member of it; documents have text there.
_WORD = Field(strict=False)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Position(_Part):
    """Where a node is drawn."""

    x: Number
    y: Number


class Retry(_Part):
    """Wait `min(max_delay, delay * multiplier ** n)` seconds before retry n + 1; error classes by name."""

    max_retries: RetryCount = 0
    delay: NotNegative = 1
    multiplier: Positive = 2
    max_delay: NotNegative = 60
    jitter: Annotated[Jitter, _WORD] = Jitter.NONE
    retry_on: Texts = ()
    never_retry_on: Texts = ()


class Node(_Part):
    """What every node has."""

    key: Key
    name: str = ""
    position: Position | None = None
    join: Annotated[Join, _WORD] = Join.NONE_FAILED_MIN_ONE_SUCCESS
    on_error: Annotated[OnError, _WORD] = OnError.FAIL


class TriggerNode(Node):
    """Starts an execution; its output is the execution's input."""

    type: Literal[NodeType.TRIGGER]


class _CallingNode(Node):
    inputs: Inputs = None
    timeout_seconds: Positive = 300
    retry: Retry = Retry()
    output_schema: dict[str, Any] | None = None
    effect: Annotated[Effect | None, _WORD] = None


class ToolNode(_CallingNode):
    """Calls a registered function."""

    type: Literal[NodeType.TOOL]
    tool: Filled
    # Agents run where their execution does, whose budget they share.
    runs_on: RunsOn = None


class AgentLimits(_Part):
    """How much an agent may use: requests, tokens and money of all attempts, and what one attempt or request may."""

    max_requests: RequestCount = 10
    max_tokens: TokenCount | None = None
    max_cost: AmountOrNull = None
    max_output_tokens: TokenCount | None = None
    max_tool_calls: RequestCount = 20
    max_retries: RetryCount = 2
    timeout_seconds: PositiveOrNull = None


class AgentNode(_CallingNode):
    """Calls a language model: a named agent, or one that is described here by provider and model."""

    type: Literal[NodeType.AGENT]
    agent: Filled | None = None
    provider: Filled | None = None
    model: Filled | None = None
    system: str = ""
    prompt: Any = None
    tools: Texts = ()
    allow_effects: bool = False
    limits: AgentLimits | None = None


class ConditionNode(Node):
    """Chooses which of its outgoing edges are taken."""

    type: Literal[NodeType.CONDITION]
    inputs: Inputs = None
    match: Annotated[Match, _WORD] = Match.FIRST


class AdapterNode(Node):
    """Reshapes data by a template: any JSON value with expressions in its strings."""

    type: Literal[NodeType.ADAPTER]
    output: Any


class AggregatorNode(Node):
    """Reduces the outputs of its predecessors to one value."""

    type: Literal[NodeType.AGGREGATOR]
    strategy: Annotated[Strategy, _WORD] = Strategy.MERGE
    field: str = ""


class Edge(_Part):
    """Leads from one node to another, perhaps under a condition."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    condition: Filled | None = None
    default: bool = False
    priority: Priority = 0
    handle: Annotated[Handle, _WORD] = Handle.OUT
    label: str = ""


class Budget(_Part):
    """How much the agents of one execution may use together."""

    max_requests: TokenCount | None = None
    max_tokens: TokenCount | None = None
    max_cost: AmountOrNull = None


class Concurrency(_Part):
    """How many runs may be under way at a time, for each value of the key; without a key of the whole workflow."""

    key: str = ""
    limit: Parallelism
    overflow: Annotated[Overflow, _WORD] = Overflow.QUEUE


class Settings(_Part):
    """How an execution of the workflow runs."""

    scheduling: Annotated[Scheduling, _WORD] = Scheduling.LEVELS
    max_parallel_nodes: Parallelism = 10
    timeout_seconds: PositiveOrNull = 3600
    on_failure: Annotated[OnFailure, _WORD] = OnFailure.CONTINUE
    allow_concurrent: bool = True
    queue: Queue = DEFAULT_QUEUE
    priority: Urgency = 0
    concurrency: Concurrency | None = None
    budget: Budget | None = None


class Document(_Part):
    """A whole workflow document, as YAML or JSON gives it."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=MAX_NAME_LENGTH)]
    description: str = ""
    labels: Texts = ()
    variables: dict[str, Any] = {}
    settings: Settings = Settings()
    input_schema: Schema = None
    output: dict[str, Any] | None = None
    nodes: list[
        Annotated[
            TriggerNode | ToolNode | AgentNode | ConditionNode | AdapterNode | AggregatorNode,
            Field(discriminator="type"),
        ]
    ]
    edges: list[Edge]


class UntypedNode(Node):
    """The part of a node that can be checked although its type is not known."""

    model_config = ConfigDict(extra="ignore")


NODE_MODELS: dict[NodeType, type[Node]] = {
    NodeType.TRIGGER: TriggerNode,
    NodeType.TOOL: ToolNode,
    NodeType.AGENT: AgentNode,
    NodeType.CONDITION: ConditionNode,
    NodeType.ADAPTER: AdapterNode,
    NodeType.AGGREGATOR: AggregatorNode,
}


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys that a part of the document may have, as the document spells them."""
    return [field.alias or name for name, field in model.model_fields.items()]


@cache
def document_adapter() -> TypeAdapter[Document]:
    return TypeAdapter(Document)


def document_schema(parts: str = "#/$defs/{model}") -> dict[str, Any]:
    """The JSON Schema of workflow documents. It knows the shape alone, not cycles, references or tools.

    `parts` is where those that refer to them will find the schemas under `$defs`.
    """
    schema = document_adapter().json_schema(ref_template=parts)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
