"""A slow and obvious model of which nodes run, written from the rules alone, one function for each of them.

It knows no frontier, no queue and no time: a node is looked at once all its predecessors are terminal. A document
is a plain dict; `behaviour` says for every node what its code does: `("ok", output)` or `("fail", None)`.
"""

from contextlib import suppress
from dataclasses import dataclass, field

TAKEN, REFUSED, BROKEN, DEAD = "taken", "refused", "broken", "dead"


@dataclass
class Fate:
    status: str
    reason: str | None = None
    # The node where a skip began.
    cause: str | None = None
    # Counts as completed although it failed.
    continued: bool = False
    # A failure that left through an error edge.
    handled: bool = False
    # State of each outgoing edge, by its position in the document.
    edges: dict[int, str] = field(default_factory=dict)


class Broken(Exception):
    """A condition that cannot be evaluated."""


def predict(document, behaviour):
    """The fate of every node by key, for `on_failure: continue`."""
    fates: dict[str, Fate] = {}
    nodes = {node["key"]: node for node in document["nodes"]}
    while len(fates) < len(nodes):
        for key, node in nodes.items():
            if key not in fates and all(source in fates for source in predecessors(document, key)):
                fates[key] = fate_of(document, node, behaviour, fates)
    return fates


def execution_status(fates):
    """Failed when a failure was neither handled nor continued, whatever ran after it."""
    unhandled = any(fate.status == "failed" and not fate.handled and not fate.continued for fate in fates.values())
    return "failed" if unhandled else "completed"


def predecessors(document, key):
    return [edge["from"] for edge in document["edges"] if edge["to"] == key]


def fate_of(document, node, behaviour, fates):
    states = [fates[edge["from"]].edges[position] for position, edge in incoming(document, node["key"])]
    if node["type"] != "trigger" and not joins(node.get("join", "none_failed_min_one_success"), states):
        return skipped(document, node["key"], states, fates)
    kind, output = behaviour[node["key"]]
    if kind == "fail":
        return failed(document, node, "node_error")
    return completed(document, node, output)


def incoming(document, key):
    return [(position, edge) for position, edge in enumerate(document["edges"]) if edge["to"] == key]


def outgoing(document, key, handle):
    return [
        (position, edge)
        for position, edge in enumerate(document["edges"])
        if edge["from"] == key and edge.get("handle", "out") == handle
    ]


def joins(join, states):
    return {
        "none_failed_min_one_success": BROKEN not in states and TAKEN in states,
        "all_success": all(state == TAKEN for state in states),
        "one_success": TAKEN in states,
        "all_done": True,
    }[join]


def skipped(document, key, states, fates):
    """The reason is the first that fits."""
    if BROKEN in states:
        reason, deciding = "upstream_failed", {BROKEN}
    elif TAKEN in states:
        reason, deciding = "join_rule", {REFUSED, DEAD}
    elif REFUSED in states:
        reason, deciding = "not_taken", {REFUSED}
    else:
        reason, deciding = "upstream_skipped", {DEAD}
    positions = incoming(document, key)
    source = next(edge["from"] for (_, edge), state in zip(positions, states, strict=True) if state in deciding)
    left = BROKEN if reason == "upstream_failed" else DEAD
    return Fate(
        "skipped",
        reason,
        cause=fates[source].cause or source,
        edges={position: left for position, edge in enumerate(document["edges"]) if edge["from"] == key},
    )


def completed(document, node, output):
    try:
        taken = chosen(document, node, output)
    except Broken:
        return failed(document, node, "condition_error")
    edges = {position: REFUSED for position, _ in outgoing(document, node["key"], "error")}
    for position, _ in outgoing(document, node["key"], "out"):
        edges[position] = TAKEN if position in taken else REFUSED
    return Fate("completed", edges=edges)


def failed(document, node, reason):
    """What it had as output counts for nothing: `nodes.KEY` of a failed node is null."""
    if node.get("on_error", "fail") == "continue":
        return continued(document, node, reason)
    errors, normal = outgoing(document, node["key"], "error"), outgoing(document, node["key"], "out")
    try:
        taken = {position for position, edge in errors if is_true(edge.get("condition"), None)}
    except Broken:
        # No choice can be read from the error edges either.
        return Fate(
            "failed", "condition_error", edges=dict.fromkeys([position for position, _ in errors + normal], BROKEN)
        )
    if not taken:
        edges = {position: REFUSED for position, _ in errors} | {position: BROKEN for position, _ in normal}
        return Fate("failed", reason, edges=edges)
    edges = {position: TAKEN if position in taken else REFUSED for position, _ in errors + normal}
    return Fate("failed", reason, handled=True, edges=edges)


def continued(document, node, reason):
    """It counts as completed with output null; a condition node takes its default only."""
    edges = {position: REFUSED for position, _ in outgoing(document, node["key"], "error")}
    normal = outgoing(document, node["key"], "out")
    if node["type"] == "condition":
        taken = {position for position, edge in normal if edge.get("default")}
    else:
        taken = {position for position, edge in normal if "condition" not in edge}
        with suppress(Broken):
            if reason != "condition_error":
                taken = {position for position, edge in normal if is_true(edge.get("condition"), None)}
    edges |= {position: TAKEN if position in taken else REFUSED for position, _ in normal}
    return Fate("failed", reason, continued=True, edges=edges)


def chosen(document, node, output):
    """The positions of the edges that a completed node takes."""
    edges = outgoing(document, node["key"], "out")
    if node["type"] != "condition":
        return {position for position, edge in edges if is_true(edge.get("condition"), output)}
    in_order = sorted(edges, key=lambda item: item[1].get("priority", 0))
    defaults = {position for position, edge in in_order if edge.get("default")}
    taken = set()
    for position, edge in in_order:
        if not edge.get("default") and is_true(edge.get("condition"), output):
            taken.add(position)
            if node.get("match", "first") == "first":
                break
    return taken or defaults


def is_true(condition, output):
    """The few conditions that the generated documents use."""
    match condition:
        case None | "true":
            return True
        case "false":
            return False
        case "missing.key > 1":
            raise Broken
        case _:
            # `nodes.KEY.n > 3`, of the edge's own source
            if not isinstance(output, dict):
                raise Broken
            return output["n"] > int(condition.rpartition(" ")[2])
