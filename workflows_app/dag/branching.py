"""Which outgoing edges of a settled node are taken: conditions, priorities, defaults and error edges."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from workflows_app.dag.expressions import ExpressionError
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Handle, JsonObject, Match, NodeType


class EdgeState(IntEnum):
    # The source is not terminal.
    OPEN = 0
    # The source completed, or failed on this error edge, and the edge was chosen.
    TAKEN = 1
    # Offered, not chosen.
    REFUSED = 2
    # The source failed, or was skipped because of a failure.
    BROKEN = 3
    # The source was skipped for another reason, or cancelled.
    DEAD = 4


class Ending(StrEnum):
    """How a node ended, as its edges see it."""

    COMPLETED = "completed"
    # Failed, with `on_error: continue`.
    CONTINUED = "continued"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The states of a node's outgoing edges, and what is on record about the choice.

    `handled` says that a failure left through an error edge.
    """

    states: tuple[tuple[int, EdgeState], ...] = ()
    handled: bool = False
    evaluations: tuple[JsonObject, ...] = ()
    taken: tuple[str, ...] = ()


class ConditionFailed(Exception):
    """Raised when an edge condition cannot be evaluated; `evaluations` holds what was evaluated before."""

    def __init__(self, error: ExpressionError, evaluations: Iterable[JsonObject]) -> None:
        super().__init__(str(error))
        self.error = error
        self.evaluations = tuple(evaluations)


type Evaluate = Callable[[str], bool]


def route(plan: Plan, node: int, ending: Ending, evaluate: Evaluate) -> Route:
    """Choose among the outgoing edges of `node`. Raises `ConditionFailed`, see `route_without_conditions`."""
    outgoing = plan.outgoing[node]
    if not outgoing:
        return Route()
    chooser = _Chooser(plan, evaluate)
    if ending is Ending.FAILED:
        return chooser.after_failure(outgoing)
    normal = [edge for edge in outgoing if plan.edges[edge].handle is Handle.OUT]
    if plan.nodes[node].type is not NodeType.CONDITION:
        taken = {edge for edge in normal if chooser.is_true(edge)}
    elif ending is Ending.CONTINUED:
        taken = {edge for edge in normal if plan.edges[edge].default}
    else:
        taken = chooser.by_priority(normal, plan.nodes[node].match)
    return chooser.route(outgoing, taken, otherwise=EdgeState.REFUSED)


def route_without_conditions(plan: Plan, node: int, ending: Ending) -> Route:
    """The edges of a node one of whose conditions could not be evaluated.

    Failed: no edge is taken and none counts as refused. Continued: the default of a condition node, else the
    edges without a condition.
    """
    outgoing = plan.outgoing[node]
    chooser = _Chooser(plan, lambda _source: False)
    if ending is Ending.FAILED:
        return chooser.route(outgoing, set(), otherwise=EdgeState.BROKEN)
    is_condition = plan.nodes[node].type is NodeType.CONDITION
    taken = {
        position
        for position in outgoing
        if (edge := plan.edges[position]).handle is Handle.OUT
        and (edge.default if is_condition else edge.condition is None)
    }
    return chooser.route(outgoing, taken, otherwise=EdgeState.REFUSED)


class _Chooser:
    __slots__ = ("evaluate", "evaluations", "plan")

    def __init__(self, plan: Plan, evaluate: Evaluate) -> None:
        self.plan = plan
        self.evaluate = evaluate
        self.evaluations: list[JsonObject] = []

    def is_true(self, position: int) -> bool:
        edge = self.plan.edges[position]
        if edge.condition is None:
            return True
        record: JsonObject = {"to": edge.target, "condition": edge.condition, "result": None}
        self.evaluations.append(record)
        try:
            result = self.evaluate(edge.condition)
        except ExpressionError as error:
            record["error"] = str(error)
            raise ConditionFailed(error, self.evaluations) from error
        record["result"] = result
        return result

    def by_priority(self, edges: list[int], match: Match) -> set[int]:
        order = sorted(edges, key=lambda position: self.plan.edges[position].priority)
        defaults = {position for position in order if self.plan.edges[position].default}
        candidates = (position for position in order if position not in defaults)
        if match is Match.FIRST:
            first = next((position for position in candidates if self.is_true(position)), None)
            return defaults if first is None else {first}
        return {position for position in candidates if self.is_true(position)} or defaults

    def after_failure(self, outgoing: tuple[int, ...]) -> Route:
        errors = [edge for edge in outgoing if self.plan.edges[edge].handle is Handle.ERROR]
        taken = {edge for edge in errors if self.is_true(edge)}
        if taken:
            return self.route(outgoing, taken, otherwise=EdgeState.REFUSED, handled=True)
        states = tuple((edge, EdgeState.REFUSED if edge in errors else EdgeState.BROKEN) for edge in outgoing)
        return Route(states=states, evaluations=tuple(self.evaluations))

    def route(
        self, outgoing: tuple[int, ...], taken: set[int], *, otherwise: EdgeState, handled: bool = False
    ) -> Route:
        return Route(
            states=tuple((edge, EdgeState.TAKEN if edge in taken else otherwise) for edge in outgoing),
            handled=handled,
            evaluations=tuple(self.evaluations),
            taken=tuple(self.plan.edges[edge].target for edge in outgoing if edge in taken),
        )
