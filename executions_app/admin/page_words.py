"""The words of the page's scripts, in the language of whoever looks: scripts have none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from workflows_app.wording import NODE_TYPE_WORDS, REASON_WORDS, STATUS_WORDS

if TYPE_CHECKING:
    from django.utils.functional import Promise

_OUTCOMES: dict[str, Promise] = {
    "started": _("under way"),
    "succeeded": _("succeeded"),
    "failed": _("failed"),
    "timed_out": _("timed out"),
    "cancelled": _("cancelled"),
    "abandoned": _("let go, outcome unknown"),
    "refused": _("refused"),
}

_CALLS: dict[str, Promise] = {
    "model": _("Model"),
    "tool": _("Tool"),
}

_EDGES: dict[str, Promise] = {
    "open": _("not decided yet"),
    "taken": _("taken"),
    "refused": _("not taken"),
    "broken": _("not taken, its source failed"),
    "dead": _("not reached"),
}

_PAGE: dict[str, Promise] = {
    "milliseconds": _("%(number)s ms"),
    "seconds": _("%(number)s s"),
    "minutes": _("%(minutes)s m %(seconds)s s"),
    "hours": _("%(hours)s h %(minutes)s m"),
    "live": _("live"),
    "connecting": _("connecting"),
    "polling": _("looking every few seconds"),
    "ended": _("final"),
    "refused": _("no longer updated"),
    "refused_4401": _("Your session has ended: log in again, then reload this page."),
    "refused_4403": _("You may no longer watch this execution."),
    "refused_4404": _("This execution does not exist any more."),
    "failed_request": _("The server did not answer as expected. It is asked again."),
    "cancelling": _("cancelling"),
    "progress": _("%(done)s of %(total)s nodes have ended, %(failed)s failed."),
    "now": _("The execution is %(status)s."),
    "node_label": _("%(name)s, %(type)s, %(status)s"),
    "graph": _("Graph of the execution. Arrow keys move between nodes, Enter opens one."),
    "minimap": _("Overview"),
    "too_many": _("The graph has %(count)s nodes; up to %(most)s are drawn. Timeline, table and log show all."),
    "edge": _("%(from)s to %(to)s: %(state)s"),
    "otherwise": _("otherwise"),
    "on_error": _("on error"),
    "nothing_found": _("Nothing fits."),
    "no_failure": _("No node has failed."),
    "not_found": _("No node is called so."),
    "rows": _("%(shown)s of %(total)s nodes"),
    "attempt": _("Attempt %(number)s"),
    "waits": _("waits for attempt %(number)s"),
    "close": _("Close"),
    "copied": _("Copied."),
    "copy_path": _("Copy the path %(path)s"),
    "more": _("%(count)s more"),
    "no_value": _("nothing"),
    "copy": _("Copy as JSON"),
    "empty_object": _("empty object"),
    "empty_list": _("empty list"),
    "items": _("%(count)s items"),
    "keys": _("%(count)s keys"),
    "overview": _("Overview"),
    "why": _("Why"),
    "level": _("Level"),
    "started": _("Started"),
    "duration": _("Duration"),
    "error": _("Error"),
    "traceback": _("Traceback"),
    "attempts": _("Attempts"),
    "text": _("Text"),
    "usage": _("Usage"),
    "budget": _("Budget"),
    "calls": _("Calls of the attempt"),
    "arguments": _("Arguments"),
    "result": _("Result"),
    "input": _("Input"),
    "output": _("Output"),
    "configuration": _("Configuration"),
    "decision": _("What was decided"),
    "retries": _("Retries"),
    "downstream": _("What followed"),
    "cause": _("It began at %(node)s."),
    "before": _("Comes after"),
    "after": _("Leads to"),
    "show_log": _("Show its log"),
    "show_graph": _("Show in the graph"),
    "not_started": _("It has not started."),
    "earlier": _("Earlier entries"),
    "link": _("Link to entry %(seq)s"),
    "entries_end": _("No entries fit."),
    "seq": _("No."),
}


def page_words() -> dict[str, dict[str, str]]:
    groups = {
        "status": STATUS_WORDS,
        "reason": REASON_WORDS,
        "type": NODE_TYPE_WORDS,
        "outcome": _OUTCOMES,
        "call": _CALLS,
        "edge": _EDGES,
        "page": _PAGE,
    }
    return {group: {key: str(word) for key, word in words.items()} for group, words in groups.items()}
