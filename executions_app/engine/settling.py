"""What an outcome means: retry or final, which edges it opens, what it ends. No waiting, no I/O.

`Settler.settle` turns the outcome of one attempt into the events to commit and the nodes that may start once
they are committed. It moves the frontier and the context; the run only commits and schedules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import msgspec

from executions_app.engine import policy
from executions_app.engine.attempt import AttemptStart, Cancelled, Failed, Lost, Outcome, Succeeded
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ConditionScope, ExecutionContext, NodeScope
from executions_app.engine.errors import ErrorInfo, NodeCrashedError, WorkerCrashedError, WorkerCrashLoopError
from executions_app.engine.events import AttemptMeasures, Event, ExecutionEnded, NodeRetrying, NodeSettled
from executions_app.engine.failures import describe, with_unknown_outcome
from executions_app.engine.frontier import Frontier, Step, Verdict
from executions_app.engine.ports import Ports
from executions_app.engine.progress import Progress, decode_edges, encode_edges
from executions_app.engine.states import TERMINAL_NODE, AttemptOutcome, ExecutionStatus, NodeStatus, Reason
from workflows_app.dag import jsontext
from workflows_app.dag.branching import ConditionFailed, EdgeState, Ending, Route, route, route_without_conditions
from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.rendering import evaluate_condition, render
from workflows_app.dag.types import Handle, JsonObject, NodeKey, NodeType, OnError, OnFailure
from workflows_app.tools.reconciling import Done, Unknown

# So many processes may die of a node in a row, where the engine does not die with them.
MAX_DEATHS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Events to commit together; after that `closed` nodes are terminal and `ready` ones may start.

    `retry_in` is set where the node is not terminal but waits so many seconds for its next attempt.
    """

    events: Sequence[Event] = ()
    closed: Sequence[int] = ()
    ready: Sequence[int] = ()
    retry_in: float | None = None


