"""Why a use case on runs was refused."""

from collections.abc import Sequence
from typing import ClassVar


class RunError(Exception):
    """Base of the refusals. Do not raise it directly."""

    code: ClassVar[str] = "refused"


class InvalidInput(RunError):
    """Raised when an input misses the workflow's `input_schema`; `problems` are pairs of field and sentence."""

    code: ClassVar[str] = "invalid_input"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        sentences = "; ".join(f"{field or 'the input'}: {sentence}" for field, sentence in problems)
        super().__init__(f"The input does not fit the workflow's input_schema: {sentences}")
        self.problems = list(problems)


class NeedsInput(RunError):
    """Raised when a workflow is to be started without input, and requires some that has no default."""

    code: ClassVar[str] = "needs_input"

    def __init__(self, names: Sequence[str]) -> None:
        fields = ", ".join(f"'{name}'" for name in names)
        super().__init__(f"It needs input that has no default: fill in {fields} on its run page.")


class AlreadyRunning(RunError):
    """Raised when a workflow that forbids concurrent runs has one."""

    code: ClassVar[str] = "already_running"

    def __init__(self, name: str, execution_id: object) -> None:
        super().__init__(
            f"Workflow '{name}' allows one execution at a time, and {execution_id} has not ended: "
            "wait for it or cancel it."
        )


class TooManyPending(RunError):
    """Raised when a user has so many executions waiting that no more are accepted."""

    code: ClassVar[str] = "too_many_pending"
    # Seconds after which it is worth another try; how fast the queue moves nobody knows.
    retry_after: ClassVar[int] = 10

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} executions of yours wait already, which is the most that may: nothing was accepted. "
            "Wait until some of them have started, or cancel some."
        )


class InactiveWorkflow(RunError):
    """Raised when a workflow that was switched off is to be started."""

    code: ClassVar[str] = "inactive_workflow"

    def __init__(self, name: str) -> None:
        super().__init__(f"Workflow '{name}' is not active: activate it before you run it.")


class IdempotencyConflict(RunError):
    """Raised when an idempotency key comes back with another request."""

    code: ClassVar[str] = "idempotency_conflict"

    def __init__(self, key: str) -> None:
        super().__init__(f"The idempotency key '{key}' was used with another request: send the same one, or a new key.")


class ExecutionNotFound(RunError):
    """Raised when no execution has an id."""

    code: ClassVar[str] = "not_found"

    def __init__(self, execution_id: object) -> None:
        super().__init__(f"There is no execution '{execution_id}'. `list_executions` shows the latest.")


class NodeNotFound(RunError):
    """Raised when an execution has no node of a key."""

    code: ClassVar[str] = "not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"The execution has no node '{key}'.")


class AlreadyFinished(RunError):
    """Raised when something is asked of an execution that has ended."""

    code: ClassVar[str] = "already_finished"

    def __init__(self, execution_id: object, status: str) -> None:
        super().__init__(f"Execution {execution_id} has already ended: it is {status}.")


class NotFinished(RunError):
    """Raised when an execution that has not ended is to be run again."""

    code: ClassVar[str] = "not_finished"

    def __init__(self, execution_id: object, status: str) -> None:
        super().__init__(
            f"Execution {execution_id} is {status}: wait for its end, or cancel it, before you run it again."
        )


class NothingFailed(RunError):
    """Raised when an execution is to be run again from its failures, and has none."""

    code: ClassVar[str] = "nothing_failed"

    def __init__(self, execution_id: object) -> None:
        super().__init__(
            f"Execution {execution_id} completed, there is no failure to go on from: run it from the start."
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
