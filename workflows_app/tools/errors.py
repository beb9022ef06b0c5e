"""What can go wrong inside a node and in the definition of a tool. `code` is for machines."""

import math
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import ClassVar, Self

from workflows_app.dag.wording import listed, quoted


class NodeError(Exception):
    """Base of the failures that a processor or a tool reports on purpose. Do not raise it directly.

    Its kinds: `NodeValidationError` (what goes in or comes out), `NodeConfigurationError`, `NodeTimeoutError` of the
    engine, `NodeExecutionError` (the work).
    """

    code: ClassVar[str] = "node_error"
    # Whether a retry policy may try again at all.
    retryable: ClassVar[bool] = True
    # It broke off work that may have had its effect: nothing that must not happen twice is tried again.
    outcome_unknown: bool = False


class NodeExecutionError(NodeError):
    """Base of failures of the work itself: the node was well configured and its data in order."""


class Permanent(NodeExecutionError):
    """Raised by a tool for a failure that no repetition mends: an order that was refused, an account that is closed."""

    code: ClassVar[str] = "permanent"
    retryable: ClassVar[bool] = False


class Retryable(NodeExecutionError):
    """Raised by a tool for a failure that may pass, with the seconds that the other side asked to wait.

    The node's retry policy decides whether there is another attempt; it comes no sooner than after `retry_after`.
    """

    code: ClassVar[str] = "retryable"

    def __init__(self, message: str, *, retry_after: float | Decimal | None = None) -> None:
        super().__init__(message)
        if retry_after is not None and not 0 <= retry_after < math.inf:
            raise ValueError(f"retry_after is {retry_after}: give the seconds to wait, 0 or more, or leave it out.")
        self.retry_after: float | None = None if retry_after is None else float(retry_after)


class NodeValidationError(NodeError):
    """Raised when the data that reaches or leaves a node does not have the declared shape."""

    retryable: ClassVar[bool] = False


class NodeInputError(NodeValidationError):
    """Raised when a node cannot work on what it gets: a tool on its inputs, an aggregator on its outputs."""

    code: ClassVar[str] = "invalid_input"


class NodeOutputError(NodeValidationError):
    """Raised when a node returns something that is not JSON, or that does not fit its `output_schema`."""

    code: ClassVar[str] = "invalid_output"

    @classmethod
    def not_json(cls, node: str, error: Exception) -> Self:
        return cls(f"The output of node '{node}' is not JSON: {error}")

    @classmethod
    def too_long(cls, node: str, limit: int) -> Self:
        return cls(
            f"The output of node '{node}' has more than {limit} bytes, the limit for one output. "
            + "Return a reference to the data instead."
        )


class NodeConfigurationError(NodeError):
    """Raised when a node cannot work as it is configured, whatever data it gets."""

    code: ClassVar[str] = "configuration"
    retryable: ClassVar[bool] = False


class UnknownTool(NodeConfigurationError):
    """Raised when no tool has the name that is asked for."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        near = get_close_matches(name[:100], list(known), n=3)
        hint = f" Did you mean {listed(map(quoted, near))}?" if near else " Install the app that registers it."
        super().__init__(f"There is no tool {quoted(name)}.{hint}")


class MissingPackage(NodeConfigurationError):
    """Raised when a tool needs a package that comes with an optional extra."""

    def __init__(self, tool: str, package: str, extra: str) -> None:
        super().__init__(
            f"Tool '{tool}' needs {package}, which is not installed. "
            + f"Install the extra `{extra}`: `uv sync --extra {extra}`."
        )


class ToolFailed(NodeExecutionError):
    """Raised by `core.fail`, which does nothing else."""


class ToolDefinitionError(Exception):
    """Raised when a function cannot be a tool as it is declared. The message says what to change."""


class DuplicateTool(ToolDefinitionError):
    """Raised when a second function takes the name of a registered tool."""

    def __init__(self, name: str, registered: str, refused: str) -> None:
        super().__init__(
            f"The tool '{name}' is {registered} already: give {refused} another name, or remove one of the two."
        )


def kind_of(value: object) -> str:
    """What sort of JSON value this is. Messages say it instead of the value, which may be a secret."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal() | float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return f"a value of type {type(value).__name__}"


class AttemptEnded(Exception):
    """Raised by `ToolContext.heartbeat` and `progress` in code that goes on after its attempt has ended."""

    def __init__(self, node: str) -> None:
        super().__init__(f"The attempt of node '{node}' has ended: whatever this code returns is refused.")
