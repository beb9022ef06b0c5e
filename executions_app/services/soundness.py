"""What must be true of every record in a database, whoever wrote it; the checks behind `engine_fsck`."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from executions_app.conf import execution_settings
from executions_app.engine.states import TERMINAL_EXECUTION, TERMINAL_NODE, AttemptOutcome, NodeStatus
from executions_app.models import (
    AgentCall,
    ExecutionLog,
    NodeAttempt,
    NodeExecution,
    NodeJob,
    WorkflowExecution,
    querysets,
)
from executions_app.models.job import JobState
from workflows_app.agents.calls import CallOutcome
from workflows_app.services.compile import plan_by_id
from workflows_app.wording import status_word


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A record that is wrong. `code` names the check, `sentence` what was found."""

    code: str
    execution_id: uuid.UUID
    sentence: str


def violations() -> Iterator[Violation]:
    """Everything that is wrong, check by check. Reads the whole database and changes nothing."""
    for code, check in CHECKS.items():
        for execution_id, sentence in check():
            yield Violation(code=code, execution_id=execution_id, sentence=sentence)


type _Found = Iterator[tuple[uuid.UUID, str]]


def _without_engine() -> _Found:
    patience = timedelta(seconds=2 * execution_settings().scan_seconds)
    late = WorkflowExecution.objects.filter(status="running").filter(
        Q(lease_until__isnull=True) | Q(lease_until__lt=querysets.now() - patience)
    )
    for id_, owner, until in late.values_list("id", "claimed_by", "lease_until"):
        engine = _("Its engine %(owner)s has not been heard of since %(until)s: start a worker.")
        nobody = _("It was handed back, and nobody took it since %(until)s: start a worker.")
        yield id_, (engine if owner else nobody) % {"owner": owner, "until": until}


def _ends() -> _Found:
    ended = Q(status__in=TERMINAL_EXECUTION)
    wrong = WorkflowExecution.objects.filter((ended & Q(ended_at=None)) | (~ended & Q(ended_at__isnull=False)))
    for id_, status, at in wrong.values_list("id", "status", "ended_at"):
        sentence = _("The execution is %(status)s, and its end is %(at)s.")
        yield id_, sentence % {"status": status_word(status), "at": at or _("not on record")}


def _open_nodes() -> _Found:
    left = NodeExecution.objects.filter(execution__status__in=TERMINAL_EXECUTION).exclude(status__in=TERMINAL_NODE)
    for id_, key, status in left.values_list("execution_id", "key", "status"):
        sentence = _("Node '%(key)s' is %(status)s, and the execution has ended.")
        yield id_, sentence % {"key": key, "status": status_word(status)}


def _open_attempts() -> _Found:
    left = NodeAttempt.objects.filter(outcome=AttemptOutcome.STARTED).filter(
        Q(fence__lt=F("execution__fence")) | Q(execution__status__in=TERMINAL_EXECUTION)
    )
    for id_, attempt in left.values_list("execution_id", "attempt_id"):
        sentence = _("Attempt %(attempt)s is under way for an engine that no longer has the execution.")
        yield id_, sentence % {"attempt": attempt}


def _open_calls() -> _Found:
    left = AgentCall.objects.filter(outcome=CallOutcome.STARTED).filter(
        Q(fence__lt=F("execution__fence")) | Q(execution__status__in=TERMINAL_EXECUTION)
    )
    for id_, attempt, number in left.values_list("execution_id", "attempt_id", "number"):
        sentence = _("Call %(number)s of attempt %(attempt)s is open for an engine that no longer has the execution.")
        yield id_, sentence % {"number": number, "attempt": attempt}


def _open_jobs() -> _Found:
    """Nobody waits for a worker, or has one at work, but for an attempt that is under way."""
    under_way = NodeAttempt.objects.filter(
        attempt_id=OuterRef("attempt_id"),
        outcome=AttemptOutcome.STARTED,
        fence=OuterRef("fence"),
        execution__fence=F("fence"),
        execution__status="running",
    )
    wanted = NodeJob.objects.filter(state__in=[JobState.WAITING, JobState.TAKEN])
    left = wanted.exclude(Exists(under_way)).values_list("execution_id", "attempt_id", "state")
    for id_, attempt, state in left:
        sentence = _("The job of attempt %(attempt)s is left (%(state)s), and the attempt has ended.")
        yield id_, sentence % {"attempt": attempt, "state": state}


