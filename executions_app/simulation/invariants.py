"""What must be true of every record, whatever the workflow did and whatever was done to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from executions_app.engine.errors import names_of
from executions_app.engine.events import Event, NodeAbandoned, NodeRetrying, NodeSettled, NodeStarted
from executions_app.engine.ports import start_of_time
from executions_app.engine.rows import AttemptRow
from executions_app.engine.states import (
    TERMINAL_EXECUTION,
    AttemptOutcome,
    ExecutionStatus,
    NodeStatus,
    Reason,
)
from executions_app.simulation.actors import RETRY_AFTER, deed_of, error_class, output_of
from executions_app.simulation.rules import TAKEN, edge_states, fate, is_unhandled_failure
from executions_app.simulation.scenario import UNEVALUABLE, Deed, Does, Strike
from workflows_app.dag import jsontext
from workflows_app.dag.plan import NodePlan
from workflows_app.dag.types import Effect, Handle, Jitter, JsonObject, NodeType, OnFailure, Scheduling

if TYPE_CHECKING:
    from executions_app.simulation.play import Played

GRACE = 10.0
DOWN_SECONDS = 2.0
# Longer than all batches that can stand between a cause and its effect.
SLACK = 3.0
EPSILON = 1e-6


def violations_of(played: Played) -> list[str]:
    """Every broken promise, in sentences."""
    checker = _Checker(played)
    found = list(checker.ending())
    found += checker.history()
    if played.result is not None:
        found += checker.fates()
        found += checker.verdict()
    for attempt in checker.record.attempts.values():
        found += checker.attempt(attempt)
    return found


class _Checker:
    def __init__(self, played: Played) -> None:
        assert played.record is not None
        self.played = played
        self.scenario = played.scenario
        self.plan = played.scenario.plan
        self.record = played.record
        self.settled = self.record.settled
        self.let_go = {event.attempt_id for _, event in self.record.history if isinstance(event, NodeAbandoned)}
        # Code that blocks the loop delays everybody.
        deeds = [deed for several in self.scenario.deeds.values() for deed in several]
        self.blocked = sum(deed.seconds for deed in deeds if deed.does is Does.BLOCK) * 4
        self.killed = len(self.scenario.kills)

    def key(self, node: int) -> str:
        return self.plan.nodes[node].key

    # The end

    def ending(self) -> Iterator[str]:
        """The run ended, in time, with nothing open."""
        strike, record, played = self.scenario.strike, self.record, self.played
        if record.lost:
            if record.status in TERMINAL_EXECUTION:
                yield "the record was ended by an engine that had lost it"
            return
        if played.raised is not None and strike is not Strike.DATABASE and not played.may_give_up:
            yield f"the engine gave up: {played.raised!r}"
        if record.status not in TERMINAL_EXECUTION:
            yield "the execution has no end"
        if record.entries[-1].event != f"execution.{record.status}":
            yield f"the last entry is {record.entries[-1].event}, the execution {record.status}"
        if any(row.outcome is AttemptOutcome.STARTED for row in record.attempts.values()):
            yield "an attempt is under way after the end"
        if played.result is not None and len(self.settled) != len(self.plan.nodes):
            yield f"{len(self.plan.nodes) - len(self.settled)} nodes have no end"
        limit = self.plan.settings.timeout_seconds
        bound = [float(limit)] if limit is not None else []
        bound += [] if played.heard_at is None else [played.heard_at]
        down = self.killed * (DOWN_SECONDS + GRACE)
        if bound and played.ended_at > min(bound) + GRACE + SLACK + self.blocked + down:
            yield f"it was to end at {min(bound)} s and ended at {played.ended_at} s"

    def verdict(self) -> Iterator[str]:
        """The execution's status says what happened to its nodes, and a cancel before the end wins."""
        record, result = self.record, self.played.result
        assert result is not None
        assert record.end is not None
        failures = [
            event
            for _, event in record.history
            if isinstance(event, NodeSettled) and is_unhandled_failure(self.plan, event)
        ]
        if record.cancel_requested and result.reason is not Reason.TIMEOUT:
            expected = (ExecutionStatus.CANCELLED, Reason.USER)
        elif result.reason in (Reason.USER, Reason.TIMEOUT):
            by_time = result.reason is Reason.TIMEOUT
            expected = (ExecutionStatus.FAILED if by_time else ExecutionStatus.CANCELLED, result.reason)
            limit = self.plan.settings.timeout_seconds
            # The time of the first start is on record in whole microseconds.
            if by_time and (limit is None or self.played.ended_at < float(limit) - 1e-6):
                yield f"it timed out at {self.played.ended_at} s with a limit of {limit} s"
        elif failures:
            expected = (ExecutionStatus.FAILED, Reason.NODE_ERROR)
        else:
            expected = (ExecutionStatus.COMPLETED, None)
        if (record.status, record.reason) != expected:
            yield f"the execution is {record.status} ({record.reason}), its nodes say {expected}"
        if failures and result.reason is Reason.NODE_ERROR and result.error != failures[0].error:
            yield f"the execution's error is {result.error}, the first failure {failures[0].error}"

    # The order of events

    def history(self) -> Iterator[str]:
        """Levels in order; waits as long as they have to be; times that do not run backwards."""
        open_nodes = set(range(len(self.plan.nodes)))
        waits: dict[int, NodeRetrying] = {}
        retries: Counter[int] = Counter()
        last_at: dict[int, Event] = {}
        for _, event in self.record.history:
            match event:
                case NodeStarted():
                    yield from self._start(event, open_nodes, waits.pop(event.node, None))
                case NodeRetrying():
                    retries[event.node] += 1
                    if event.retry_count != retries[event.node]:
                        yield f"{self.key(event.node)}: retry {retries[event.node]} is counted as {event.retry_count}"
                    waits[event.node] = event
                    yield from self._retry(event)
                case NodeSettled():
                    open_nodes.discard(event.node)
                case _:
                    continue
            if event.node in last_at and event.at < last_at[event.node].at:
                yield f"{self.key(event.node)}: its times run backwards"
            last_at[event.node] = event

    def _start(self, event: NodeStarted, open_nodes: set[int], waited: NodeRetrying | None) -> Iterator[str]:
        key, levels = self.key(event.node), self.plan.levels
        at = self._seconds(event)
        if self.plan.settings.scheduling is Scheduling.LEVELS and any(
            levels[node] < levels[event.node] for node in open_nodes
        ):
            yield f"{key} started before its level"
        if waited is not None and at + EPSILON < self._seconds(waited) + waited.delay:
            yield f"{key} was tried again after {at - self._seconds(waited)} s instead of {waited.delay} s"

    def _retry(self, event: NodeRetrying) -> Iterator[str]:
        node = self.plan.nodes[event.node]
        if event.retry_count > node.retry.max_retries:
            yield f"{node.key}: retry {event.retry_count} of {node.retry.max_retries}"
        why_not = self._why_not_again(node, event.error.type, event.attempt_outcome)
        if why_not:
            yield f"{node.key} was tried again though {why_not}"
        policy = node.retry
        steps = (Decimal(policy.delay) * Decimal(policy.multiplier) ** n for n in range(event.retry_count))
        full = float(min(Decimal(policy.max_delay), list(steps)[-1]))
        least = {Jitter.NONE: full, Jitter.EQUAL: full / 2, Jitter.FULL: 0.0}[policy.jitter]
        if event.error.type == "Retryable":
            least, full = max(least, RETRY_AFTER), max(full, RETRY_AFTER)
        if not least - EPSILON <= event.delay <= full + EPSILON:
            yield f"{node.key}: a wait of {event.delay} s instead of {least} to {full} s"

    def _why_not_again(self, node: NodePlan, error: str, outcome: AttemptOutcome) -> str:
        """Why a failed attempt is not followed by another one, beside their number."""
        if error in ("Permanent", "NodeOutputError", "ExpressionError"):
            return f"{error} is final"
        if outcome is AttemptOutcome.TIMED_OUT and node.effect is Effect.AT_MOST_ONCE:
            return "its outcome is unknown"
        names = self._bases(error)
        if names.intersection(node.retry.never_retry_on):
            return f"{error} is in never_retry_on"
        if node.retry.retry_on and not names.intersection(node.retry.retry_on):
            return f"{error} is not in retry_on"
        return ""

    def _bases(self, error: str) -> set[str]:
        known = {"NodeTimeoutError": {"NodeTimeoutError", "TimeoutError", "OSError", "EngineError", "Exception"}}
        return known.get(error) or set(names_of(error_class(error)))

    # What became of every node

    def fates(self) -> Iterator[str]:
        states = edge_states(self.plan, self.settled)
        cancelled_by = {
            Reason.USER: self.played.heard_at is not None,
            Reason.TIMEOUT: self.plan.settings.timeout_seconds is not None,
            Reason.STOPPED: self._stopped(),
        }
        for node, plan_node in enumerate(self.plan.nodes):
            settled = self.settled.get(plan_node.key)
            if settled is None:
                continue
            if settled.status is NodeStatus.CANCELLED:
                if not cancelled_by.get(settled.reason or Reason.CRASHED, False):
                    yield f"{plan_node.key} is cancelled ({settled.reason}) for no reason"
                continue
            incoming = [states[edge] for edge in self.plan.incoming[node]]
            expected = fate(plan_node.join, incoming) if incoming else None
            skipped = settled.reason if settled.status is NodeStatus.SKIPPED else None
            if skipped is Reason.UPSTREAM_FAILED and self._stopped():
                continue
            if skipped != expected:
                yield f"{plan_node.key}: {settled.status} ({settled.reason}) over edges that are {incoming}"
            if settled.status is NodeStatus.COMPLETED:
                yield from self._conditions(settled)
                if plan_node.type is NodeType.TOOL:
                    yield from self._data(settled, states)

    def _stopped(self) -> bool:
        return self.plan.settings.on_failure is OnFailure.STOP and any(
            is_unhandled_failure(self.plan, settled) for settled in self.settled.values()
        )

    def _conditions(self, settled: NodeSettled) -> Iterator[str]:
        """A condition that cannot be evaluated is a failure; only a condition node may never come to it."""
        if self.plan.nodes[settled.node].type is not NodeType.CONDITION and any(
            self.plan.edges[edge].condition == UNEVALUABLE for edge in self.plan.outgoing[settled.node]
        ):
            yield f"{self.key(settled.node)} completed over a condition that cannot be evaluated"

    def _data(self, settled: NodeSettled, states: Sequence[str | None]) -> Iterator[str]:
        """A node saw what was committed, and what is on record is what its last attempt returned."""
        key = self.key(settled.node)
        attempt = self.record.attempts[settled.attempt_id].number
        if jsontext.loads(settled.output) != output_of(deed_of(self.scenario, key, attempt), attempt):
            yield f"{key}: its output {settled.output} is not what attempt {attempt} returned"
        expected: JsonObject = dict(self.scenario.input)
        for edge in self.plan.incoming[settled.node]:
            source = self.settled[self.plan.edges[edge].source]
            if states[edge] != TAKEN or (source.error is not None and self.plan.edges[edge].handle is Handle.OUT):
                continue
            if self.plan.edges[edge].handle is Handle.ERROR:
                assert source.error is not None
                expected["error"] = cast(JsonObject, source.error.public())
                continue
            value = jsontext.loads(source.output)
            expected |= value if isinstance(value, dict) else {self.key(source.node): value}
        got = jsontext.loads(self.record.starts[key][-1].input)
        if got != expected:
            yield f"{key} got {got} instead of {expected}"

    # Attempts

    def attempt(self, row: AttemptRow) -> Iterator[str]:
        """The outcome of an attempt fits what its code did."""
        node = self.plan.nodes[row.node]
        if node.type is not NodeType.TOOL or row.ended_at is None:
            return
        took = (row.ended_at - row.started_at).total_seconds()
        deed = deed_of(self.scenario, node.key, row.number)
        limit, late = float(node.timeout_seconds), SLACK + self.blocked
        match row.outcome:
            case AttemptOutcome.TIMED_OUT:
                if took < limit - EPSILON or took > limit + GRACE + late:
                    yield f"{node.key} timed out after {took} s with a limit of {limit} s"
            case AttemptOutcome.CANCELLED | AttemptOutcome.ABANDONED:
                if self.played.heard_at is None and self.plan.settings.timeout_seconds is None and not self._stopped():
                    yield f"{node.key}: an attempt was cancelled, and nobody asked for it"
            case AttemptOutcome.SUCCEEDED:
                # Nothing but itself can delay code that blocks.
                too_late = deed.seconds > limit if deed.does is Does.BLOCK else took > limit + late
                if deed.does not in (Does.SUCCEED, Does.BLOCK, Does.LEAVE_BEHIND) or too_late:
                    yield f"{node.key}: attempt {row.number} succeeded, its code did '{deed.does}' for {took} s"
            case _:
                expected = _error_of(deed)
                if row.error is None or row.error.type != expected:
                    yield f"{node.key}: attempt {row.number} failed with {row.error}, its code did '{deed.does}'"
        if self._was_let_go(deed, row) and row.attempt_id not in self.let_go:
            yield f"{node.key} was let go, and nobody was told"
        yield from self._given_up(row, node)

    def _was_let_go(self, deed: Deed, row: AttemptRow) -> bool:
        if row.outcome not in (AttemptOutcome.TIMED_OUT, AttemptOutcome.ABANDONED):
            return False
        if deed.does in (Does.SWALLOW, Does.END_SLOWLY):
            return deed.seconds > GRACE
        return deed.does is Does.SWALLOW_FOR_EVER or (deed.does is Does.LEAVE_BEHIND and deed.seconds > 1)

    def _given_up(self, row: AttemptRow, node: NodePlan) -> Iterator[str]:
        """Where a policy allows another attempt, there is one."""
        settled = self.settled.get(node.key)
        if settled is None or settled.attempt_id != row.attempt_id or settled.status is not NodeStatus.FAILED:
            return
        if row.outcome is AttemptOutcome.SUCCEEDED or row.error is None:
            return
        may = settled.retry_count < node.retry.max_retries
        if may and not self._why_not_again(node, row.error.type, row.outcome):
            yield f"{node.key} was not tried again after attempt {row.number}: {settled.gave_up}"

    def _seconds(self, event: NodeStarted | NodeRetrying) -> float:
        return (event.at - start_of_time()).total_seconds()


def _error_of(deed: Deed) -> str:
    return {
        Does.FAIL: deed.error,
        Does.FAIL_RETRYABLE: "Retryable",
        Does.FAIL_PERMANENT: "Permanent",
        Does.GARBAGE: "NodeOutputError",
        Does.CANCEL_ITSELF: "SelfCancelledError",
        Does.EXIT: "SystemExit",
    }.get(deed.does, "")
