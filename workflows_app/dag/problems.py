"""What can be wrong with a workflow, as data: every finding of the validator is a `Problem`."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import override


class ProblemCode(StrEnum):
    INVALID_DOCUMENT = "INVALID_DOCUMENT"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    NO_NODES = "NO_NODES"
    DUPLICATE_KEY = "DUPLICATE_KEY"
    INVALID_KEY = "INVALID_KEY"
    NO_TRIGGER = "NO_TRIGGER"
    TRIGGER_HAS_INPUT = "TRIGGER_HAS_INPUT"
    NODE_NOT_FOUND = "NODE_NOT_FOUND"
    SELF_LOOP = "SELF_LOOP"
    DUPLICATE_EDGE = "DUPLICATE_EDGE"
    CYCLE_DETECTED = "CYCLE_DETECTED"
    ISOLATED_NODE = "ISOLATED_NODE"
    UNREACHABLE_NODE = "UNREACHABLE_NODE"
    TWO_DEFAULTS = "TWO_DEFAULTS"
    INVALID_CONFIG = "INVALID_CONFIG"
    INVALID_EXPRESSION = "INVALID_EXPRESSION"
    UNKNOWN_REFERENCE = "UNKNOWN_REFERENCE"
    NOT_AN_ANCESTOR = "NOT_AN_ANCESTOR"
    UNKNOWN_VARIABLE = "UNKNOWN_VARIABLE"
    UNKNOWN_TOOL = "UNKNOWN_TOOL"
    INACTIVE_TOOL = "INACTIVE_TOOL"
    INVALID_HANDLE = "INVALID_HANDLE"
    # The rest are warnings: they do not block.
    DEAD_END_CONDITION = "DEAD_END_CONDITION"
    REFERENCE_MAY_BE_SKIPPED = "REFERENCE_MAY_BE_SKIPPED"
    SCHEMA_MISMATCH = "SCHEMA_MISMATCH"
    RETRY_OF_AT_MOST_ONCE = "RETRY_OF_AT_MOST_ONCE"


WARNINGS = frozenset(
    {
        ProblemCode.DEAD_END_CONDITION,
        ProblemCode.REFERENCE_MAY_BE_SKIPPED,
        ProblemCode.SCHEMA_MISMATCH,
        ProblemCode.RETRY_OF_AT_MOST_ONCE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding: what is wrong, where, and what to do about it.

    `node` is a node key, `edge` reads `from -> to`, `field` is a dotted path below the node, the edge
    or the document (`retry.max_retries`, `settings.scheduling`), `line` counts from 1 in the source text.
    """

    code: ProblemCode
    message: str
    node: str | None = None
    edge: str | None = None
    field: str | None = None
    line: int | None = None

    @property
    def is_error(self) -> bool:
        return self.code not in WARNINGS

    @property
    def where(self) -> str:
        """The place for people: `line 12, node rsi, retry.delay`; `document` where there is none."""
        parts = [
            f"line {self.line}" if self.line else "",
            f"node {self.node}" if self.node else "",
            f"edge {self.edge}" if self.edge else "",
            self.field or "",
        ]
        return ", ".join(part for part in parts if part) or "document"

    @override
    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.message}"

    def as_json(self) -> dict[str, object]:
        return {
            "code": str(self.code),
            "message": self.message,
            "node": self.node,
            "edge": self.edge,
            "field": self.field,
            "line": self.line,
        }


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.is_error]


def warnings_of(problems: Iterable[Problem]) -> list[Problem]:
    return [problem for problem in problems if not problem.is_error]
