"""The rows of "Which nodes run", from the reference model, each with the workflows that bring its case about."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.unit.engine.generators import TOOL
from tests.unit.engine.judging import descendants
from tests.unit.engine.reference import (
    BROKEN_CONDITION,
    DECIDING,
    JOINS,
    Document,
    EdgeState,
    Fail,
    Fate,
    Prediction,
    Succeed,
    predict,
    skip_reason,
)

TAKEN, REFUSED, BROKEN, DEAD = EdgeState
WORKS, FAILS = Succeed({"n": 4}), Fail("Refused")
# How the condition of an edge turns out, and one that does.
TURNS_OUT = {"true": "true", "false": "false", "cannot be evaluated": BROKEN_CONDITION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A workflow and what the processors of its nodes do; triggers need no entry."""

    document: Document
    behaviour: dict[str, Succeed | Fail]

    def predict(self) -> Prediction:
        return predict(self.document, self.behaviour)

    def states(self) -> dict[tuple[str, str], EdgeState]:
        """The state of every edge, by its source and target."""
        ends = ((edge["from"], edge["to"]) for edge in self.document["edges"])
        return dict(zip(ends, self.predict().edges, strict=True))


def scene(
    edges: Sequence[dict[str, Any]],
    nodes: dict[str, dict[str, Any]] | None = None,
    *,
    failing: Iterable[str] = (),
    settings: dict[str, Any] | None = None,
) -> Scene:
    """`t` is a trigger, every other node of an edge a tool unless `nodes` says otherwise; `failing` ones fail."""
    keys = dict.fromkeys(key for edge in edges for key in (edge["from"], edge["to"]))
    tool = {"type": "tool", "tool": TOOL}
    own = {"t": {"type": "trigger"}} | (nodes or {})
    found = [{"key": key} | ({} if "type" in own.get(key, {}) else tool) | own.get(key, {}) for key in keys]
    return Scene(
        document={"name": "row", "settings": settings or {}, "nodes": found, "edges": list(edges)},
        behaviour={key: FAILS if key in set(failing) else WORKS for key in keys},
    )


def edge(arrow: str, **fields: Any) -> dict[str, Any]:
    """`a>b` is an edge, `a!b` an error edge."""
    source, handle, target = re.split("([>!])", arrow)
    return {"from": source, "to": target} | ({"handle": "error"} if handle == "!" else {}) | fields


# Joins


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRow:
    """What a join makes of the states among the incoming edges.

    A skip has a reason; the first edge, in document order, whose state is in `deciding` leads to its cause.
    """

    join: str
    states: frozenset[EdgeState]
    reason: str | None
    deciding: frozenset[EdgeState]


def state_sets() -> list[tuple[EdgeState, ...]]:
    sizes = range(1, len(EdgeState) + 1)
    return [states for size in sizes for states in itertools.combinations(EdgeState, size)]


def join_row(join: str, states: Sequence[EdgeState]) -> JoinRow:
    reason = None if JOINS[join](states) else skip_reason(states)
    deciding = {state for state in states if reason and DECIDING[reason](state)}
    return JoinRow(join=join, states=frozenset(states), reason=reason, deciding=frozenset(deciding))


