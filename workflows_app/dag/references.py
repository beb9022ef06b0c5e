"""Checks every expression of a document: its syntax, its names, and whether what it refers to can be there."""

from collections.abc import Iterator
from dataclasses import dataclass

from workflows_app.dag.expressions import Reference
from workflows_app.dag.findings import Findings
from workflows_app.dag.lineage import Lineage, Pair
from workflows_app.dag.outline import EdgeOutline, Outline
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.rendering import CLOSING, OPENING
from workflows_app.dag.templates import ParsedText, Templates, texts_of
from workflows_app.dag.types import JsonObject, NodeType
from workflows_app.dag.wording import Path, listed, quoted

ROOTS = ("input", "vars", "nodes", "errors", "execution", "secrets")
# Of these a key that is shared by runs can be made.
KNOWN_BEFORE = ("input", "vars")
EXECUTION_FIELDS = ("id", "trigger_type", "started_at")
# The keys of a node in which expressions are rendered.
_TEMPLATES: dict[NodeType, tuple[str, ...]] = {
    NodeType.TOOL: ("inputs",),
    NodeType.AGENT: ("inputs", "system", "prompt"),
    NodeType.CONDITION: ("inputs",),
    NodeType.ADAPTER: ("output",),
}
_WITH_SECRETS = frozenset({NodeType.TOOL, NodeType.AGENT})


@dataclass(slots=True, kw_only=True)
class Use:
    """A reference to the output or the error of the node `key`, which exists.

    It is made in the node `at`; or in the condition of `edge`, which leaves `at`; or, without both, in the
    output of the workflow.
    """

    path: Path
    at: str | None
    edge: EdgeOutline | None
    key: str
    reference: Reference

    @property
    def spelled(self) -> str:
        return quoted(".".join(self.reference.path))


@dataclass(slots=True, kw_only=True)
class _Site:
    """A place with expressions, and what may be used there."""

    path: Path
    parsed: ParsedText
    at: str | None = None
    edge: EdgeOutline | None = None
    takes_secrets: bool = False
    takes_bare_names: bool = False
    # Where not every root can be used.
    roots: tuple[str, ...] = ROOTS


def check_references(outline: Outline, templates: Templates, findings: Findings) -> list[Use]:
    """Report what is wrong with any expression, and answer the references to nodes that exist."""
    uses: list[Use] = []
    variables = outline.document.get("variables", {})
    names = _Names(outline, variables if isinstance(variables, dict) else None, findings)
    for site in _sites(outline, templates, findings):
        for message in site.parsed.errors:
            findings.add(ProblemCode.INVALID_EXPRESSION, message, site.path)
        for reference in site.parsed.references:
            if (key := names.check(reference, site)) is not None:
                uses.append(Use(path=site.path, at=site.at, edge=site.edge, key=key, reference=reference))
    _check_order(outline, uses, findings)
    return uses


def _sites(outline: Outline, templates: Templates, findings: Findings) -> Iterator[_Site]:
    for node in outline.nodes:
        for field in _TEMPLATES.get(node.type, ()) if node.type else ():
            template = node.body.get(field)
            if field == "inputs" and isinstance(template, str):
                _check_whole(template, (*node.path, field), templates, findings)
            secrets = field == "inputs" and node.type in _WITH_SECRETS
            for path, text in texts_of(template, (*node.path, field)):
                yield _Site(path=path, parsed=templates.text(text), at=node.key, takes_secrets=secrets)
    for edge in outline.edges:
        if isinstance(edge.condition, str) and edge.condition and edge.source in outline.by_key:
            parsed = templates.condition(edge.condition)
            path = (*edge.path, "condition")
            yield _Site(path=path, parsed=parsed, at=edge.source, edge=edge, takes_bare_names=True)
    settings = outline.document.get("settings")
    concurrency = settings.get("concurrency") if isinstance(settings, dict) else None
    key = concurrency.get("key") if isinstance(concurrency, dict) else None
    if isinstance(key, str):
        yield _Site(path=("settings", "concurrency", "key"), parsed=templates.text(key), roots=KNOWN_BEFORE)
    output = outline.document.get("output")
    if isinstance(output, dict):
        for path, text in texts_of(output, ("output",)):
            yield _Site(path=path, parsed=templates.text(text))


def _check_whole(text: str, path: Path, templates: Templates, findings: Findings) -> None:
    parsed = templates.text(text)
    if not parsed.is_whole and not parsed.errors:
        message = (
            f"'inputs' must be a mapping, or one expression that gives a mapping: the text must begin with {OPENING}, "
            f"end with {CLOSING} and hold nothing else."
        )
        findings.add(ProblemCode.INVALID_CONFIG, message, path)


