"""Where a run stands, as its record says: what an engine needs to go on with a run that another one began."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.states import NodeStatus
from workflows_app.agents.calls import Spent
from workflows_app.dag.branching import EdgeState


class NodeProgress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node that is not as it was accepted. `node` is its position in the plan."""

    node: int
    # PENDING for one that waits for its next attempt, or whose attempt may be repeated.
    status: NodeStatus
    # As `NodeSettled.edges`.
    edges: str = ""
    # How often it was tried, and how often a failure was followed by another try.
    attempts: int = 0
    retry_count: int = 0
    started_at: datetime | None = None
    # JSON text; empty for none.
    output: str = ""
    error: ErrorInfo | None = None
    # The key of the node where its skip began; empty for none.
    cause: str = ""
    # When its next attempt is due.
    due_at: datetime | None = None
    # It was at work when its engine went, and what it did cannot be known or repeated.
    is_crashed: bool = False
    # Of its last attempt.
    attempt_id: str = ""
    # What its agent took so far, what was under way included.
    spent: Spent | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes in the order in which they ended; those that have not ended come last."""

    nodes: Sequence[NodeProgress] = ()


NOTHING_YET = Progress()
_DIGITS = [str(int(state)) for state in EdgeState]


def encode_edges(states: Iterable[EdgeState]) -> str:
    """The states of a node's outgoing edges, in document order, a digit each."""
    return "".join([_DIGITS[state] for state in states])


def decode_edges(text: str) -> list[EdgeState]:
    return [EdgeState(int(digit)) for digit in text]
