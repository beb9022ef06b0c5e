"""Spans of a run for OpenTelemetry: the execution, its nodes, their attempts.

They are made of the events on their way to the record, with the record's times. While a processor works its attempt's
span is the current one, so that what it calls can join the trace. Where nobody has set OpenTelemetry up in this process
it is not even imported.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.events import Event, ExecutionEnded, NodeRetrying, NodeSettled, NodeStarted
from executions_app.engine.ports import Sink
from executions_app.engine.states import ExecutionStatus, NodeStatus
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import NodeType
from workflows_app.processors.base import NodeCall, Prepared, Processor, Reconciler
from workflows_app.tools.reconciling import Verdict

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from executions_app.models.ownership import Claim

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trace_of(claim: Claim, plan: Plan) -> Trace | None:
    """The trace of an engine's turn at a run; None where nobody would see it."""
    # Who exports spans has loaded the SDK.
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - an optional package

    try:
        found = Trace(trace.get_tracer("pastetrader"), claim, plan)
    except Exception:
        logger.exception("Execution %s is not traced.", claim.execution_id)
        return None
    return found if found.is_recording else None


class Trace:
    """What goes wrong here is logged once and ends the trace, never the run."""

    def __init__(self, tracer: Tracer, claim: Claim, plan: Plan) -> None:
        self._tracer = tracer
        self._plan = plan
        # Open spans of nodes by position, of attempts by id.
        self._nodes: dict[int, Span] = {}
        self._attempts: dict[str, Span] = {}
        self._failed = False
        self._execution = tracer.start_span(
            f"execution {plan.name}",
            # A later owner's turn begins when it takes the run.
            start_time=_time(claim.started_at) if claim.fence == 1 else None,
            attributes={
                "pastetrader.execution.id": str(claim.execution_id),
                "pastetrader.execution.trigger_type": claim.trigger_type,
                "pastetrader.execution.fence": claim.fence,
                "pastetrader.workflow.name": plan.name,
                "pastetrader.workflow.nodes": len(plan.nodes),
            },
        )

    @property
    def is_recording(self) -> bool:
        return self._execution.is_recording()

    def hear(self, events: Sequence[Event]) -> None:
        if self._failed:
            return
        try:
            for event in events:
                self._take(event)
        except Exception:
            self._failed = True
            logger.exception("The trace of a run broke off.")

    def end(self) -> None:
        """End what is open: the run was left to another engine, or its code was let go."""
        try:
            for span in (*self._attempts.values(), *self._nodes.values(), self._execution):
                # The execution's may have ended with its event.
                if span.is_recording():
                    span.set_attribute("pastetrader.left", True)
                    span.end()
        except Exception:
            logger.exception("The trace of a run could not be ended.")

    def around(self, attempt_id: str) -> AbstractContextManager[object]:
        """The attempt's span as the current one."""
        from opentelemetry import trace  # noqa: PLC0415 - an optional package

        span = self._attempts.get(attempt_id)
        if span is None:
            return nullcontext()
        return trace.use_span(span, record_exception=False, set_status_on_exception=False)

    def _take(self, event: Event) -> None:
        match event:
            case NodeStarted():
                self._begin(event)
            case NodeRetrying():
                self._end_attempt(event)
            case NodeSettled():
                self._end_attempt(event)
                self._end_node(event)
            case ExecutionEnded():
                status = event.status
                attributes = {"pastetrader.execution.status": str(status), "pastetrader.reason": event.reason}
                _finish(
                    self._execution, event.at, attributes, event.error if status is ExecutionStatus.FAILED else None
                )
            case _:
                pass

    def _begin(self, event: NodeStarted) -> None:
        node = self._plan.nodes[event.node]
        attributes = {"pastetrader.node.key": node.key, "pastetrader.node.type": str(node.type)}
        if event.node not in self._nodes:
            self._nodes[event.node] = self._child(f"node {node.key}", self._execution, event.started_at, attributes)
        self._attempts[event.attempt_id] = self._child(
            f"attempt {node.key}",
            self._nodes[event.node],
            event.at,
            {
                **attributes,
                "pastetrader.attempt.id": event.attempt_id,
                "pastetrader.attempt.number": event.number,
            },
        )

    def _child(self, name: str, parent: Span, at: datetime, attributes: Mapping[str, Any]) -> Span:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - an optional package

        context = set_span_in_context(parent)
        return self._tracer.start_span(name, context, attributes=attributes, start_time=_time(at))

    def _end_attempt(self, event: NodeRetrying | NodeSettled) -> None:
        span = self._attempts.pop(event.attempt_id, None)
        if span is not None:
            _finish(span, event.at, {"pastetrader.attempt.outcome": event.attempt_outcome}, event.error)

    def _end_node(self, event: NodeSettled) -> None:
        # One that never began has no span.
        span = self._nodes.pop(event.node, None)
        if span is not None:
            attributes = {
                "pastetrader.node.status": event.status,
                "pastetrader.node.retry_count": event.retry_count,
                "pastetrader.reason": event.reason,
            }
            _finish(span, event.at, attributes, event.error if event.status is NodeStatus.FAILED else None)


def _finish(span: Span, at: datetime, attributes: Mapping[str, Any], error: ErrorInfo | None) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an optional package

    for name, value in attributes.items():
        if value is not None:
            span.set_attribute(name, value if isinstance(value, int) else str(value))
    if error is not None:
        span.set_attribute("error.type", error.type)
        span.set_status(Status(StatusCode.ERROR, error.message))
        found = {"exception.type": error.type, "exception.message": error.message}
        if error.traceback:
            found["exception.stacktrace"] = error.traceback
        span.add_event("exception", found, timestamp=_time(at))
    span.end(_time(at))


def _time(at: datetime) -> int:
    """In nanoseconds, as OpenTelemetry counts."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000


class TracedSink:
    """Tells the trace what goes on record."""

    __slots__ = ("_sink", "_trace")

    def __init__(self, sink: Sink, trace: Trace) -> None:
        self._sink = sink
        self._trace = trace

    def post(self, event: Event) -> None:
        self._trace.hear([event])
        self._sink.post(event)

    async def commit(self, events: Sequence[Event]) -> None:
        await self._sink.commit(events)
        self._trace.hear(events)


class TracedProcessor:
    """A processor whose work is done inside its attempt's span."""

    __slots__ = ("_processor", "_trace")

    def __init__(self, processor: Processor, trace: Trace) -> None:
        self._processor = processor
        self._trace = trace

    def pre_process(self, call: NodeCall) -> Prepared:
        return self._processor.pre_process(call)

    async def process(self, call: NodeCall, prepared: Prepared) -> object:
        with self._trace.around(call.attempt.attempt_id):
            return await self._processor.process(call, prepared)

    def post_process(self, call: NodeCall, result: object) -> object:
        return self._processor.post_process(call, result)

    async def reconcile(self, call: NodeCall, prepared: Prepared) -> Verdict:
        return await cast(Reconciler, self._processor).reconcile(call, prepared)


def traced(processors: Mapping[NodeType, Processor], trace: Trace) -> Mapping[NodeType, Processor]:
    return {kind: TracedProcessor(processor, trace) for kind, processor in processors.items()}
