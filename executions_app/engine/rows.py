"""The rows of attempts and of their calls, in memory: what `testing.MemorySink` keeps instead of a database."""

from dataclasses import dataclass, field
from datetime import datetime

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.events import CallEnded, CallStarted
from executions_app.engine.states import AttemptOutcome
from workflows_app.agents.calls import NOTHING, CallOutcome, Spent


@dataclass(slots=True, kw_only=True)
class AttemptRow:
    attempt_id: str
    node: int
    number: int
    started_at: datetime
    outcome: AttemptOutcome = AttemptOutcome.STARTED
    error: ErrorInfo | None = None
    ended_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class CallRow:
    """`ended` is None while it is under way, and where it was abandoned with its engine."""

    started: CallStarted
    outcome: CallOutcome = CallOutcome.STARTED
    spent: Spent = NOTHING
    ended: CallEnded | None = None

    @property
    def counts(self) -> Spent:
        """What it took, or may still take."""
        return (self.started.reserved or NOTHING) if self.outcome is CallOutcome.STARTED else self.spent


@dataclass(slots=True)
class CallTable:
    """The calls of all attempts."""

    rows: dict[tuple[str, int], CallRow] = field(default_factory=dict)

    def take(self, event: CallStarted | CallEnded, attempt: AttemptRow | None) -> bool:
        """False for what no record may hold: a call of no attempt that is under way, an end of no call that is."""
        where = (event.attempt_id, event.number)
        call = self.rows.get(where)
        if isinstance(event, CallStarted):
            if call is not None or attempt is None or attempt.outcome is not AttemptOutcome.STARTED:
                return False
            self.rows[where] = CallRow(started=event)
            return True
        if call is None or call.outcome is not CallOutcome.STARTED:
            return False
        call.outcome, call.spent, call.ended = event.outcome, event.spent, event
        return True

    def abandon(self) -> None:
        """End what a dead engine left open, with all that was reserved for it."""
        for call in self.rows.values():
            if call.outcome is CallOutcome.STARTED:
                call.outcome, call.spent = CallOutcome.ABANDONED, call.counts

    def has_open(self, attempt_id: str) -> bool:
        return any(
            call.outcome is CallOutcome.STARTED and call.started.attempt_id == attempt_id for call in self.rows.values()
        )

    def spent_of(self, node: int) -> Spent | None:
        calls = [call.spent for call in self.rows.values() if call.started.node == node]
        return sum(calls, NOTHING) if calls else None

    @property
    def counts(self) -> Spent:
        """All that was taken or may be."""
        return sum((call.counts for call in self.rows.values()), NOTHING)
