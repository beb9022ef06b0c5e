"""What can be done with several executions at once: each is confirmed first, and answered with what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.forms import BooleanField, HiddenInput
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from executions_app.listing import chosen_executions
from executions_app.models import WorkflowExecution
from executions_app.services.rerun import From
from executions_app.services.several import Outcome, cancel_each, cancel_refusals, rerun_each, rerun_refusals
from workflows_app.admin.base import AuditedAdmin

if TYPE_CHECKING:
    import uuid

    from django.contrib.auth.models import User
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse


class ChosenActionForm(ActionForm):
    """Only rows that were ticked: nobody counts all that a filter finds, so nobody can mean them."""

    select_across = BooleanField(label="", required=False, disabled=True, initial=False, widget=HiddenInput())


class ExecutionActions(AuditedAdmin[WorkflowExecution]):
    """Cancel and run again, through the services, which ask for the right to each execution.

    A user needs the model's permission to change executions for the one, to add executions for the other.
    """

    action_form = ChosenActionForm
    actions = ("cancel_selected", "rerun_from_start", "rerun_from_failure")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return cast("User", request.user).has_perm("executions_app.change_workflowexecution")

    def has_rerun_permission(self, request: HttpRequest) -> bool:
        return cast("User", request.user).has_perm("executions_app.add_workflowexecution")

    @admin.action(description=gettext_lazy("Cancel selected executions"), permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, selected: QuerySet[WorkflowExecution]) -> HttpResponse | None:
        user, chosen = cast("User", request.user), chosen_executions(selected)
        if "confirmed" not in request.POST:
            texts = {"title": _("Cancel executions"), "button": _("Yes, cancel them"), "asks_why": True}
            return self._ask(request, "cancel_selected", chosen, cancel_refusals(chosen, user), _will_cancel, texts)
        why = request.POST.get("why", "").strip()[:200]
        outcome = cancel_each([execution.id for execution in chosen], user, why=why)
        head = ngettext(
            "%(done)s of %(asked)s execution is being cancelled",
            "%(done)s of %(asked)s executions are being cancelled",
            outcome.asked,
        )
        self._tell(request, head, outcome)
        return None

    @admin.action(description=gettext_lazy("Run again from the start"), permissions=["rerun"])
    def rerun_from_start(self, request: HttpRequest, selected: QuerySet[WorkflowExecution]) -> HttpResponse | None:
        return self._rerun(request, "rerun_from_start", selected, From.START)

    @admin.action(description=gettext_lazy("Run again from the failure"), permissions=["rerun"])
    def rerun_from_failure(self, request: HttpRequest, selected: QuerySet[WorkflowExecution]) -> HttpResponse | None:
        return self._rerun(request, "rerun_from_failure", selected, From.FAILED)

    def _rerun(
        self, request: HttpRequest, action: str, selected: QuerySet[WorkflowExecution], begin: From
    ) -> HttpResponse | None:
        user, chosen = cast("User", request.user), chosen_executions(selected)
        if "confirmed" not in request.POST:
            is_start = begin is From.START
            title = _("Run again from the start") if is_start else _("Run again from the failure")
            texts = {"title": title, "button": _("Yes, run them again")}
            refused = rerun_refusals(chosen, user, begin)
            return self._ask(request, action, chosen, refused, _will_restart if is_start else _will_go_on, texts)
        # The oldest first, as they were accepted.
        outcome = rerun_each([execution.id for execution in reversed(chosen)], user, begin)
        head = ngettext(
            "%(done)s of %(asked)s execution runs again",
            "%(done)s of %(asked)s executions run again",
            outcome.asked,
        )
        self._tell(request, head, outcome)
        return None

    def _ask(
        self,
        request: HttpRequest,
        action: str,
        chosen: Sequence[WorkflowExecution],
        refused: Mapping[uuid.UUID, str],
        sentence: Callable[[int], str],
        texts: Mapping[str, object],
    ) -> HttpResponse:
        """The page that says what will be done, and why not all of it."""
        will = [execution for execution in chosen if execution.id not in refused]
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            **texts,
            "opts": self.opts,
            "action": action,
            "chosen": chosen,
            "will": will,
            "sentence": sentence(len(will)) if will else _("There is nothing to do."),
            "refusals": [why_not(code, count) for code, count in Counter(refused.values()).items()],
        }
        return TemplateResponse(request, "executions_app/confirmation.html", context)

    def _tell(self, request: HttpRequest, head: str, outcome: Outcome) -> None:
        counted = head % {"done": len(outcome.done), "asked": outcome.asked}
        sentence = "; ".join([counted, *(why_not(code, count) for code, count in outcome.refused.items())])
        level = messages.SUCCESS if not outcome.refused else messages.WARNING if outcome.done else messages.ERROR
        self.message_user(request, f"{sentence}.", level)


def _will_cancel(count: int) -> str:
    return ngettext(
        "%(count)s execution will be cancelled: what runs in it is told to end, what waits does not begin.",
        "%(count)s executions will be cancelled: what runs in them is told to end, what waits does not begin.",
        count,
    ) % {"count": count}


def _will_restart(count: int) -> str:
    return ngettext(
        "%(count)s new execution will start, with the same snapshot and input.",
        "%(count)s new executions will start, with the same snapshots and inputs.",
        count,
    ) % {"count": count}


def _will_go_on(count: int) -> str:
    return ngettext(
        "%(count)s new execution will start: what ended well before the failure is kept, the rest runs again.",
        "%(count)s new executions will start: what ended well before the failures is kept, the rest runs again.",
        count,
    ) % {"count": count}


def why_not(code: str, count: int) -> str:
    """A part of a sentence: so many were refused with this code of `services.errors`."""
    match code:
        case "already_finished":
            words = ngettext("%(count)s had ended already", "%(count)s had ended already", count)
        case "not_finished":
            words = ngettext("%(count)s has not ended yet", "%(count)s have not ended yet", count)
        case "nothing_failed":
            words = ngettext(
                "%(count)s completed and has no failure to go on from",
                "%(count)s completed and have no failure to go on from",
                count,
            )
        case "inactive_workflow":
            words = ngettext(
                "%(count)s is of a workflow that is not active", "%(count)s are of workflows that are not active", count
            )
        case "already_running":
            words = ngettext(
                "%(count)s is of a workflow that allows one execution at a time and has one",
                "%(count)s are of workflows that allow one execution at a time and have one",
                count,
            )
        case "too_many_pending":
            words = ngettext(
                "%(count)s was not accepted, because too many executions of yours wait already",
                "%(count)s were not accepted, because too many executions of yours wait already",
                count,
            )
        case "forbidden":
            words = ngettext(
                "for %(count)s your role does not allow it", "for %(count)s your role does not allow it", count
            )
        case _:
            words = ngettext("%(count)s was refused", "%(count)s were refused", count)
    return words % {"count": count}
