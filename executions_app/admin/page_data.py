"""What the page of an execution shows before its scripts run, and the words that they use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

from executions_app.admin.filters import trigger_word
from executions_app.admin.page_words import page_words
from executions_app.admin.sentences import budget_text, usage_text
from executions_app.conf import execution_settings
from executions_app.engine.budget import caps_of_budget, strictest
from executions_app.engine.states import ExecutionStatus
from executions_app.journals import Search, search
from executions_app.pictures import counts_of, plan_of_execution, table_of
from executions_app.queries import LEVELS, reruns_of
from executions_app.spans import duration_ms
from executions_app.usage import usage_of_execution
from workflows_app.agents.calls import amount
from workflows_app.dag import jsontext
from workflows_app.dag.types import NodeType
from workflows_app.models.access import Verb, can
from workflows_app.wording import NODE_TYPE_WORDS, STATUS_WORDS, reason_word, scheduling_word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from executions_app.models import WorkflowExecution
    from workflows_app.models.access import Account

# Without scripts: so many nodes, entries, and characters of data; with them there is everything.
MOST_ROWS = 1000
_ENTRIES = 50
_CHARACTERS = 20_000
_MOST_RERUNS = 10
# What is due so soon after it was accepted was to start at once: two clocks have a part in it.
_AT_ONCE = timedelta(minutes=1)


def page_context(execution: WorkflowExecution, user: Account) -> dict[str, Any]:
    counts = counts_of(execution)
    rows = table_of(execution, MOST_ROWS)
    verbs = {verb for verb in (Verb.RUN, Verb.CANCEL) if can(user, verb, execution)}
    reruns = reruns_of(execution)
    return {
        "title": execution.version.name,
        "execution": execution,
        "short_id": str(execution.pk)[-8:],
        "workflow_url": _workflow_url(execution),
        "trigger": trigger_word(execution.trigger_type),
        "scheduling": scheduling_word(execution.scheduling),
        "due_at": execution.due_at if execution.due_at > execution.created_at + _AT_ONCE else None,
        "key": execution.concurrency_key.partition(":")[2],
        "reason": reason_word(execution.reason),
        "elapsed_ms": duration_ms(execution.started_at, execution.ended_at),
        "usage": usage_of(execution),
        "budget": _budget_of(execution),
        "total": sum(counts.values()),
        "counts": [(status, counts[status]) for status in STATUS_WORDS if counts.get(status)],
        "rows": rows,
        "left_out": sum(counts.values()) - len(rows),
        "entries": search(execution, Search(), _ENTRIES).items,
        "levels": LEVELS,
        "statuses": STATUS_WORDS,
        "input_text": _text(execution.input),
        "output_text": _text(execution.output),
        "rerun_of": "" if execution.rerun_of_id is None else str(execution.rerun_of_id),
        "reruns": reruns[-_MOST_RERUNS:],
        "can_cancel": Verb.CANCEL in verbs and not execution.is_finished,
        "can_rerun": Verb.RUN in verbs,
        "can_rerun_failed": execution.status != ExecutionStatus.COMPLETED,
        "is_cancelling": execution.cancel_requested_at is not None and not execution.is_finished,
        "words": page_words(),
        "sprite": static("workflows_app/icons.svg"),
        "types": NODE_TYPE_WORDS,
    }


def usage_of(execution: WorkflowExecution) -> str:
    """What its agents took, for people; empty where there are none."""
    return usage_text(usage_of_execution(execution))


def search_of(given: Mapping[str, str]) -> Search:
    """What is wanted of the log; what makes no sense is as if it were not there."""
    level = given.get("level", "")
    return Search(
        level=level if level in LEVELS else LEVELS[0],
        node=given.get("node", "").replace("\0", ""),
        attempt=number_of(given.get("attempt")),
        text=given.get("search", "").replace("\0", "")[:200],
        after=number_of(given.get("after")),
        before=number_of(given.get("before")),
    )


def number_of(text: str | None) -> int | None:
    """A whole number that columns have; None for all else."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else None


def _budget_of(execution: WorkflowExecution) -> str:
    """What its agents may take together by its document and by the settings; empty where there are none."""
    plan = plan_of_execution(execution)
    if not any(node.type is NodeType.AGENT for node in plan.nodes):
        return ""
    caps = strictest(caps_of_budget(plan.settings.budget), execution_settings().limits.agent_budget)
    return budget_text(caps.max_requests, caps.max_tokens, amount(caps.max_cost))


def _workflow_url(execution: WorkflowExecution) -> str:
    """The workflow's page; empty where it is gone, or this site does not show it."""
    if execution.workflow_id is None:
        return ""
    try:
        return reverse("admin:workflows_app_workflow_change", args=[execution.workflow_id])
    except NoReverseMatch:
        return ""


def _text(value: Any) -> str:
    text = jsontext.pretty(value)
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} ..."
