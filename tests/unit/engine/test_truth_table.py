"""The tables of docs/semantics.md are those of the model, the engine does what they say, and the examples are true."""

import asyncio
import itertools
import re
from collections import Counter
from dataclasses import dataclass

import pytest

import workflows_app.tools.core  # noqa: F401 - registers the tools of the examples
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.events import NodeSettled
from executions_app.engine.testing import MemorySink, run_plan
from executions_app.simulation.virtual_time import run
from tests.unit.engine import truth_table
from tests.unit.engine.generators import CATALOGUE
from tests.unit.engine.judging import check_stop, differences
from tests.unit.engine.playback import Playback, processors_for
from tests.unit.engine.reference import JOINS, Fate, Result
from tests.unit.engine.truth_rows import (
    ALL,
    BROKEN,
    CANCELLED,
    CHOOSERS,
    COMPLETES,
    DEAD,
    ERROR_EDGES,
    FIRST,
    ON_ERROR,
    OTHER,
    PLACES,
    RAISES,
    REFUSED,
    SKIPPED_FAILED,
    TAKEN,
    cause_of,
    choice_rows,
    choice_scenes,
    edge,
    end_rows,
    end_scenes,
    join_rows,
    join_scene,
    scene,
    source_lists,
    stop_rows,
    stop_scene,
)
from tests.unit.engine.truth_table import DOCUMENT
from workflows_app.dag import jsontext, validation, yamltext
from workflows_app.dag.plan import Plan
from workflows_app.dag.problems import errors_of
from workflows_app.dag.types import Scheduling
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools.registry import catalogue

# How a node ends that hangs on one edge alone: this is how the state of an edge shows.
PROBED = {
    TAKEN: ("completed", None),
    REFUSED: ("skipped", "not_taken"),
    BROKEN: ("skipped", "upstream_failed"),
    DEAD: ("skipped", "upstream_skipped"),
}
# What no workflow can bring about, and why.
NOT_BUILT = {
    (CANCELLED, on_error, error_edges): "Whatever cancels a node has ended every node that had not started."
    for on_error in ON_ERROR
    for error_edges in ERROR_EDGES
}


class Played:
    """A workflow that the engine ran on virtual time."""

    def __init__(self, document, scheduling, processors, *, cancel=None, before_commit=None):
        self.sink = MemorySink(Plan.from_document(document), before_commit=before_commit)
        self.result, _ = run(self._run(processors, scheduling, cancel))
        self.observed = Result(
            status=str(self.result.status),
            reason=self.result.reason and str(self.result.reason),
            nodes={key: self._fate(settled) for key, settled in self.sink.settled.items()},
        )

    async def _run(self, processors, scheduling, cancel):
        plan, sink = self.sink.plan, self.sink
        return await run_plan(plan, processors=processors, sink=sink, scheduling=scheduling, cancel=cancel)

    def _fate(self, settled):
        return Fate(
            status=str(settled.status),
            reason=settled.reason and str(settled.reason),
            cause=settled.cause or None,
            attempts=len(self.sink.starts.get(self.sink.plan.nodes[settled.node].key, [])),
        )

    def ended(self, key):
        fate = self.observed.nodes[key]
        return fate.status, fate.reason

    def taken(self, key):
        """The targets on record, or None where the node had no choice."""
        details = self.sink.settled[key].details
        return jsontext.loads(details).get("taken") if details else None


def played(example):
    """Both ways to run a scene. It is valid, and the engine agrees with the model about everything in it."""
    assert not errors_of(validation.validate(example.document, CATALOGUE)), example.document
    expected = example.predict()
    for scheduling in Scheduling:
        found = Played(example.document, scheduling, processors_for(Playback(example.behaviour)))
        assert not differences(expected, found.observed), example.document
        yield found


# The document


def test_the_document_holds_the_tables_of_the_model():
    text = DOCUMENT.read_text(encoding="utf-8")
    message = f"The tables in docs/semantics.md are out of date: run {truth_table.COMMAND}."
    assert text == truth_table.rendered(text), message


def test_a_table_that_was_changed_by_hand_is_found():
    text = DOCUMENT.read_text(encoding="utf-8")
    changed = text.replace("| taken, dead | runs |", "| taken, dead | `join_rule` |")
    assert changed != text
    assert truth_table.rendered(changed) == text
    with pytest.raises(ValueError, match="0 places for the table 'joins'"):
        truth_table.rendered(text.replace("<!-- table joins", "<!-- table"))


def test_no_row_is_missing():
    assert len({(row.join, row.states) for row in join_rows()}) == 4 * 15
    assert len({(row.end, row.on_error, row.error_edges) for row in end_rows()}) == 6 * 2 * 4
    choices = {(row.chooser, row.chance, row.first, row.second, row.with_third) for row in choice_rows()}
    assert len(choices) == 3 * 3 * 3 * 3 * 2
    assert len({(row.on_failure, row.failure) for row in stop_rows()}) == 2 * 3
    lines = {name: len(render().splitlines()) - 2 for name, render in truth_table.TABLES.items()}
    assert lines == {"joins": 15, "reasons": 4, "ends": 12, "choices": 9, "stops": 10}


