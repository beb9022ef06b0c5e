"""Why a use case on runs was refused, in the language of whoever asked; commands and engines speak English."""

from collections.abc import Sequence
from typing import ClassVar

from django.utils.translation import gettext as _

from workflows_app.wording import status_word


class RunError(Exception):
    """Base of the refusals. Do not raise it directly."""

    code: ClassVar[str] = "refused"


class InvalidInput(RunError):
    """Raised when an input misses the workflow's `input_schema`; `problems` are pairs of field and sentence."""

    code: ClassVar[str] = "invalid_input"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        sentences = "; ".join(f"{field or _('the input')}: {sentence}" for field, sentence in problems)
        super().__init__(
            _("The input does not fit the workflow's input_schema: %(problems)s") % {"problems": sentences}
        )
        self.problems = list(problems)


class NeedsInput(RunError):
    """Raised when a workflow is to be started without input, and requires some that has no default."""

    code: ClassVar[str] = "needs_input"

    def __init__(self, names: Sequence[str]) -> None:
        fields = ", ".join(f"'{name}'" for name in names)
        super().__init__(
            _("It needs input that has no default: fill in %(fields)s on its run page.") % {"fields": fields}
        )


class AlreadyRunning(RunError):
    """Raised when a workflow that forbids concurrent runs has one."""

    code: ClassVar[str] = "already_running"

    def __init__(self, name: str, execution_id: object) -> None:
        super().__init__(
            _(
                "Workflow '%(name)s' allows one execution at a time, and %(execution)s has not ended: "
                "wait for it or cancel it."
            )
            % {"name": name, "execution": execution_id}
        )


class ConcurrencyLimit(RunError):
    """Raised when a run is not to be accepted while so many with its key have not ended."""

    code: ClassVar[str] = "concurrency_limit"

    def __init__(self, limit: int, key: str, execution_id: object) -> None:
        of_key = _(" with the key '%(key)s'") % {"key": key} if key else ""
        super().__init__(
            _(
                "%(limit)s executions%(of_key)s at a time are the most that this workflow allows, it skips more: "
                "wait for the end of %(execution)s, or cancel it."
            )
            % {"limit": limit, "of_key": of_key, "execution": execution_id}
        )


class TooManyPending(RunError):
    """Raised when a user has so many executions waiting that no more are accepted."""

    code: ClassVar[str] = "too_many_pending"
    # Seconds after which it is worth another try; how fast the queue moves nobody knows.
    retry_after: ClassVar[int] = 10

    def __init__(self, limit: int) -> None:
        super().__init__(
            _(
                "%(limit)s executions of yours wait already, which is the most that may: nothing was accepted. "
                "Wait until some of them have started, or cancel some."
            )
            % {"limit": limit}
        )


class InactiveWorkflow(RunError):
    """Raised when a workflow that was switched off is to be started."""

    code: ClassVar[str] = "inactive_workflow"

    def __init__(self, name: str) -> None:
        super().__init__(_("Workflow '%(name)s' is not active: activate it before you run it.") % {"name": name})


class IdempotencyConflict(RunError):
    """Raised when an idempotency key comes back with another request."""

    code: ClassVar[str] = "idempotency_conflict"

    def __init__(self, key: str) -> None:
        super().__init__(
            _("The idempotency key '%(key)s' was used with another request: send the same one, or a new key.")
            % {"key": key}
        )


class ExecutionNotFound(RunError):
    """Raised when no execution has an id."""

    code: ClassVar[str] = "not_found"

    def __init__(self, execution_id: object) -> None:
        super().__init__(
            _("There is no execution '%(execution)s'. `list_executions` shows the latest.")
            % {"execution": execution_id}
        )


class NodeNotFound(RunError):
    """Raised when an execution has no node of a key."""

    code: ClassVar[str] = "not_found"

    def __init__(self, key: str) -> None:
        super().__init__(_("The execution has no node '%(key)s'.") % {"key": key})


class AlreadyFinished(RunError):
    """Raised when something is asked of an execution that has ended."""

    code: ClassVar[str] = "already_finished"

    def __init__(self, execution_id: object, status: str) -> None:
        super().__init__(
            _("Execution %(execution)s has already ended: it is %(status)s.")
            % {"execution": execution_id, "status": status_word(status)}
        )


class NotFinished(RunError):
    """Raised when an execution that has not ended is to be run again."""

    code: ClassVar[str] = "not_finished"

    def __init__(self, execution_id: object, status: str) -> None:
        super().__init__(
            _("Execution %(execution)s is %(status)s: wait for its end, or cancel it, before you run it again.")
            % {"execution": execution_id, "status": status_word(status)}
        )


class NothingFailed(RunError):
    """Raised when an execution is to be run again from its failures, and has none."""

    code: ClassVar[str] = "nothing_failed"

    def __init__(self, execution_id: object) -> None:
        super().__init__(
            _("Execution %(execution)s completed, there is no failure to go on from: run it from the start.")
            % {"execution": execution_id}
        )


class NotAbandoned(RunError):
    """Raised when a run is to be taken from an engine that may be alive, or has none to be taken from."""

    code: ClassVar[str] = "not_abandoned"

    def __init__(self, execution_id: object, status: str, owner: str) -> None:
        if status == "running":
            why = f"{owner} has it, and its lease has not run out: wait, or stop that engine"
        elif status == "pending":
            why = "it waits for an engine: `run_worker` takes it"
        else:
            why = f"it has ended and is {status}"
        super().__init__(f"Execution {execution_id} is not abandoned: {why}.")
