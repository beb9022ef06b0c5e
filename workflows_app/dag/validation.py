"""The validator: everything that is wrong with a workflow document, at once and in document order."""

from collections.abc import Mapping

from workflows_app.dag import jsontext
from workflows_app.dag.compatibility import check_compatibility
from workflows_app.dag.configuration import check_configuration
from workflows_app.dag.findings import Findings, LineOf
from workflows_app.dag.outline import Outline
from workflows_app.dag.problems import Problem, ProblemCode
from workflows_app.dag.references import check_references
from workflows_app.dag.templates import Templates
from workflows_app.dag.topology import check_topology
from workflows_app.dag.types import ToolInfo
from workflows_app.dag.wording import shown


def validate(document: object, catalogue: Mapping[str, ToolInfo], *, line_of: LineOf | None = None) -> list[Problem]:
    """Every problem of a document, errors and warnings, in document order. Never raises.

    `catalogue` are the tools by name. `line_of` maps a path in the document, ("nodes", 3, "retry", "delay"),
    to its line in the source text. A part that is malformed is reported and left out of the other checks;
    all that is well-formed is checked to the end.
    """
    # Imported here because Pydantic is slow to load, and not every process validates.
    from workflows_app.dag.structure import check_structure  # noqa: PLC0415

    try:
        document = jsontext.clean(document)
    except jsontext.JsonError as error:
        return [Problem(code=ProblemCode.INVALID_DOCUMENT, message=str(error))]
    if not isinstance(document, dict):
        message = f"A workflow document must be a mapping with name, nodes and edges, not {shown(document)}."
        return [Problem(code=ProblemCode.INVALID_DOCUMENT, message=message, line=line_of(()) if line_of else None)]
    findings = Findings(document, line_of)
    check_structure(document, findings)
    outline = Outline(document)
    check_topology(outline, findings)
    check_configuration(outline, catalogue, findings)
    templates = Templates()
    uses = check_references(outline, templates, findings)
    check_compatibility(outline, catalogue, templates, uses, findings)
    return findings.problems()