def test_lines_that_are_shared_say_the_same_of_every_row():
    lines = _lines("ends")
    for row in end_rows():
        case = (row.end, row.on_error, row.error_edges)
        (line,) = (line for line in lines if all(map(_covers, line, case)))
        outcome = [truth_table.ended(row.status, row.reason), row.plain, row.error or line[5], row.failure or "-"]
        assert line[3:] == outcome


def test_the_table_of_choices_leaves_out_no_row():
    """What a row without a third edge takes is what the table says, but for that edge."""
    columns = {(chooser, COMPLETES): 2 + number for number, chooser in enumerate(CHOOSERS)}
    columns |= {(FIRST, RAISES): 5, (ALL, RAISES): 5, (OTHER, RAISES): 6}
    lines = {(line[0], line[1]): line for line in _lines("choices")}
    for row in choice_rows():
        end, on_error = row.chance
        cell = lines[row.first, row.second][columns[row.chooser, end]]
        fails = cell.startswith("fails (")
        assert (row.reason == "condition_error") is (fails and end == COMPLETES)
        taken = cell.removeprefix("fails (").removesuffix(")").split(" and ")
        taken = [] if fails and on_error == "fail" else [name for name in taken if name != "third" or row.with_third]
        assert row.taken == taken


def test_failures_that_share_a_column_make_the_same_of_the_rest():
    assert truth_table.render_stops().splitlines()[0].endswith("| handled | continued |")
    for failure in ("handled", "continued"):
        goes_on, stops = (row for row in stop_rows() if row.failure == failure)
        assert (goes_on.fates, goes_on.status) == (stops.fates, stops.status)


def _lines(name):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in truth_table.TABLES[name]().splitlines()[2:]]


def _covers(cell, value):
    return cell == "any" or value in cell.split(" or ")


# Joins


@pytest.mark.parametrize("join", list(JOINS))
def test_a_join_decides_as_its_row_says(join):
    rows = [row for row in join_rows() if row.join == join]
    for row in rows:
        for sources in source_lists(row.states):
            example = join_scene(join, sources)
            for number, (state, _) in enumerate(sources):
                assert example.states()[f"k{number}", "j"] is state
            for found in played(example):
                fate = found.observed.nodes["j"]
                assert (fate.status, fate.reason) == (("skipped", row.reason) if row.reason else ("completed", None))
                assert fate.cause == cause_of(row, sources)
                for number, (state, _) in enumerate(sources):
                    assert found.ended(f"p{number}") == PROBED[state]
    assert len(rows) == 15


def test_both_edges_of_one_source_count():
    """An edge and an error edge may join the same nodes."""
    both = [edge("t>k"), edge("k>j"), edge("k!j")]
    for join, failing, ends in (
        ("one_success", [], ("completed", None)),
        ("one_success", ["k"], ("completed", None)),
        ("all_success", ["k"], ("skipped", "join_rule")),
    ):
        for found in played(scene(both, {"j": {"join": join}}, failing=failing)):
            assert found.ended("j") == ends


# Ends


def test_a_nodes_end_makes_of_its_edges_what_its_row_says():
    reasons = set()
    for row in end_rows():
        case = (row.end, row.on_error, row.error_edges)
        for example in end_scenes(*case) if case not in NOT_BUILT else ():
            for found in played(example):
                x = found.observed.nodes["x"]
                assert (x.status, x.reason if x.status == "failed" else None) == (row.status, row.reason), case
                assert (x.reason == "upstream_failed") is (row.end == SKIPPED_FAILED)
                reasons.add(x.reason)
                assert found.ended("plain") == PROBED[row.plain], case
                if row.error is not None:
                    assert found.ended("error") == PROBED[row.error], case
                assert (found.result.error and found.result.error.node) == _failure_of(row), case
                wanted = [name for name, state in (("plain", row.plain), ("error", row.error)) if state is TAKEN]
                assert found.taken("x") in (wanted, None), case
    skips = {"upstream_failed", "join_rule", "not_taken", "upstream_skipped"}
    assert reasons == skips | {None, "node_error", "condition_error"}


def _failure_of(row):
    """The node whose failure fails the execution."""
    if row.failure == "unhandled":
        return "x"
    return "bad" if row.end == SKIPPED_FAILED else None


def test_the_rows_that_no_workflow_can_bring_about_are_known():
    not_built = {
        (row.end, row.on_error, row.error_edges)
        for row in end_rows()
        for example in end_scenes(row.end, row.on_error, row.error_edges)
        if example.predict().nodes["x"].status != row.status
    }
    assert not_built == set(NOT_BUILT)
    assert len(NOT_BUILT) == 8


class Staged(Playback):
    """Awaits the cue of a node, if it has one, before its code does what it is told."""

    def __init__(self, behaviour, **cues):
        super().__init__(behaviour)
        self.cues = cues
        self.begun = Counter()

    async def process(self, call, prepared):
        self.begun[call.node.key] += 1
        if call.node.key in self.cues:
            await self.cues[call.node.key]()
        return await super().process(call, prepared)


