"""What the engine says happened. Events are values without numbers: the recorder numbers what it commits.

Every event becomes one entry of the execution's journal and, where it changes a node or the execution, one
row update. JSON travels as finished text, encoded once.
"""

from datetime import datetime

import msgspec

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.states import AttemptOutcome, ExecutionStatus, NodeStatus, Reason
from workflows_app.agents.calls import CallKind, CallOutcome, Spent
from workflows_app.dag.types import Effect, JsonObject


class AttemptMeasures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an attempt took: seconds for each step, None for one that was not begun; bytes of JSON text.

    `bytes_in` is the node's input, None where it could not be rendered or was refused; `bytes_out` its output.
    """

    pre_process: float
    process: float | None
    post_process: float | None
    bytes_in: int | None
    bytes_out: int | None


class NodeStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt begins. `node` is a position in the plan, as in all events of nodes."""

    node: int
    at: datetime
    attempt_id: str
    # Counts from 1; so many of the attempts before it were retries, the others were broken off by a crash.
    number: int
    retry_count: int = 0
    # The start of the first attempt.
    started_at: datetime
    # JSON text of the rendered input; empty where it could not be rendered.
    input: str


class NodeRetrying(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt failed and another one follows after `delay` seconds."""

    node: int
    at: datetime
    attempt_id: str
    # Of the attempt that failed; crashes of engines come between it and `retry_count`.
    number: int
    attempt_outcome: AttemptOutcome
    error: ErrorInfo
    # Which retry the next attempt will be, from 1.
    retry_count: int
    max_retries: int
    delay: float
    measures: AttemptMeasures | None = None


class NodeSettled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node reached its terminal status. `started_at` is None for a node that never started.

    `attempt_id` and `attempt_outcome` are those of the attempt that ended with the node; empty and None where none
    was under way.
    """

    node: int
    at: datetime
    status: NodeStatus
    attempt_id: str = ""
    attempt_outcome: AttemptOutcome | None = None
    reason: Reason | None = None
    retry_count: int = 0
    started_at: datetime | None = None
    # The states of its outgoing edges, in document order, a digit each (see `EdgeState`).
    edges: str = ""
    # JSON text; empty for none.
    output: str = ""
    # JSON text of what was evaluated, what was taken, and where a skip or a stop began; empty for none.
    details: str = ""
    error: ErrorInfo | None = None
    # The node where a skip or a stop began, as a key; empty where it began here.
    cause: str = ""
    # Why no retry followed a failure that could have been retried; a sentence.
    gave_up: str = ""
    # Of the attempt that ended with the node.
    measures: AttemptMeasures | None = None


class NodeAbandoned(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Code that did not end when it was told to was let go; whatever it returns is refused."""

    node: int
    at: datetime
    attempt_id: str
    # A sentence: what it did instead of ending.
    why: str


class CallStarted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An agent is about to ask its model, or to call a tool. `number` counts from 1 in the attempt."""

    node: int
    at: datetime
    attempt_id: str
    number: int
    kind: CallKind
    # The model, and who is asked for it; or the tool.
    name: str
    provider: str = ""
    effect: Effect = Effect.NONE
    # JSON text; empty for none.
    arguments: str = ""
    # What the call may take at most; None for one that takes nothing.
    reserved: Spent | None = None


class CallEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a call. `spent` takes the place of what was reserved."""

    node: int
    at: datetime
    attempt_id: str
    number: int
    kind: CallKind
    name: str
    outcome: CallOutcome
    # JSON text; empty for none.
    result: str = ""
    error: JsonObject | None = None
    spent: Spent


class Logged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line that a tool wrote, or without a node the engine. `level` is debug, info, warning or error."""

    node: int | None
    at: datetime
    level: str
    message: str
    data: JsonObject | None = None


class ExecutionEnded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The last event of a run."""

    at: datetime
    status: ExecutionStatus
    reason: Reason | None
    # JSON text; empty for none.
    output: str = ""
    error: ErrorInfo | None = None


type Event = (
    NodeStarted | NodeRetrying | NodeSettled | NodeAbandoned | CallStarted | CallEnded | Logged | ExecutionEnded
)
