"""A slow and obvious model of "Which nodes run": what must become of every node, sentence by sentence.

It shares no code with the engine. It knows control flow alone: what a processor returns or raises is told to it
(`behaviour`), and its conditions are the few that the generators write.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

type Document = dict[str, Any]
type Behaviour = Mapping[str, Succeed | Fail]

# A condition that can never be evaluated: there is no such name anywhere.
BROKEN_CONDITION = "missing.key > 1"


@dataclass(frozen=True, slots=True)
class Succeed:
    """The processor raises `error` in its first `after` tries, then returns `output`."""

    output: Any = None
    after: int = 0
    error: str = "Unreachable"


@dataclass(frozen=True, slots=True)
class Fail:
    """The processor raises an error of the class named `error` in every try."""

    error: str = "Refused"


class EdgeState(StrEnum):
    TAKEN = "taken"
    REFUSED = "refused"
    BROKEN = "broken"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one node. `cause` is that of a skip; `attempts` is None where nobody counted them."""

    status: str
    reason: str | None = None
    cause: str | None = None
    attempts: int | None = None

    def __str__(self) -> str:
        parts = [self.status, self.reason, self.cause and f"because of {self.cause}"]
        if self.attempts is not None:
            parts.append(f"in {self.attempts} attempts")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An execution as it was observed."""

    status: str
    reason: str | None
    nodes: Mapping[str, Fate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction(Result):
    """An execution as it must end.

    `edges` has the state of every edge in document order. `unhandled` are the nodes whose failure fails the
    execution, `handled` those whose failure left through an error edge, `continued` those that failed with
    `on_error: continue`.
    """

    edges: tuple[EdgeState, ...]
    unhandled: frozenset[str]
    handled: frozenset[str]
    continued: frozenset[str]

    def taken(self, document: Document, key: str) -> list[str]:
        """The targets of the edges that were taken out of a node, in document order."""
        pairs = zip(document["edges"], self.edges, strict=True)
        return [edge["to"] for edge, state in pairs if edge["from"] == key and state is EdgeState.TAKEN]


class Unevaluable(Exception):
    """Raised when a condition cannot be evaluated."""


def predict(
    document: Document, behaviour: Behaviour, *, execution_input: Mapping[str, Any] | None = None
) -> Prediction:
    """What must become of a valid document under `on_failure: continue`, whatever the timing.

    `on_failure: stop` depends on timing: `judging.check_stop` judges what was observed. A trigger returns
    `execution_input`, every other node that runs does what `behaviour` says.
    """
    model = _Model(document, behaviour, dict(execution_input or {}))
    # "A node is decided once all its predecessors are terminal."
    while undecided := [key for key in model.nodes if key not in model.fates]:
        ready = [key for key in undecided if all(edge["from"] in model.fates for _, edge in model.incoming(key))]
        if not ready:
            raise ValueError(f"These nodes wait for each other: {undecided}.")
        for key in ready:
            model.decide(key)
    # "failed (node_error) when a failure was neither handled nor continued ... else completed".
    failed = bool(model.unhandled)
    return Prediction(
        status="failed" if failed else "completed",
        reason="node_error" if failed else None,
        nodes={key: model.fates[key] for key in model.nodes},
        edges=tuple(model.states[position] for position in range(len(document["edges"]))),
        unhandled=frozenset(model.unhandled),
        handled=frozenset(model.handled),
        continued=frozenset(model.continued),
    )


# Joins and skips


# "none_failed_min_one_success: none broken and at least one taken. all_success: all taken. one_success: at least
# one taken. all_done: always."
JOINS: dict[str, Callable[[Sequence[EdgeState]], bool]] = {
    "none_failed_min_one_success": lambda states: EdgeState.BROKEN not in states and EdgeState.TAKEN in states,
    "all_success": lambda states: all(state is EdgeState.TAKEN for state in states),
    "one_success": lambda states: EdgeState.TAKEN in states,
    "all_done": lambda _states: True,
}


def skip_reason(states: Collection[EdgeState]) -> str:
    """ "The first that fits: any broken: upstream_failed; any taken: join_rule; any refused: not_taken; else ..." """
    if EdgeState.BROKEN in states:
        return "upstream_failed"
    if EdgeState.TAKEN in states:
        return "join_rule"
    if EdgeState.REFUSED in states:
        return "not_taken"
    return "upstream_skipped"


# The edges that decide about a skip: the first of them in document order leads to the cause.
DECIDING: dict[str, Callable[[EdgeState], bool]] = {
    "upstream_failed": lambda state: state is EdgeState.BROKEN,
    "join_rule": lambda state: state is not EdgeState.TAKEN,
    "not_taken": lambda state: state is EdgeState.REFUSED,
    "upstream_skipped": lambda state: state is EdgeState.DEAD,
}


# Attempts


def retries_allowed(node: Mapping[str, Any], error: str) -> int:
    """ "Names of error classes, empty = all; never_retry_on wins." Planned errors have no bases that are named."""
    policy = node.get("retry", {})
    if error in policy.get("never_retry_on", []):
        return 0
    if policy.get("retry_on") and error not in policy["retry_on"]:
        return 0
    return policy.get("max_retries", 0)


# Conditions

_COMPARISON = re.compile(r"(?:nodes\.(?P<node>\w+)\.)?(?P<name>\w+) > (?P<limit>-?\d+)")
_ERROR_TYPE = re.compile(r'errors\.(?P<node>\w+)\.type == "(?P<type>\w+)"')


def evaluate(condition: str, key: str, output: Any, error: str | None) -> bool:
    """A condition on an edge that leaves `key`, over the node's own output and its own error."""
    if condition in ("true", "false"):
        return condition == "true"
    if condition == BROKEN_CONDITION:
        raise Unevaluable(condition)
    if (found := _COMPARISON.fullmatch(condition)) and found["node"] in (None, key):
        # "A name that is not there, and any access into null, is an error."
        if not isinstance(output, dict) or found["name"] not in output:
            raise Unevaluable(condition)
        return output[found["name"]] > int(found["limit"])
    if (found := _ERROR_TYPE.fullmatch(condition)) and found["node"] == key:
        if error is None:
            raise Unevaluable(condition)
        return error == found["type"]
    raise ValueError(f"The model does not know conditions such as '{condition}' on an edge of {key}.")


