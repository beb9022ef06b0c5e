"""Problems of a document as a page shows them: each with the line of the text that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflows_app.admin.words import PROBLEM_WORDS
from workflows_app.dag.problems import Problem, ProblemCode

if TYPE_CHECKING:
    from workflows_app.models import Workflow

# Longer ones are cut off: it is to be recognised, not read.
_EXCERPT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    problem: Problem
    excerpt: str = ""

    @property
    def title(self) -> str:
        return str(PROBLEM_WORDS[self.problem.code])


def findings(problems: Iterable[Problem], text: str = "") -> list[Finding]:
    """Errors before warnings, each kind in the order of the document."""
    lines = text.split("\n")

    def excerpt(line: int | None) -> str:
        return lines[line - 1].strip()[:_EXCERPT] if line and line <= len(lines) else ""

    found = [Finding(problem=problem, excerpt=excerpt(problem.line)) for problem in problems]
    return sorted(found, key=lambda finding: not finding.problem.is_error)


def stored_problems(workflow: Workflow) -> list[Problem]:
    """Those that are kept with a workflow because they keep it from being run."""
    kept: Any = workflow.problems or []
    return [_problem(problem) for problem in kept]


def _problem(kept: Mapping[str, Any]) -> Problem:
    rest: dict[str, Any] = {name: value for name, value in kept.items() if name != "code"}
    return Problem(code=ProblemCode(kept["code"]), **rest)
