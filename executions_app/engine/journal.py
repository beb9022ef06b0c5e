"""Events as people read them: one journal entry, with a level and a sentence, for each event."""

from typing import cast

import msgspec

from executions_app.engine.events import (
    CallEnded,
    CallStarted,
    Event,
    ExecutionEnded,
    Logged,
    NodeAbandoned,
    NodeRetrying,
    NodeSettled,
    NodeStarted,
)
from executions_app.engine.states import AttemptOutcome, ExecutionStatus, NodeStatus, Reason
from workflows_app.agents.calls import CallKind, CallOutcome, amount
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Effect, JsonObject


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`node` is a key, empty for the execution's own entries; `level` is debug, info, warning or error."""

    event: str
    level: str
    node: str
    message: str
    data: JsonObject


def entry_of(event: Event, plan: Plan) -> Entry:
    """The journal entry of an event."""
    match event:
        case NodeStarted():
            return _started(event, plan.nodes[event.node].key)
        case NodeSettled():
            return _settled(event, plan.nodes[event.node].key)
        case NodeRetrying():
            return _retrying(event, plan.nodes[event.node].key)
        case NodeAbandoned():
            return _abandoned(event, plan.nodes[event.node].key)
        case CallStarted():
            return _call_started(event, plan.nodes[event.node].key)
        case CallEnded():
            return _call_ended(event, plan.nodes[event.node].key)
        case Logged():
            return Entry(
                event="log",
                level=event.level,
                node="" if event.node is None else plan.nodes[event.node].key,
                message=event.message,
                data=event.data or {},
            )
        case _:
            return ended(event.status, event)


def _started(event: NodeStarted, key: str) -> Entry:
    suffix = f", attempt {event.number}" if event.number > 1 else ""
    return Entry(
        event="node.running",
        level="info",
        node=key,
        message=f"Node '{key}' started{suffix}.",
        data={"attempt": event.number, "attempt_id": event.attempt_id},
    )


def _settled(event: NodeSettled, key: str) -> Entry:
    data: JsonObject = {"status": str(event.status)}
    if event.reason:
        data["reason"] = str(event.reason)
    level = "info"
    match event.status:
        case NodeStatus.COMPLETED:
            message = f"Node '{key}' completed."
            if event.retry_count:
                data["retry_count"] = event.retry_count
        case NodeStatus.FAILED:
            level = "error"
            assert event.error is not None
            message = f"Node '{key}' failed: {event.error.message}"
            if event.gave_up:
                message = f"{message} (No more retries: {event.gave_up})"
                data["gave_up"] = event.gave_up
            data["error"] = cast(JsonObject, event.error.public())
            data["traceback"] = event.error.traceback
            data["retry_count"] = event.retry_count
        case NodeStatus.SKIPPED:
            message = f"Node '{key}' was skipped: {_WHY_SKIPPED[str(event.reason)].format(event.cause)}"
            data["cause"] = event.cause
        case _:
            message = f"Node '{key}' was cancelled ({event.reason})."
            if event.cause:
                data["cause"] = event.cause
    return Entry(event=f"node.{event.status}", level=level, node=key, message=message, data=data)


_WHY_SKIPPED = {
    "not_taken": "'{}' chose another path.",
    "upstream_failed": "'{}' failed before it.",
    "upstream_skipped": "the path was left at '{}'.",
    "join_rule": "its join rule was not met at '{}'.",
}


def _retrying(event: NodeRetrying, key: str) -> Entry:
    if event.attempt_outcome is AttemptOutcome.ABANDONED:
        # Nobody failed, and it is no retry.
        message = (
            f"Attempt {event.number} of node '{key}' was broken off, and another one follows. {event.error.message}"
        )
    else:
        message = (
            f"Attempt {event.number} of node '{key}' failed ({event.error.message}); "
            f"retry {event.retry_count} of {event.max_retries} in {event.delay:g} s."
        )
    return Entry(
        event="node.retrying",
        level="warning",
        node=key,
        message=message,
        data={
            "attempt": event.number,
            "attempt_id": event.attempt_id,
            "retry_count": event.retry_count,
            "delay_ms": round(event.delay * 1000),
            "error": cast(JsonObject, event.error.public()),
            "traceback": event.error.traceback,
        },
    )


def _abandoned(event: NodeAbandoned, key: str) -> Entry:
    return Entry(
        event="node.abandoned",
        level="error",
        node=key,
        message=f"The code of node '{key}' was let go; whatever it returns is refused. {event.why}",
        data={"attempt_id": event.attempt_id},
    )


def _call_started(event: CallStarted, key: str) -> Entry:
    call: JsonObject = {"number": event.number, "kind": str(event.kind), "name": event.name}
    if event.provider:
        call["provider"] = event.provider
    if event.effect is not Effect.NONE:
        call["effect"] = str(event.effect)
    is_model = event.kind is CallKind.MODEL
    return Entry(
        event="log",
        level="debug" if is_model else "info",
        node=key,
        message=f"Model '{event.name}' is asked." if is_model else f"Tool '{event.name}' is called.",
        data={"call": call | {"outcome": str(CallOutcome.STARTED)}},
    )


def _call_ended(event: CallEnded, key: str) -> Entry:
    spent = event.spent
    call: JsonObject = {
        "number": event.number,
        "kind": str(event.kind),
        "name": event.name,
        "outcome": str(event.outcome),
        "requests": spent.requests,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "cost": amount(spent.cost),
    }
    why = (event.error or {}).get("message")
    message = _WHAT_BECAME[event.kind][event.outcome].format(
        name=event.name, why=f": {why}" if why else ".", tokens_in=spent.input_tokens, tokens_out=spent.output_tokens
    )
    return Entry(
        event="log",
        level="info" if event.outcome is CallOutcome.SUCCEEDED else "warning",
        node=key,
        message=message,
        data={"call": call},
    )


_WHAT_BECAME = {
    CallKind.MODEL: {
        CallOutcome.SUCCEEDED: "Model '{name}' answered. Tokens: {tokens_in} in, {tokens_out} out.",
        CallOutcome.FAILED: "The request to model '{name}' failed{why}",
        CallOutcome.REFUSED: "The request to model '{name}' was not sent{why}",
        CallOutcome.ABANDONED: "What became of the request to model '{name}' is unknown: all that was reserved counts.",
    },
    CallKind.TOOL: {
        CallOutcome.SUCCEEDED: "Tool '{name}' returned.",
        CallOutcome.FAILED: "Tool '{name}' failed{why}",
        CallOutcome.REFUSED: "The call of tool '{name}' was refused{why}",
        CallOutcome.ABANDONED: "What became of the call of tool '{name}' is unknown.",
    },
}


def ended(status: ExecutionStatus, event: ExecutionEnded) -> Entry:
    """The last entry, for the status that the record decided on: a cancel may have come first."""
    data: JsonObject = {"status": str(status)}
    level, message = "info", f"Execution {status}."
    if status is ExecutionStatus.FAILED:
        level = "error"
        assert event.error is not None
        message = f"Execution failed: {event.error.message}"
        data["error"] = cast(JsonObject, event.error.public())
    if status is not event.status:
        data["reason"] = str(Reason.USER)
    elif event.reason:
        data["reason"] = str(event.reason)
    return Entry(event=f"execution.{status}", level=level, node="", message=message, data=data)
