"""The validator: everything that is wrong with a workflow document, at once and in document order."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple, cast

from workflows_app.dag import jsontext
from workflows_app.dag.agents import AgentInfo
from workflows_app.dag.compatibility import Schemas, check_compatibility
from workflows_app.dag.configuration import check_configuration
from workflows_app.dag.findings import Findings, LineOf
from workflows_app.dag.outline import Outline
from workflows_app.dag.problems import Problem, ProblemCode
from workflows_app.dag.references import check_references
from workflows_app.dag.templates import Templates
from workflows_app.dag.topology import check_topology
from workflows_app.dag.types import JsonObject, ToolInfo
from workflows_app.dag.wording import shown

_SCALARS = frozenset({str, int, bool, type(None)})
# What the codec reads.
_MAX_DEPTH = 200


class Sizes(NamedTuple):
    """So many parts a workflow may have."""

    nodes: int = 100_000
    edges: int = 200_000


DEFAULT_SIZES = Sizes()


def validate(
    document: object,
    catalogue: Mapping[str, ToolInfo],
    *,
    line_of: LineOf | None = None,
    sizes: Sizes = DEFAULT_SIZES,
    agents: Mapping[str, AgentInfo] | None = None,
) -> list[Problem]:
    """Every problem of a document, errors and warnings, in document order. Never raises.

    One that is larger than `sizes` is not looked at any further.
    `catalogue` are the tools by name, `agents` those of the site: without them no name of one is looked up.
    `line_of` maps a path in the document, ("nodes", 3, "retry", "delay"), to its line in the source text. A part that
    is malformed is reported and left out of the other checks; all that is well-formed is checked to the end.
    """
    # Imported here because Pydantic is slow to load, and not every process validates.
    from workflows_app.dag.structure import check_structure  # noqa: PLC0415

    try:
        document = document if _is_canonical(document) else jsontext.clean(document)
    except jsontext.JsonError as error:
        return [Problem(code=ProblemCode.INVALID_DOCUMENT, message=str(error))]
    if not isinstance(document, dict):
        message = f"A workflow document must be a mapping with name, nodes and edges, not {shown(document)}."
        return [Problem(code=ProblemCode.INVALID_DOCUMENT, message=message, line=line_of(()) if line_of else None)]
    document = cast(JsonObject, document)
    findings = Findings(document, line_of)
    for part, most in sizes._asdict().items():
        if isinstance(found := document.get(part), list) and len(found) > most:
            message = f"A workflow may have at most {most} {part}, and this one has {len(found)}: split it up."
            findings.add(ProblemCode.INVALID_DOCUMENT, message, (part,))
            return findings.problems()
    check_structure(document, findings)
    outline = Outline(document)
    check_topology(outline, findings)
    check_configuration(outline, catalogue, agents, findings)
    templates = Templates()
    uses = check_references(outline, templates, findings)
    check_compatibility(outline, Schemas(catalogue, agents or {}), templates, uses, findings)
    return findings.problems()


def _is_canonical(document: object) -> bool:
    """Whether a value is JSON as the codec gives it, so that it need not be copied and converted first."""
    level = [document]
    for _ in range(_MAX_DEPTH):
        below: list[object] = []
        for value in level:
            kind = type(value)
            if kind is dict:
                mapping = cast("dict[object, object]", value)
                if not all(type(key) is str for key in mapping):
                    return False
                below.extend(mapping.values())
            elif kind is list:
                below.extend(cast("list[object]", value))
            elif kind is Decimal:
                if not cast("Decimal", value).is_finite():
                    return False
            elif kind not in _SCALARS:
                return False
        if not below:
            return True
        level = below
    return False