class Settler:
    def __init__(self, context: ExecutionContext, frontier: Frontier, ports: Ports, cancel: CancelToken) -> None:
        self._context = context
        self._plan = context.plan
        self._frontier = frontier
        self._ports = ports
        self._cancel = cancel
        self._retries: dict[int, int] = {}
        self._started: dict[int, datetime] = {}
        # The attempts that are under way, and how many there were.
        self._attempts: dict[int, str] = {}
        self._numbers: dict[int, int] = {}
        self._measures: dict[int, AttemptMeasures] = {}
        # How many processes died of a node that they ran for this engine.
        self._deaths: dict[int, int] = {}
        self._first_failure: ErrorInfo | None = None
        self._stopped_by: int | None = None

    @property
    def starts_nothing_more(self) -> bool:
        """Whether the run was told to end, or stopped at a failure."""
        return self._cancel.requested or self._stopped_by is not None

    def begin_attempt(self, node: int) -> AttemptStart:
        """Begin an attempt now."""
        at = self._ports.clock.now()
        attempt_id = self._attempts[node] = self._ports.new_id()
        first = self._started.setdefault(node, at)
        number = self._numbers[node] = self._numbers.get(node, 0) + 1
        retries = self._retries.get(node, 0)
        return AttemptStart(attempt_id=attempt_id, number=number, retry_count=retries, at=at, first_at=first)

    def restore(self, progress: Progress) -> None:
        """Go on from the record of a run that another engine began."""
        plan = self._plan
        for one in progress.nodes:
            node = one.node
            self._numbers[node], self._retries[node] = one.attempts, one.retry_count
            if one.started_at is not None:
                self._started[node] = one.started_at
            if one.status not in TERMINAL_NODE:
                continue
            if one.output:
                self._context.put(node, one.output)
            cause = plan.index[NodeKey(one.cause)] if one.cause else -1
            states = decode_edges(one.edges)
            self._frontier.restore(node, one.status, states, cause)
            if one.status is NodeStatus.FAILED:
                assert one.error is not None
                self._context.put_error(node, one.error)
                edges = zip(plan.outgoing[node], states, strict=True)
                handled = any(
                    state is EdgeState.TAKEN and plan.edges[edge].handle is Handle.ERROR for edge, state in edges
                )
                _ = self._note_failure(node, one.error, handled=handled)

    def interrupted_attempt(self, node: int, attempt_id: str) -> AttemptStart:
        """The attempt that was under way when the engine before this one died."""
        return AttemptStart(
            attempt_id=attempt_id,
            number=self._numbers[node],
            retry_count=self._retries[node],
            at=self._ports.clock.now(),
            first_at=self._started[node],
        )

    def crash(self, node: int, said: str = "") -> Settlement:
        """Settle a node that was at work when its engine died, and whose work cannot be repeated.

        `said` is what the tool found out, where it could be asked.
        """
        error = describe(NodeCrashedError(self._plan.nodes[node].key), self._plan.nodes[node])
        if said:
            error = msgspec.structs.replace(error, message=f"{error.message} {said}")
        error = with_unknown_outcome(error, self._plan.nodes[node])
        return self._conclude(node, error, Reason.CRASHED, outcome=None)

    def find_done(self, node: int, output: str) -> Settlement:
        """Settle a node that was at work when its engine died, and whose work turned out to be done."""
        return self._complete(node, output, outcome=None)

    def settle(self, node: int, outcome: Outcome, measures: AttemptMeasures | None = None) -> Settlement:
        if measures is not None:
            self._measures[node] = measures
        match outcome:
            case Succeeded():
                ended = AttemptOutcome.TIMED_OUT if outcome.found_done else AttemptOutcome.SUCCEEDED
                return self._complete(node, outcome.output, ended)
            case Failed():
                return self._fail(node, outcome)
            case Lost():
                return self._lose(node, outcome)
            case _:
                return self._end_cancelled(node, outcome)

    def cancel_waiting(self, reason: Reason) -> Settlement:
        """End every node that has not started or waits for a retry."""
        return self._settlement((), self._frontier.cancel(reason))

    def end(self) -> ExecutionEnded:
        """The last event, once every node is terminal."""
        match self._cancel.reason:
            case None if self._first_failure is not None:
                return self._ended(ExecutionStatus.FAILED, Reason.NODE_ERROR, self._first_failure)
            case None:
                return self._completed()
            case Reason.TIMEOUT:
                limit = self._plan.settings.timeout_seconds
                sentence = f"The execution did not finish within its limit of {limit} seconds."
                error = ErrorInfo(code="timeout", message=sentence, type="ExecutionTimeoutError", node=None)
                return self._ended(ExecutionStatus.FAILED, Reason.TIMEOUT, error)
            case reason:
                return self._ended(ExecutionStatus.CANCELLED, reason, self._first_failure)

    def _complete(self, node: int, output: str, outcome: AttemptOutcome | None) -> Settlement:
        self._context.put(node, output)
        try:
            chosen = self._route(node, Ending.COMPLETED)
        except ConditionFailed as failed:
            error = describe(failed.error, self._plan.nodes[node])
            error = msgspec.structs.replace(error, code="condition_error")
            return self._conclude(node, error, Reason.CONDITION_ERROR, output, failed, outcome)
        step = self._frontier.settle(node, NodeStatus.COMPLETED, chosen.states)
        event = self._event(
            node,
            NodeStatus.COMPLETED,
            attempt_outcome=outcome,
            edges=_edges_of(chosen),
            output=output,
            details=self._details(node, chosen)
            | ({} if outcome is AttemptOutcome.SUCCEEDED else {"reconciled": "done"}),
        )
        return self._settlement((event,), step)

    def _fail(self, node: int, failed: Failed) -> Settlement:
        retry = self._plan.nodes[node].retry
        retries = self._retries.get(node, 0)
        error = failed.error
        decision = policy.decide(retry, error, retries, self._ports.random)
        if isinstance(decision, policy.GiveUp):
            why = decision.why if retry.max_retries else ""
            return self._conclude(node, error, failed.reason, outcome=_outcome_of(failed), gave_up=why)
        if self.starts_nothing_more:
            return self._end_cancelled(node, failed)
        self._retries[node] = retries + 1
        return self._again(node, _outcome_of(failed), error, decision.delay)

    def _lose(self, node: int, lost: Lost) -> Settlement:
        """The process is gone that ran the node for this engine: what may be done again is, but not for ever."""
        plan = self._plan.nodes[node]
        error = describe(WorkerCrashedError(plan.key, lost.why), plan)
        match lost.verdict:
            case Done(output):
                return self._complete(node, cast(str, output), AttemptOutcome.ABANDONED)
            case Unknown(why):
                error = with_unknown_outcome(error, plan)
                if why not in error.message:
                    error = msgspec.structs.replace(error, message=f"{error.message} {why}")
                return self._conclude(node, error, Reason.CRASHED, outcome=AttemptOutcome.ABANDONED)
            case _:
                deaths = self._deaths[node] = self._deaths.get(node, 0) + lost.died
        if deaths > MAX_DEATHS:
            error = describe(WorkerCrashLoopError(plan.key, deaths), plan)
            return self._conclude(node, error, Reason.CRASH_LOOP, outcome=AttemptOutcome.ABANDONED)
        if self.starts_nothing_more:
            return self._end_cancelled(node, Cancelled(let_go=lost.why))
        return self._again(node, AttemptOutcome.ABANDONED, error, 0.0)

    def _again(self, node: int, outcome: AttemptOutcome, error: ErrorInfo, delay: float) -> Settlement:
        self._frontier.suspend(node)
        event = NodeRetrying(
            node=node,
            at=self._ports.clock.now(),
            attempt_id=self._attempts.pop(node),
            number=self._numbers[node],
            attempt_outcome=outcome,
            error=error,
            retry_count=self._retries.get(node, 0),
            max_retries=self._plan.nodes[node].retry.max_retries,
            delay=delay,
            measures=self._measures.pop(node, None),
        )
        return Settlement(events=(event,), retry_in=delay)

    def _conclude(
        self,
        node: int,
        error: ErrorInfo,
        reason: Reason,
        output: str = "",
        condition: ConditionFailed | None = None,
        outcome: AttemptOutcome | None = AttemptOutcome.SUCCEEDED,
        gave_up: str = "",
    ) -> Settlement:
        """A failure that no retry follows: offer it to the error edges, stop the run if it must.

        `condition` is the edge condition that made a completed node fail.
        """
        self._context.put_error(node, error)
        continues = self._plan.nodes[node].on_error is OnError.CONTINUE
        ending = Ending.CONTINUED if continues else Ending.FAILED
        try:
            chosen = self._route(node, ending)
        except ConditionFailed as failed:
            chosen = replace(route_without_conditions(self._plan, node, ending), evaluations=failed.evaluations)
            if not continues:
                reason = Reason.CONDITION_ERROR
        if condition is not None:
            # First the edges were tried over its output, then again over its failure.
            chosen = replace(chosen, evaluations=(*condition.evaluations, *chosen.evaluations))
        if self._note_failure(node, error, handled=chosen.handled):
            step = self._frontier.stop(node)
        else:
            step = self._frontier.settle(node, NodeStatus.FAILED, chosen.states)
        details = self._details(node, chosen)
        event = self._event(
            node,
            NodeStatus.FAILED,
            attempt_outcome=outcome,
            reason=reason,
            edges=_edges_of(chosen),
            output=output,
            error=error,
            details={**details, "gave_up": gave_up} if gave_up else details,
            gave_up=gave_up,
        )
        return self._settlement((event,), step)

    def _note_failure(self, node: int, error: ErrorInfo, *, handled: bool) -> bool:
        """Keep a failure that fails the execution, the first as its error; True where it stops the run."""
        if handled or self._plan.nodes[node].on_error is OnError.CONTINUE:
            return False
        if self._first_failure is None:
            self._first_failure = error
        if self._plan.settings.on_failure is not OnFailure.STOP:
            return False
        self._stopped_by = node
        return True

    def _end_cancelled(self, node: int, ended: Failed | Cancelled) -> Settlement:
        reason, cause = self._cancel.reason, ""
        if reason is None:
            assert self._stopped_by is not None
            reason, cause = Reason.STOPPED, self._plan.nodes[self._stopped_by].key
        step = self._frontier.settle(node, NodeStatus.CANCELLED, ())
        event = self._event(
            node,
            NodeStatus.CANCELLED,
            # None where the node had its slot, and was cancelled before it began.
            attempt_outcome=_outcome_of(ended) if node in self._attempts else None,
            reason=reason,
            edges=encode_edges([EdgeState.DEAD] * len(self._plan.outgoing[node])),
            cause=cause,
            error=ended.error,
        )
        return self._settlement((event,), step)

    def _route(self, node: int, ending: Ending) -> Route:
        scope = ConditionScope(self._context, node, self._started[node])
        return route(self._plan, node, ending, lambda source: evaluate_condition(source, scope))

    def _settlement(self, events: Sequence[NodeSettled], step: Step) -> Settlement:
        events = (*events, *(self._verdict(verdict) for verdict in step.verdicts))
        return Settlement(events=events, closed=[event.node for event in events], ready=step.ready)

    def _verdict(self, verdict: Verdict) -> NodeSettled:
        cause = self._plan.nodes[verdict.cause].key if verdict.cause >= 0 else ""
        edges = encode_edges([verdict.edges] * len(self._plan.outgoing[verdict.node]))
        return self._event(verdict.node, verdict.status, reason=verdict.reason, edges=edges, cause=cause)

    def _details(self, node: int, chosen: Route) -> JsonObject:
        """What was evaluated and taken, for a node that had a choice."""
        is_condition = self._plan.nodes[node].type is NodeType.CONDITION
        if not (is_condition or chosen.evaluations or chosen.handled):
            return {}
        return {"evaluations": list(chosen.evaluations), "taken": list(chosen.taken)}

    def _event(
        self,
        node: int,
        status: NodeStatus,
        *,
        attempt_outcome: AttemptOutcome | None = None,
        reason: Reason | None = None,
        edges: str = "",
        cause: str = "",
        output: str = "",
        error: ErrorInfo | None = None,
        details: JsonObject | None = None,
        gave_up: str = "",
    ) -> NodeSettled:
        if cause:
            details = {"cause": cause}
        return NodeSettled(
            node=node,
            at=self._ports.clock.now(),
            status=status,
            attempt_id="" if attempt_outcome is None else self._attempts.pop(node),
            attempt_outcome=attempt_outcome,
            reason=reason,
            retry_count=self._retries.get(node, 0),
            started_at=self._started.get(node),
            edges=edges,
            output=output,
            details=jsontext.dumps(details) if details else "",
            error=error,
            cause=cause,
            gave_up=gave_up,
            measures=self._measures.pop(node, None),
        )

    def _completed(self) -> ExecutionEnded:
        """The end of a run without an unhandled failure; an output that cannot be rendered is one."""
        if self._plan.output is None:
            return self._ended(ExecutionStatus.COMPLETED)
        assert self._context.started_at is not None
        scope = NodeScope(self._context, None, self._context.started_at)
        try:
            output = jsontext.dumps(render(self._plan.output, scope))
        except ExpressionError as problem:
            sentence = f"The output of the workflow cannot be rendered: {problem}"
            error = ErrorInfo(code="expression_error", message=sentence, type="ExpressionError", node=None)
            return self._ended(ExecutionStatus.FAILED, Reason.NODE_ERROR, error)
        return self._ended(ExecutionStatus.COMPLETED, output=output)

    def _ended(
        self, status: ExecutionStatus, reason: Reason | None = None, error: ErrorInfo | None = None, output: str = ""
    ) -> ExecutionEnded:
        """Without an `output` of its own, a workflow gives the outputs of its completed nodes, however it ended."""
        if not output and self._plan.output is None:
            output = self._context.outputs_by_key(self._frontier.statuses)
        return ExecutionEnded(at=self._ports.clock.now(), status=status, reason=reason, output=output, error=error)


def _edges_of(chosen: Route) -> str:
    return encode_edges(state for _, state in sorted(chosen.states))


def _outcome_of(ended: Failed | Cancelled) -> AttemptOutcome:
    if isinstance(ended, Cancelled):
        return AttemptOutcome.ABANDONED if ended.let_go else AttemptOutcome.CANCELLED
    return AttemptOutcome.TIMED_OUT if ended.reason is Reason.TIMEOUT else AttemptOutcome.FAILED
