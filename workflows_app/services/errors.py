"""Why a use case on definitions was refused."""

from collections.abc import Sequence

from workflows_app.dag.problems import Problem


class DefinitionError(Exception):
    """Base of the refusals. Do not raise it directly."""


class InvalidDefinition(DefinitionError):
    """Raised when a document has problems that block it; `problems` are all of them, warnings included."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.is_error]
        counted = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        super().__init__(f"The definition has {counted}: {'; '.join(str(error) for error in errors)}")
        self.problems = list(problems)


class WorkflowNotFoundError(DefinitionError):
    """Raised when no workflow answers to a name or id."""

    def __init__(self, name: object) -> None:
        super().__init__(f"There is no workflow '{name}'. Import a document with this name first.")


class AmbiguousName(DefinitionError):
    """Raised when several owners have a workflow of that name."""

    def __init__(self, name: str, owners: Sequence[str]) -> None:
        choices = ", ".join(f"{owner}/{name}" for owner in owners)
        super().__init__(f"Several owners have a workflow '{name}': say which one, {choices}.")
