"""What may be wrong with an agent of the site. A node that states the same is checked, and answers."""

from collections.abc import Iterator, Mapping

from workflows_app.dag import jsontext
from workflows_app.dag.configured import MOST_BYTES, Mistake
from workflows_app.dag.templates import Templates
from workflows_app.dag.types import JsonObject, NodeType, ToolInfo
from workflows_app.dag.validation import validate
from workflows_app.dag.wording import quoted

# What a system text sees: what every run has. It means the same in every workflow then.
ROOTS = ("input", "execution")
_TRIGGER, _KEY = "start", "agent"


def mistakes(gives: JsonObject, tools: Mapping[str, ToolInfo]) -> list[Mistake]:
    """Everything that is wrong with an agent that gives its nodes these keys."""
    if len(jsontext.dumps(gives).encode()) > MOST_BYTES:
        # It stands in the snapshot of every node that names it.
        message = f"All that describes the agent has more than {MOST_BYTES} bytes together: make it shorter."
        return [Mistake(field="system", message=message)]
    foreign = list(_of_roots(gives.get("system")))
    found = [
        Mistake(field=problem.field or "", message=problem.message)
        for problem in validate(_document(gives), tools)
        # Of what no agent reads is told once what it may read.
        if problem.is_error and problem.node == _KEY and not (foreign and problem.field == "system")
    ]
    return [*found, *foreign]


def _document(gives: JsonObject) -> JsonObject:
    """The smallest workflow with a node that says what the agent says."""
    nodes: list[JsonObject] = [
        {"key": _TRIGGER, "type": str(NodeType.TRIGGER)},
        {"key": _KEY, "type": str(NodeType.AGENT), **gives},
    ]
    return {"name": _KEY, "nodes": [*nodes], "edges": [{"from": _TRIGGER, "to": _KEY}]}


def _of_roots(system: object) -> Iterator[Mistake]:
    if not isinstance(system, str):
        return
    parsed = Templates().text(system)
    roots = {reference.path[0]: None for reference in parsed.references if not parsed.errors}
    for root in (root for root in roots if root not in ROOTS):
        message = (
            f"There is no {quoted(root)} here: the system text of an agent of the site reads what every run has, as in "
            "${{ input.symbol }}, and nothing else. Let nodes state the rest in their prompt."
        )
        yield Mistake(field="system", message=message)
