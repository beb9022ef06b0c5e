"""The journal of an execution as people search it and take it away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from executions_app.models import ExecutionLog
from executions_app.queries import LEVELS
from workflows_app.dag import jsontext

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from executions_app.models import WorkflowExecution

# Entries in one piece of a download.
PIECE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Entries of at least a level, of a node and of one of its attempts, with a text in them, after or before a number.

    Without `after` the last ones before `before` are meant, or the last of all.
    """

    level: str = LEVELS[0]
    node: str = ""
    attempt: int | None = None
    text: str = ""
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Entries in their order; `more` says whether there are others in the direction of the search."""

    items: Sequence[ExecutionLog]
    more: bool


def search(execution: WorkflowExecution, wanted: Search, limit: int) -> Found:
    rows = _matching(execution, wanted)
    if wanted.after is not None:
        items = list(rows.filter(seq__gt=wanted.after).order_by("seq")[: limit + 1])
        return Found(items=items[:limit], more=len(items) > limit)
    if wanted.before is not None:
        rows = rows.filter(seq__lt=wanted.before)
    items = list(rows.order_by("-seq")[: limit + 1])
    return Found(items=items[:limit][::-1], more=len(items) > limit)


def pieces(execution: WorkflowExecution) -> Iterator[str]:
    """The whole journal as text, in pieces; each asks the database when it is wanted."""
    seq = 0
    while piece := piece_after(execution, seq):
        text, seq = piece
        yield text


def piece_after(execution: WorkflowExecution, seq: int) -> tuple[str, int] | None:
    """The next piece of the text and the number of its last entry; None at the end."""
    rows = list(ExecutionLog.objects.filter(execution=execution, seq__gt=seq).order_by("seq")[:PIECE])
    return ("".join(_lines(row) for row in rows), rows[-1].seq) if rows else None


def _matching(execution: WorkflowExecution, wanted: Search) -> QuerySet[ExecutionLog]:
    rows = ExecutionLog.objects.filter(execution=execution)
    if wanted.level != LEVELS[0]:
        rows = rows.filter(level__in=LEVELS[LEVELS.index(wanted.level) :])
    if wanted.node:
        rows = rows.filter(node=wanted.node)
    if wanted.node and wanted.attempt is not None:
        rows = rows.filter(_during(execution, wanted.node, wanted.attempt))
    if wanted.text:
        rows = rows.annotate(data_text=Cast("data", TextField())).filter(
            Q(message__icontains=wanted.text)
            | Q(node__icontains=wanted.text)
            | Q(event__icontains=wanted.text)
            | Q(data_text__icontains=wanted.text)
        )
    return rows


def _during(execution: WorkflowExecution, node: str, attempt: int) -> Q:
    """From the start of an attempt to the start of the next one."""
    starts = ExecutionLog.objects.filter(execution=execution, node=node, event="node.running").order_by("seq")
    begun = None
    for start in starts.only("seq", "data"):
        if begun is not None:
            return Q(seq__gte=begun, seq__lt=start.seq)
        if (start.data or {}).get("attempt") == attempt:
            begun = start.seq
    return Q(pk__in=()) if begun is None else Q(seq__gte=begun)


def _lines(row: ExecutionLog) -> str:
    head = f"{jsontext.rfc3339(row.at)} {row.seq:>6} {row.level.upper():<7} {row.node or '-'} {row.message}\n"
    traceback = (row.data or {}).get("traceback")
    if not isinstance(traceback, str) or not traceback:
        return head
    return head + "".join(f"    {line}\n" for line in traceback.splitlines())
