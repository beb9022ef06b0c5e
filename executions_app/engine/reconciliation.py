"""Asking a tool what became of an attempt whose outcome nobody heard, within the bounds of an attempt."""

import msgspec

from executions_app.engine.attempt import Attempt, Failed, Outcome, Succeeded
from workflows_app.processors.base import NodeCall, Prepared, Reconciler
from workflows_app.tools.reconciling import Done, NotDone, Unknown, Verdict

_WORDS = {Done: "done", NotDone: "not done", Unknown: "unknown"}


async def ask(processor: Reconciler, call: NodeCall, prepared: Prepared, attempt: Attempt) -> Verdict:
    """The verdict; `Unknown` where the tool raised, took too long or was cancelled. An output is JSON text here.

    `attempt` runs the asking, `call.attempt` is what is asked about.
    """
    verdicts: list[Verdict] = []

    async def reconcile() -> object:
        verdict = await processor.reconcile(call, prepared)
        verdicts.append(verdict)
        return verdict.output if isinstance(verdict, Done) else None

    outcome = await attempt.run(reconcile(), deadline=call.attempt.deadline)
    verdict: Verdict = Unknown()
    if isinstance(outcome, Failed):
        verdict = Unknown(f"The tool could not tell what became of it: {outcome.error.message}")
    elif isinstance(outcome, Succeeded):
        (verdict,) = verdicts
        verdict = Done(outcome.output) if isinstance(verdict, Done) else verdict
    call.attempt.log(
        f"The tool was asked what became of attempt {call.attempt.attempt_id}: {_WORDS[type(verdict)]}.", "warning"
    )
    return verdict


def outcome_after(failed: Failed, verdict: Verdict) -> Outcome:
    """What an attempt that ran out of time came to, now that its tool was asked."""
    match verdict:
        case Done(output):
            assert isinstance(output, str)
            return Succeeded(output, found_done=True)
        case NotDone():
            assert failed.if_not_done is not None
            return msgspec.structs.replace(failed, error=failed.if_not_done)
        case Unknown(why):
            error = msgspec.structs.replace(failed.error, message=f"{failed.error.message} {why}".rstrip())
            return msgspec.structs.replace(failed, error=error)
