"""The one table of states: what an execution and a node can be, why, and what may follow what."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    # Accepted and on record, nothing has started.
    PENDING = "pending"
    # An engine owns it.
    RUNNING = "running"
    # Every failure, if any, was handled or continued.
    COMPLETED = "completed"
    # A failure was neither handled nor continued, or the time limit ran out.
    FAILED = "failed"
    # Somebody asked for it to end.
    CANCELLED = "cancelled"


class NodeStatus(StrEnum):
    # Not decided yet, or waiting for the next attempt.
    PENDING = "pending"
    # An attempt is under way.
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    # Decided not to run; the reason says why.
    SKIPPED = "skipped"
    # Not allowed to run or to finish.
    CANCELLED = "cancelled"


class AttemptOutcome(StrEnum):
    # Under way; or its engine died and nobody has looked yet.
    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    # Told to end, and it ended.
    CANCELLED = "cancelled"
    # Told to end and let go, or its engine died: nobody knows what it did.
    ABANDONED = "abandoned"


class Reason(StrEnum):
    # failed
    NODE_ERROR = "node_error"
    CONDITION_ERROR = "condition_error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    CRASH_LOOP = "crash_loop"
    INVALID_DEFINITION = "invalid_definition"
    # skipped
    NOT_TAKEN = "not_taken"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_SKIPPED = "upstream_skipped"
    JOIN_RULE = "join_rule"
    # cancelled (and TIMEOUT)
    USER = "user"
    STOPPED = "stopped"
    SHUTDOWN = "shutdown"


EXECUTION_TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.PENDING: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED}),
    ExecutionStatus.RUNNING: frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}),
    ExecutionStatus.COMPLETED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
    ExecutionStatus.CANCELLED: frozenset(),
}

NODE_TRANSITIONS: dict[NodeStatus, frozenset[NodeStatus]] = {
    NodeStatus.PENDING: frozenset({NodeStatus.RUNNING, NodeStatus.SKIPPED, NodeStatus.CANCELLED}),
    NodeStatus.RUNNING: frozenset({NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELLED, NodeStatus.PENDING}),
    NodeStatus.COMPLETED: frozenset(),
    NodeStatus.FAILED: frozenset(),
    NodeStatus.SKIPPED: frozenset(),
    NodeStatus.CANCELLED: frozenset(),
}

TERMINAL_EXECUTION = frozenset(status for status, following in EXECUTION_TRANSITIONS.items() if not following)
TERMINAL_NODE = frozenset(status for status, following in NODE_TRANSITIONS.items() if not following)