# The model


@dataclass(slots=True)
class _Model:
    document: Document
    behaviour: Behaviour
    execution_input: dict[str, Any]
    fates: dict[str, Fate] = field(default_factory=dict)
    # Edge position -> state.
    states: dict[int, EdgeState] = field(default_factory=dict)
    unhandled: set[str] = field(default_factory=set)
    handled: set[str] = field(default_factory=set)
    continued: set[str] = field(default_factory=set)

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["key"]: node for node in self.document["nodes"]}

    def incoming(self, key: str) -> list[tuple[int, dict[str, Any]]]:
        return [(position, edge) for position, edge in enumerate(self.document["edges"]) if edge["to"] == key]

    def outgoing(self, key: str, handle: str) -> list[tuple[int, dict[str, Any]]]:
        edges = enumerate(self.document["edges"])
        return [pair for pair in edges if pair[1]["from"] == key and pair[1].get("handle", "out") == handle]

    def decide(self, key: str) -> None:
        node = self.nodes[key]
        states = [self.states[position] for position, _ in self.incoming(key)]
        # "Every trigger completes at the start of every execution."
        if node["type"] == "trigger" or JOINS[node.get("join", "none_failed_min_one_success")](states):
            self.run(key, node)
        else:
            self.skip(key, skip_reason(states))

    def skip(self, key: str, reason: str) -> None:
        self.fates[key] = Fate(status="skipped", reason=reason, cause=self.cause(key, reason), attempts=0)
        # "broken (... was skipped with upstream_failed) or dead (source skipped for another reason)".
        self.mark(key, EdgeState.BROKEN if reason == "upstream_failed" else EdgeState.DEAD)

    def cause(self, key: str, reason: str) -> str:
        """ "details.cause names the node where it began." """
        decides = DECIDING[reason]
        position, edge = next(pair for pair in self.incoming(key) if decides(self.states[pair[0]]))
        source = edge["from"]
        # Whoever refuses is the cause; a skipped source hands on its own.
        if self.states[position] is EdgeState.REFUSED or self.fates[source].status != "skipped":
            return source
        inherited = self.fates[source].cause
        assert inherited is not None
        return inherited

    def run(self, key: str, node: dict[str, Any]) -> None:
        # "A trigger's output is the execution's input."
        plan = Succeed(self.execution_input) if node["type"] == "trigger" else self.behaviour[key]
        allowed = retries_allowed(node, plan.error)
        failures = plan.after if isinstance(plan, Succeed) else allowed + 1
        attempts = min(failures, allowed) + 1
        if not isinstance(plan, Succeed) or failures > allowed:
            self.fail(key, "node_error", attempts, plan.error)
            return
        try:
            taken = self.choose(key, node, plan.output)
        except Unevaluable:
            # "A condition that cannot be evaluated (also after a tool) fails its node with condition_error, is
            # never retried." The processor's tries stay on record; the error is of no planned type.
            self.fail(key, "condition_error", attempts, "ExpressionError")
            return
        self.fates[key] = Fate(status="completed", attempts=attempts)
        self.mark(key, EdgeState.REFUSED, taken=taken)

    def choose(self, key: str, node: dict[str, Any], output: Any, error: str | None = None) -> set[int]:
        """The edges that are taken when a node completed."""
        normal = self.outgoing(key, "out")

        def is_true(edge: dict[str, Any]) -> bool:
            # "An edge with neither condition nor default counts as true."
            return "condition" not in edge or evaluate(edge["condition"], key, output, error)

        if node["type"] != "condition":
            # "Edges of other nodes are taken unless their condition is false."
            return {position for position, edge in normal if is_true(edge)}
        # "Tried by ascending priority, then document order."
        tried = sorted(normal, key=lambda pair: (pair[1].get("priority", 0), pair[0]))
        taken: set[int] = set()
        for position, edge in tried:
            if not edge.get("default", False) and is_true(edge):
                taken.add(position)
                # "match: first: the first true one is taken, later ones are not evaluated."
                if node.get("match", "first") == "first":
                    break
        # "None true: the default."
        return taken or self.defaults(key)

    def defaults(self, key: str) -> set[int]:
        return {position for position, edge in self.outgoing(key, "out") if edge.get("default", False)}

    def fail(self, key: str, reason: str, attempts: int, error: str) -> None:
        node = self.nodes[key]
        if node.get("on_error", "fail") == "continue":
            self.go_on(key, node, error)
        else:
            reason = self.leave_by_error_edges(key, reason, error)
        self.fates[key] = Fate(status="failed", reason=reason, attempts=attempts)

    def go_on(self, key: str, node: dict[str, Any], error: str) -> None:
        """ "on_error: continue: for joins, edges and the execution's status it counts as completed, output null." """
        self.continued.add(key)
        if node["type"] == "condition":
            # "A condition node that fails this way takes its default only."
            taken = self.defaults(key)
        else:
            try:
                taken = self.choose(key, node, None, error)
            except Unevaluable:
                taken = {position for position, edge in self.outgoing(key, "out") if "condition" not in edge}
        self.mark(key, EdgeState.REFUSED, taken=taken)

    def leave_by_error_edges(self, key: str, reason: str, error: str) -> str:
        """ "handle: error on an edge: it is taken when its source failed." Answers the node's reason."""
        offered = self.outgoing(key, "error")
        try:
            taken = {
                position
                for position, edge in offered
                if "condition" not in edge or evaluate(edge["condition"], key, None, error)
            }
        except Unevaluable:
            # It never counts as false: nothing is taken and nothing refused.
            self.mark(key, EdgeState.BROKEN)
            self.unhandled.add(key)
            return "condition_error"
        if taken:
            # "The source's other edges are then refused, and the failure is handled."
            self.mark(key, EdgeState.REFUSED, taken=taken)
            self.handled.add(key)
        else:
            # "refused (offered, not chosen), broken (source failed)".
            self.mark(key, EdgeState.BROKEN)
            self.states.update((position, EdgeState.REFUSED) for position, _ in offered)
            self.unhandled.add(key)
        return reason

    def mark(self, key: str, others: EdgeState, *, taken: Iterable[int] = ()) -> None:
        """Write down the states of all edges that leave a node."""
        for position, edge in enumerate(self.document["edges"]):
            if edge["from"] == key:
                self.states[position] = others
        self.states.update((position, EdgeState.TAKEN) for position in taken)