@pytest.mark.parametrize("scheduling", list(Scheduling))
def test_no_node_is_decided_over_an_edge_of_a_cancelled_one(scheduling):
    for example in itertools.chain.from_iterable(itertools.starmap(end_scenes, NOT_BUILT)):
        cancel = CancelToken()

        async def asks(cancel=cancel):
            cancel.request()
            await asyncio.Event().wait()

        processors = processors_for(Staged(example.behaviour, x=asks))
        found = Played(example.document, scheduling, processors, cancel=cancel)
        assert {found.ended(key) for key in found.observed.nodes if key != "t"} == {("cancelled", "user")}
        assert found.taken("x") is None


# Choices


def test_a_node_takes_the_edges_that_its_row_says():
    for row in choice_rows():
        case = (row.chooser, row.chance, row.first, row.second, row.with_third)
        for example in choice_scenes(*case):
            for found in played(example):
                assert found.ended("x") == (row.status, row.reason), case
                assert sorted(found.taken("x")) == row.taken, case
                names = ["first", "second"] + ["third"] * row.with_third
                assert {name: found.ended(name) for name in names} == {
                    name: PROBED[state] for name, state in row.states.items()
                }, case


# Stops


@pytest.mark.parametrize("scheduling", list(Scheduling))
def test_a_failure_makes_of_the_rest_what_its_row_says(scheduling):
    for row in stop_rows():
        example = stop_scene(row.on_failure, row.failure)
        assert not errors_of(validation.validate(example.document, CATALOGUE))
        stage = Stage(example)
        found = Played(example.document, scheduling, processors_for(stage.staged), before_commit=stage.look)
        # `waits` has left its slot to `tries`; `queued` and `after` have not begun.
        assert stage.seen == dict.fromkeys(("t", "bad", "runs", "waits", "tries"), 1)
        assert (found.observed.status, found.observed.reason) == (row.status, row.reason)
        assert {key: found.observed.nodes[key] for key in row.fates} == row.fates
        assert set(PLACES) - set(row.fates) == (set() if row.failure == "handled" else {"catch"})
        if row.on_failure == "stop":
            # Its failed try ended it: no retry was planned that is then not made.
            assert found.sink.settled["tries"].retry_count == (0 if row.failure == "unhandled" else 1)
            assert not check_stop(example.document, example.behaviour, found.observed)
        else:
            assert not differences(example.predict(), found.observed)


class Stage:
    """Has `bad` fail when every node is in its place, and those that run end after it has failed."""

    def __init__(self, example):
        self.everybody, self.failure = asyncio.Event(), asyncio.Event()
        self.staged = Staged(example.behaviour, bad=self.fails, runs=self.failure.wait, tries=self.is_there)
        # How often the code of each node had begun when `bad` failed.
        self.seen = {}

    async def is_there(self):
        self.everybody.set()
        await self.failure.wait()

    async def fails(self):
        await self.everybody.wait()
        self.seen = dict(self.staged.begun)

    def look(self, events):
        if any(isinstance(event, NodeSettled) and event.status == "failed" for event in events):
            self.failure.set()


# Examples


@dataclass(frozen=True, kw_only=True)
class Example:
    name: str
    document: dict
    # How every node ends, and the execution: status, reason, cause.
    ends: dict[str, tuple[str, str | None, str | None]]


FENCES = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = re.compile(r"(?P<key>\w+) +(?P<status>\w+)(?: +(?P<reason>\w+)(?:, because of (?P<cause>\w+))?)?")


def examples():
    """A workflow in a fence of `yaml`, and in a fence of `text` right behind it how every node ends."""
    fences = FENCES.findall(DOCUMENT.read_text(encoding="utf-8"))
    for (language, source), (following, ends) in itertools.pairwise([*fences, ("", "")]):
        if language == "yaml":
            document = yamltext.load(source).value
            assert following == "text", f"The example '{document['name']}' does not say how its nodes end."
            found = [END.fullmatch(line) for line in ends.splitlines()]
            assert all(found), f"A line of the example '{document['name']}' cannot be read: {ends}"
            yield Example(
                name=document["name"],
                document=document,
                ends={line["key"]: (line["status"], line["reason"], line["cause"]) for line in found},
            )


EXAMPLES = {example.name: example for example in examples()}


def test_no_example_is_missing():
    assert len(EXAMPLES) == DOCUMENT.read_text(encoding="utf-8").count("```yaml") == 12


@pytest.mark.parametrize("scheduling", list(Scheduling))
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_ends_as_the_document_says(name, scheduling):
    example = EXAMPLES[name]
    assert not errors_of(validation.validate(example.document, catalogue()))
    found = Played(example.document, scheduling, PROCESSORS)
    seen = {key: (fate.status, fate.reason, fate.cause) for key, fate in found.observed.nodes.items()}
    assert seen | {"execution": (found.observed.status, found.observed.reason, None)} == example.ends