def _second_successes() -> _Found:
    twice = (
        NodeAttempt.objects.filter(outcome=AttemptOutcome.SUCCEEDED)
        .order_by()
        .values("execution_id", "order", "item")
        .annotate(times=Count("attempt_id"))
        .filter(times__gt=1)
    )
    for row in twice:
        sentence = _("Node %(number)s has %(count)s attempts that succeeded.")
        yield row["execution_id"], sentence % {"number": row["order"], "count": row["times"]}


def _numbers() -> _Found:
    entries = ExecutionLog.objects.filter(execution=OuterRef("pk")).order_by().values("execution")

    def of(aggregate: Any) -> Coalesce:
        # Of an execution without entries there is no group.
        return Coalesce(Subquery(entries.annotate(found=aggregate).values("found")), 0)

    numbered = WorkflowExecution.objects.annotate(
        entries=of(Count("seq")), first=of(Min("seq")), last=of(Max("seq"))
    ).exclude(entries=F("last_seq"), first=1, last=F("last_seq"))
    for id_, last_seq, count, first, last in numbered.values_list("id", "last_seq", "entries", "first", "last"):
        sentence = _("The journal has %(count)s entries from %(first)s to %(last)s, and the execution counts %(seq)s.")
        yield id_, sentence % {"count": count, "first": first, "last": last, "seq": last_seq}


def _replay() -> _Found:
    """The journal, played again, gives the rows."""
    for id_, status, version_id in WorkflowExecution.objects.values_list("id", "status", "version_id").iterator():
        said = _said(id_)
        rows = dict(NodeExecution.objects.filter(execution_id=id_).values_list("key", "status"))
        for node in plan_by_id(version_id).nodes:
            told = said.get(node.key, _UNTOUCHED)
            if node.key not in rows:
                yield id_, _("Node '%(key)s' has no row.") % {"key": node.key}
            elif rows[node.key] not in told:
                sentence = _("Node '%(key)s' is %(status)s, and the journal says %(told)s.")
                yield id_, sentence % {"key": node.key, "status": status_word(rows[node.key]), "told": _either(told)}
        told = said.get("", _UNTOUCHED)
        if status not in told:
            sentence = _("The execution is %(status)s, and the journal says %(told)s.")
            yield id_, sentence % {"status": status_word(status), "told": _either(told)}


def _either(statuses: tuple[str, ...]) -> str:
    return _(" or ").join(status_word(status) for status in statuses)


_UNTOUCHED = (str(NodeStatus.PENDING),)
_SAYS = {"retrying": "pending", "recovered": "running"}
# Of the execution's entries, those that move it.
_MOVES = frozenset({"pending", "running", "recovered", *TERMINAL_EXECUTION})


def _said(execution_id: uuid.UUID) -> Mapping[str, tuple[str, ...]]:
    """The statuses that each node, and under the empty key the execution, may have after its journal."""
    said: dict[str, tuple[str, ...]] = {}
    entries = ExecutionLog.objects.filter(execution_id=execution_id).order_by("seq").values_list("event", "node")
    for event, node in entries.iterator():
        kind, _, what = event.partition(".")
        if what == "recovered":
            # What was at work is pending again, or running where it cannot be repeated.
            said |= {key: ("pending", "running") for key, status in said.items() if key and status == ("running",)}
        if (kind == "node" and what != "abandoned") or (kind == "execution" and what in _MOVES):
            said[node] = (_SAYS.get(what, what),)
    return said


CHECKS: Mapping[str, Callable[[], _Found]] = {
    "I1": _without_engine,
    "I2": _ends,
    "I3": _open_nodes,
    "I4": _open_attempts,
    "I5": _second_successes,
    "I6": _replay,
    "I7": _numbers,
    "I8": _open_calls,
    "I9": _open_jobs,
}
