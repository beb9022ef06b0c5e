"""The engine against the reference model: random documents, random outcomes, both schedulings, any timing."""

import asyncio

from hypothesis import event, given, settings
from hypothesis import strategies as st

from executions_app.engine.states import TERMINAL_NODE
from executions_app.engine.testing import MemorySink, run_plan
from tests.unit.engine.generators import CATALOGUE, scenarios
from tests.unit.engine.judging import check_stop, differences
from tests.unit.engine.playback import Playback, processors_for
from tests.unit.engine.reference import Fate, Result, predict
from workflows_app.dag import jsontext, validation
from workflows_app.dag.plan import Plan
from workflows_app.dag.problems import errors_of

PAUSES = st.dictionaries(st.integers(0, 24).map("n{}".format), st.integers(0, 4))
ENDS = {"node.completed", "node.failed", "node.skipped", "node.cancelled"}


class Played:
    """A scenario that was run in an event loop of its own."""

    def __init__(self, scenario, pauses, latency=1):
        self.plan = Plan.from_document(scenario.document)
        self.playback = Playback(scenario.behaviour, pauses)
        self.sink = MemorySink(self.plan, latency=latency)
        self.result = asyncio.run(self._run(scenario.execution_input))
        self.entries = self.sink.entries
        self.observed = Result(
            status=str(self.result.status),
            reason=self.result.reason and str(self.result.reason),
            nodes={key: self._fate(key, settled) for key, settled in self.sink.settled.items()},
        )

    async def _run(self, execution_input):
        processors = processors_for(self.playback)
        result, _ = await run_plan(self.plan, execution_input, processors=processors, sink=self.sink)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
        return result

    def _fate(self, key, settled):
        return Fate(
            status=str(settled.status),
            reason=settled.reason and str(settled.reason),
            cause=settled.cause or None,
            attempts=self.playback.attempts[key],
        )


@settings(max_examples=400)
@given(scenarios(on_failure=("continue",)), PAUSES, st.integers(1, 3))
def test_every_node_ends_as_the_model_says(scenario, pauses, latency):
    assert not errors_of(validation.validate(scenario.document, CATALOGUE))
    played = Played(scenario, pauses, latency)
    expected = predict(scenario.document, scenario.behaviour, execution_input=scenario.execution_input)
    assert not differences(expected, played.observed)
    for key, settled in played.sink.settled.items():
        if '"taken"' in settled.details:
            assert jsontext.loads(settled.details)["taken"] == expected.taken(scenario.document, key)
    for fate in expected.nodes.values():
        event(f"{fate.status} {fate.reason}")


@settings(max_examples=250)
@given(scenarios(on_failure=("stop",)), PAUSES)
def test_a_stop_ends_every_node_as_the_rules_allow(scenario, pauses):
    played = Played(scenario, pauses)
    complaints = check_stop(
        scenario.document, scenario.behaviour, played.observed, execution_input=scenario.execution_input
    )
    assert not complaints
    assert all(status in TERMINAL_NODE for status in played.sink.statuses)


@settings(max_examples=150)
@given(scenarios(), PAUSES)
def test_no_more_nodes_are_under_way_than_the_limit(scenario, pauses):
    played = Played(scenario, pauses)
    limit = played.plan.settings.max_parallel_nodes
    assert played.playback.peak <= limit
    assert played.sink.peak_running <= limit


@settings(max_examples=150)
@given(scenarios(scheduling=("levels",)), PAUSES)
def test_a_level_starts_when_the_one_before_is_terminal(scenario, pauses):
    played = Played(scenario, pauses)
    levels = {node.key: level for node, level in zip(played.plan.nodes, played.plan.levels, strict=True)}
    open_nodes = set(levels)
    for entry in played.entries:
        if entry.event == "node.running":
            assert all(levels[key] >= levels[entry.node] for key in open_nodes)
        elif entry.event in ENDS:
            open_nodes.discard(entry.node)


@settings(max_examples=150)
@given(scenarios(), PAUSES)
def test_every_node_has_one_end_in_the_journal_and_the_execution_the_last_entry(scenario, pauses):
    played = Played(scenario, pauses)
    ends = [entry.node for entry in played.entries if entry.event in ENDS]
    assert sorted(ends) == sorted(node["key"] for node in scenario.document["nodes"])
    assert played.entries[-1].event == f"execution.{played.result.status}"