def join_rows() -> list[JoinRow]:
    return [join_row(join, states) for states in state_sets() for join in JOINS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to an edge of a given state: the last of `edges`, from `k` to `j`."""

    edges: tuple[str, ...]
    # Where a skip that comes over this edge began.
    cause: str = "k"
    failing: str = ""
    conditions: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)


CONTINUE, STRICT = {"on_error": "continue"}, {"join": "all_success"}
WAYS = {
    TAKEN: (
        Way(edges=("t>k", "k>j")),
        Way(edges=("t>k", "k!j"), failing="k"),
        Way(edges=("t>k", "k>j"), failing="k", nodes={"k": CONTINUE}),
    ),
    REFUSED: (
        Way(edges=("t>k", "k>j"), conditions={"k>j": "false"}),
        Way(edges=("t>k", "k!j")),
        Way(edges=("t>k", "k!kc", "k>j"), failing="k"),
        Way(edges=("t>k", "k!j"), failing="k", conditions={"k!j": "false"}),
        Way(edges=("t>k", "k!j"), failing="k", nodes={"k": CONTINUE}),
    ),
    BROKEN: (
        Way(edges=("t>k", "k>j"), failing="k"),
        Way(edges=("t>kb", "kb>k", "k>j"), failing="kb", cause="kb"),
        Way(edges=("t>kb", "kb>k", "k!j"), failing="kb", cause="kb"),
        Way(edges=("t>k", "k!j"), failing="k", conditions={"k!j": BROKEN_CONDITION}),
    ),
    DEAD: (
        Way(edges=("t>k", "k>j"), conditions={"t>k": "false"}, cause="t"),
        Way(edges=("t>kc", "kc>kb", "kb>k", "k>j"), conditions={"kc>kb": "false"}, cause="kc"),
        Way(edges=("t>kb", "t>k", "kb>k", "k!j"), conditions={"kb>k": "false"}, nodes={"k": STRICT}, cause="kb"),
    ),
}

type Source = tuple[EdgeState, Way]


def join_scene(join: str, sources: Sequence[Source]) -> Scene:
    """A node `j` with an edge of each source; `p0`, `p1`, ... hang on an edge of the same kind each, alone."""
    before, into, failing = list[dict[str, Any]](), list[dict[str, Any]](), list[str]()
    nodes: dict[str, dict[str, Any]] = {"j": {"join": join}}
    for number, (_, way) in enumerate(sources):
        conditions = {arrow: {"condition": condition} for arrow, condition in way.conditions.items()}
        edges = [edge(_named(arrow, number), **conditions.get(arrow, {})) for arrow in way.edges]
        before += [*edges[:-1], edges[-1] | {"to": f"p{number}"}]
        into.append(edges[-1])
        nodes |= {_named(key, number): fields for key, fields in way.nodes.items()}
        failing.append(_named(way.failing, number))
    return scene([*before, *into], nodes, failing=failing)


def cause_of(row: JoinRow, sources: Sequence[Source]) -> str | None:
    """Where the skip began, if the join skips."""
    causes = [_named(way.cause, number) for number, (state, way) in enumerate(sources) if state in row.deciding]
    return causes[0] if causes else None


def _named(text: str, number: int) -> str:
    return text.replace("k", f"k{number}")


def source_lists(states: Iterable[EdgeState]) -> Iterator[list[Source]]:
    """Sources that have these states and no others among their edges to the join, once or twice each."""
    states = sorted(states)
    for order in itertools.permutations(states):
        yield [(state, WAYS[state][0]) for state in order]
    for number in range(1, max(len(WAYS[state]) for state in states)):
        yield [(state, WAYS[state][number % len(WAYS[state])]) for state in states]
    for twice in states:
        once = [(state, WAYS[state][0]) for state in states]
        yield [*once, (twice, WAYS[twice][1])]
        yield [(twice, WAYS[twice][-1]), *once]


# How a node ends, and what that makes of its edges

COMPLETES, RAISES = "completes", "fails"
UNDECIDED = "completes; a condition cannot be evaluated"
SKIPPED_FAILED, SKIPPED, CANCELLED = "is skipped, `upstream_failed`", "is skipped for another reason", "is cancelled"
ENDS = (COMPLETES, RAISES, UNDECIDED, SKIPPED_FAILED, SKIPPED, CANCELLED)
ON_ERROR = ("fail", "continue")
ERROR_EDGES = ("none", *TURNS_OUT)

# What leads to `x` so that it is skipped.
_WAYS_TO_SKIP: dict[str, Sequence[Sequence[dict[str, Any]]]] = {
    SKIPPED_FAILED: ([edge("t>bad"), edge("bad>x")], [edge("t>bad"), edge("bad>between"), edge("between>x")]),
    SKIPPED: (
        [edge("t>x", condition="false")],
        [edge("t>between", condition="false"), edge("between>x")],
        [edge("t>x"), edge("t>y"), edge("y>x", condition="false")],
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRow:
    """What a node's end makes of an edge without a condition and of its error edge.

    `plain` stands for the default edge where the node is a condition node. `error` is None without an error edge.
    """

    end: str
    on_error: str
    error_edges: str
    status: str
    # Of a failure.
    reason: str | None
    plain: EdgeState
    error: EdgeState | None
    failure: str | None


def end_rows() -> list[EndRow]:
    return [end_row(*case) for case in itertools.product(ENDS, ON_ERROR, ERROR_EDGES)]


def end_row(end: str, on_error: str, error_edges: str) -> EndRow:
    case = {"end": end, "on_error": on_error, "error_edges": error_edges}
    if end == CANCELLED:
        # "dead (source skipped for another reason, or cancelled)"; the model knows nothing of cancels.
        dead = None if error_edges == "none" else DEAD
        return EndRow(**case, status="cancelled", reason=None, plain=DEAD, error=dead, failure=None)
    example = end_scenes(end, on_error, error_edges)[0]
    found, states = example.predict(), example.states()
    fate = found.nodes["x"]
    kinds = {"unhandled": found.unhandled, "handled": found.handled, "continued": found.continued}
    return EndRow(
        **case,
        status=fate.status,
        reason=fate.reason if fate.status == "failed" else None,
        plain=states["x", "plain"],
        error=states.get(("x", "error")),
        failure=next((kind for kind, keys in kinds.items() if "x" in keys), None),
    )


def end_scenes(end: str, on_error: str, error_edges: str) -> list[Scene]:
    """Workflows in which `x` ends so; the nodes `plain` and `error` hang on one edge of `x` each.

    There is no workflow in which a node is decided over an edge of a cancelled one: `x` completes in that case.
    """
    after = [edge("x>other", condition=BROKEN_CONDITION)] if end == UNDECIDED else []
    after += [edge("x!error", condition=TURNS_OUT[error_edges])] if error_edges != "none" else []
    failing = {"bad", "x"} if end == RAISES else {"bad"}
    # Of several edges to `x`, one that is refused makes it skip, with join_rule.
    x = {"on_error": on_error} | STRICT
    kinds = ((x, edge("x>plain")), (x | {"type": "condition"}, edge("x>plain", default=True)))
    ways = _WAYS_TO_SKIP.get(end, ([edge("t>x")],))
    return [scene([*way, plain, *after], {"x": x}, failing=failing) for way in ways for x, plain in kinds]


# The choice among the edges of a node that completed or went on

FIRST, ALL, OTHER = "condition node, `match: first`", "condition node, `match: all`", "any other node"
CHOOSERS = {
    FIRST: {"type": "condition", "match": "first"},
    ALL: {"type": "condition", "match": "all"},
    OTHER: {},
}
# How the node ends, and its on_error. What else there is follows from the table of ends.
CHANCES = ((COMPLETES, "fail"), (COMPLETES, "continue"), (RAISES, "continue"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRow:
    """Which edges of a node are taken, by their names: `first`, `second` and `third`.

    `first` and `second` have conditions that turn out as they say; `third`, if it is there, is the default of a
    condition node, an edge without a condition of any other node.
    """

    chooser: str
    chance: tuple[str, str]
    first: str
    second: str
    with_third: bool
    status: str
    reason: str | None
    states: dict[str, EdgeState]

    @property
    def taken(self) -> list[str]:
        return [name for name in ("first", "second", "third") if self.states.get(name) is TAKEN]


def choice_rows() -> list[ChoiceRow]:
    cases = itertools.product(CHOOSERS, CHANCES, TURNS_OUT, TURNS_OUT, (True, False))
    return [choice_row(*case) for case in cases]


def choice_row(chooser: str, chance: tuple[str, str], first: str, second: str, with_third: bool = True) -> ChoiceRow:
    example = choice_scenes(chooser, chance, first, second, with_third)[0]
    fate = example.predict().nodes["x"]
    return ChoiceRow(
        chooser=chooser,
        chance=chance,
        first=first,
        second=second,
        with_third=with_third,
        status=fate.status,
        reason=fate.reason,
        states={target: state for (source, target), state in example.states().items() if source == "x"},
    )


def choice_scenes(chooser: str, chance: tuple[str, str], first: str, second: str, with_third: bool) -> list[Scene]:
    """Ordered by priority against the order of the document; by the order of the document; for a condition node also
    with edges without a condition in place of true ones."""
    end, on_error = chance
    third = [edge("x>third", priority=-1, **({} if chooser == OTHER else {"default": True}))] if with_third else []
    failing = ["x"] if end == RAISES else []
    one, two = ({"condition": TURNS_OUT[turns_out]} for turns_out in (first, second))
    ways = [(one, two | {"priority": 2}), (one, two)]
    if chooser != OTHER:
        ways.append(({} if first == "true" else one, {} if second == "true" else two))
    x = CHOOSERS[chooser] | {"on_error": on_error}
    edges = [[edge("x>first", **one), edge("x>second", **two)] for one, two in ways]
    edges[0].reverse()
    return [scene([edge("t>x"), *third, *pair], {"x": x}, failing=failing) for pair in edges]


# A failure and the rest of the execution

ON_FAILURE = ("continue", "stop")
FAILURES = ("unhandled", "handled", "continued")
# What the nodes are when `bad` fails.
PLACES = {
    "child": "its successor",
    "always": "its successor with `join: all_done`",
    "either": "a successor of it and of a node that runs, with `join: one_success`",
    "catch": "the successor on its error edge",
    "queued": "another node that waits for a slot",
    "after": "another node that waits for one that runs",
    "runs": "another node that runs",
    "tries": "another node that runs, and whose try then fails with a retry left",
    "waits": "another node that waits for a retry",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRow:
    """What becomes of the nodes in all their places, and of the execution. `catch` is there for a handled failure."""

    on_failure: str
    failure: str
    fates: dict[str, Fate]
    status: str
    reason: str | None


def stop_rows() -> list[StopRow]:
    return [stop_row(*case) for case in itertools.product(ON_FAILURE, FAILURES)]


def stop_row(on_failure: str, failure: str) -> StopRow:
    example = stop_scene(on_failure, failure)
    found = example.predict()
    fates = {place: found.nodes[place] for place in PLACES if place in found.nodes}
    if on_failure == "stop" and found.unhandled:
        fates = {place: after_stop(place, fate, example.document) for place, fate in fates.items()}
    return StopRow(on_failure=on_failure, failure=failure, fates=fates, status=found.status, reason=found.reason)


def after_stop(place: str, fate: Fate, document: Document) -> Fate:
    """What a stop by `bad` makes of a node, by its place. Which node is in which place, the model cannot know."""
    # "Running ones finish."
    if place == "runs":
        return fate
    # "Descendants of the failed node are skipped (upstream_failed)", whatever their join.
    if place in descendants(document, "bad"):
        return Fate(status="skipped", reason="upstream_failed", cause="bad", attempts=0)
    # "Other nodes that have not started, or wait for a retry, are cancelled (stopped)"; no retry is made any more.
    return Fate(status="cancelled", reason="stopped", cause="bad", attempts=1 if place in ("tries", "waits") else 0)


def stop_scene(on_failure: str, failure: str) -> Scene:
    """Three slots: `waits` leaves its own to `tries`, `queued` gets none before `bad` fails. `tries` and `waits`
    succeed in their second try."""
    retry = {"retry": {"max_retries": 1, "delay": 1}}
    nodes = {
        "bad": {"on_error": "continue" if failure == "continued" else "fail"},
        "always": {"join": "all_done"},
        "either": {"join": "one_success"},
        "tries": retry,
        "waits": retry,
    }
    below = [edge(arrow) for arrow in ("bad>child", "bad>always", "bad>either", "runs>either", "runs>after")]
    edges = [edge(f"t>{key}") for key in ("bad", "runs", "waits", "tries", "queued")] + below
    edges += [edge("bad!catch")] if failure == "handled" else []
    settings = {"on_failure": on_failure, "max_parallel_nodes": 3}
    found = scene(edges, nodes, failing=["bad"], settings=settings)
    found.behaviour.update(dict.fromkeys(("tries", "waits"), Succeed({"n": 4}, after=1)))
    return found
