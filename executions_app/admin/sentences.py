"""What a node's record says in numbers and names, in sentences for people."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.agents.limits import limits_of
from workflows_app.dag.types import NodeType
from workflows_app.templatetags.pastetrader import duration
from workflows_app.wording import reason_word


def with_sentences(node: dict[str, Any]) -> dict[str, Any]:
    """A node as `inspection_json` gives it, with what is made of it: `told` of its retries, of what followed of it, of
    each attempt (empty while it is under way) and of each call of those; `usage` and, of agents, `budget` as text.
    """
    retry = node["retry"]
    return {
        **node,
        "usage": usage_text(node.get("usage")),
        "budget": _budget_of(node),
        "retry": retry and {**retry, "told": _retries(retry)},
        "downstream": [{**part, "told": _effect(part)} for part in node["downstream"]],
        "attempts": [
            {
                **attempt,
                "told": _steps(attempt["measures"]),
                "calls": [{**call, "told": _call(call)} for call in attempt.get("calls") or ()],
            }
            for attempt in node["attempts"]
        ],
    }


def usage_text(usage: Mapping[str, Any] | None) -> str:
    """What requests to models took, in one line; empty where nothing was asked."""
    if usage is None:
        return ""
    return " · ".join([_requests(usage["requests"]), *_spent(usage)])


def budget_text(most_requests: int | None, most_tokens: int | None, most_cost: Decimal | int | None) -> str:
    """What may be taken, in one line; empty where nothing is bounded."""
    told = [
        None if most_requests is None else _requests(most_requests),
        None if most_tokens is None else _("%(count)s tokens") % {"count": _grouped(most_tokens)},
        None if most_cost is None else _("cost %(cost)s") % {"cost": _grouped(most_cost)},
    ]
    return " · ".join(filter(None, told))


def _budget_of(node: Mapping[str, Any]) -> str:
    if node["type"] != NodeType.AGENT:
        return ""
    configuration: Mapping[str, Any] = node["configuration"] or {}
    limits = limits_of(configuration.get("limits"))
    return budget_text(limits.max_requests, limits.max_tokens, limits.max_cost)


def _requests(count: int) -> str:
    return ngettext("%(count)s request", "%(count)s requests", count) % {"count": _grouped(count)}


def _spent(usage: Mapping[str, Any]) -> list[str]:
    told: list[str] = []
    if usage["input_tokens"] or usage["output_tokens"]:
        told.append(
            _("tokens: %(input)s in, %(output)s out")
            % {"input": _grouped(usage["input_tokens"]), "output": _grouped(usage["output_tokens"])}
        )
    if usage["cost"] is not None:
        told.append(_("cost %(cost)s") % {"cost": _grouped(usage["cost"])})
    return told


def _grouped(number: Decimal | int) -> str:
    """With all its digits, and none that says nothing."""
    plain = f"{number.normalize():f}" if isinstance(number, Decimal) else str(number)
    return number_format(plain, force_grouping=True)


def _call(call: Mapping[str, Any]) -> str:
    reserved = call.get("reserved") if call["outcome"] == "started" else None
    told = [_("reserved: %(what)s") % {"what": ", ".join(_spent(reserved))}] if reserved else []
    return " · ".join([*told, *_spent(call["usage"]), *filter(None, [duration(call["duration_ms"])])])


def _steps(measures: Mapping[str, Any] | None) -> str:
    if measures is None:
        return ""
    told = [
        (_("input prepared in %s"), duration(measures["pre_process_ms"])),
        (_("work %s"), duration(measures["process_ms"])),
        (_("output checked in %s"), duration(measures["post_process_ms"])),
        (_("%s in"), "" if measures["bytes_in"] is None else filesizeformat(measures["bytes_in"])),
        (_("%s out"), "" if measures["bytes_out"] is None else filesizeformat(measures["bytes_out"])),
    ]
    return " · ".join(text % value for text, value in told if value)


def _retries(retry: Mapping[str, Any]) -> list[str]:
    told = [_("%(used)s of %(most)s retries used.") % {"used": retry["used"], "most": retry["max_retries"]}]
    if retry["due_at"] is not None:
        at = timezone.localtime(retry["due_at"]).strftime("%H:%M:%S")
        told.append(_("The next attempt begins at %(at)s.") % {"at": at})
    waits = ", ".join(duration(wait * 1000) for wait in retry["waits"])
    told.append(_("Waits before the retries: %(waits)s.") % {"waits": waits})
    if retry["jitter"]:
        told.append(_("Each wait is shortened at random (%(jitter)s).") % {"jitter": retry["jitter"]})
    return told


def _effect(part: Mapping[str, Any]) -> str:
    named = {"count": part["count"], "why": reason_word(part["reason"])}
    if part["status"] == "skipped":
        return _("Nodes skipped because of this node: %(count)s (%(why)s).") % named
    return _("Nodes cancelled because of this node: %(count)s (%(why)s).") % named