class _Names:
    """Checks the name that a reference begins with, and what must be known right below it."""

    __slots__ = ("findings", "outline", "variables")

    def __init__(self, outline: Outline, variables: JsonObject | None, findings: Findings) -> None:
        self.outline = outline
        self.variables = variables
        self.findings = findings

    def check(self, reference: Reference, site: _Site) -> str | None:
        """Report an unknown name. Answers the node, where the reference is to one that exists."""
        root, *below = reference.path
        if root in ROOTS and root not in site.roots:
            message = f"{quoted(root)} is not known before a run begins: use {listed(site.roots, last='or')}."
            self.findings.add(ProblemCode.INVALID_EXPRESSION, message, site.path)
        elif root == "secrets" and not site.takes_secrets:
            message = "Secrets can be used in the inputs of tool and agent nodes only: hand this one over there."
            self.findings.add(ProblemCode.INVALID_EXPRESSION, message, site.path)
        elif root == "secrets" and not below:
            message = "A secret must be named in the expression, as in secrets.NAME: it cannot be looked up by a value."
            self.findings.add(ProblemCode.INVALID_EXPRESSION, message, site.path)
        elif root not in ROOTS:
            if not site.takes_bare_names:
                self._report_bare_name(root, site.path)
        elif not below:
            return None
        elif root in ("nodes", "errors"):
            return self._node(root, below[0], site.path)
        elif root == "vars":
            self._check_variable(below[0], reference, site.path)
        elif root == "execution" and below[0] not in EXECUTION_FIELDS:
            hint = self.findings.spelling.hint(below[0], EXECUTION_FIELDS)
            message = f"'execution' has {listed(EXECUTION_FIELDS, last='and')}, but no {quoted(below[0])}.{hint}"
            self.findings.add(ProblemCode.UNKNOWN_REFERENCE, message, site.path)
        return None

    def _report_bare_name(self, name: str, path: Path) -> None:
        if self.variables is not None and name in self.variables:
            advice = f" Did you mean 'vars.{name}'?"
        elif name in self.outline.by_key:
            advice = f" Did you mean 'nodes.{name}'?"
        else:
            advice = self.findings.spelling.hint(name, ROOTS)
        message = f"There is no name {quoted(name)} here: an expression begins with {listed(ROOTS)}.{advice}"
        self.findings.add(ProblemCode.UNKNOWN_REFERENCE, message, path)

    def _node(self, root: str, key: str, path: Path) -> str | None:
        if key in self.outline.by_key:
            return key
        hint = self.findings.spelling.hint(key, self.outline.by_key) or " Correct the name or add the node."
        message = f"{quoted(f'{root}.{key}')} refers to a node that does not exist.{hint}"
        self.findings.add(ProblemCode.UNKNOWN_REFERENCE, message, path)
        return None

    def _check_variable(self, name: str, reference: Reference, path: Path) -> None:
        if self.variables is None or name in self.variables or reference.guarded:
            return
        advice = self.findings.spelling.hint(name, self.variables) or " Add it to 'variables', or use default()."
        message = f"The workflow has no variable {quoted(name)}.{advice}"
        self.findings.add(ProblemCode.UNKNOWN_VARIABLE, message, path)


def _check_order(outline: Outline, uses: list[Use], findings: Findings) -> None:
    """Report references to nodes that do not run before, and to nodes that perhaps do not complete."""
    pairs: set[Pair] = {
        (use.at, use.key) for use in uses if use.at is not None and not (use.edge and use.key == use.at)
    }
    if not uses:
        return
    lineage = Lineage(outline)
    verdict = lineage.judge(pairs)
    for use in uses:
        may_be_missing = False
        if use.at is None:
            # The workflow's output may well be null where a node was skipped; reading into null is what fails.
            reads_into_it = bool(use.reference.path[2:])
            may_be_missing = reads_into_it and not lineage.surely_ends_with_output(use.key)
        elif use.edge and use.key == use.at:
            may_be_missing = _may_leave_without_output(outline, use.edge)
        elif (use.at, use.key) in verdict.strangers:
            findings.add(ProblemCode.NOT_AN_ANCESTOR, _stranger(use, use.at), use.path)
        else:
            may_be_missing = (use.at, use.key) in verdict.unsure
        if may_be_missing and use.reference.path[0] == "nodes" and not use.reference.guarded:
            findings.add(ProblemCode.REFERENCE_MAY_BE_SKIPPED, _missing(use), use.path)


def _may_leave_without_output(outline: Outline, edge: EdgeOutline) -> bool:
    """Whether the condition of an edge can be evaluated although the edge's source did not complete."""
    source = outline.by_key[edge.source]
    return edge.is_error or (source.goes_on_after_failure and source.type is not NodeType.CONDITION)


def _stranger(use: Use, at: str) -> str:
    if use.key == at:
        return f"{use.spelled} is what this node itself gives: it is not there before the node has run. Remove it."
    return (
        f"{use.spelled} is not there when {quoted(at)} runs: only nodes before it can be used. "
        f"Add a path of edges from {quoted(use.key)} to {quoted(at)}, or remove the reference."
    )


def _missing(use: Use) -> str:
    if use.at is None:
        consequence = "an execution can complete without it"
    elif use.edge is not None:
        consequence = "this condition can be evaluated without it"
    else:
        consequence = f"{quoted(use.at)} can run without it"
    return (
        f"{use.spelled} may be missing: {quoted(use.key)} can be skipped or fail, and {consequence}. "
        "Say what holds then with default(), or ask with has()."
    )
