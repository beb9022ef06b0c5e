"""The engine against the reference model: random documents, random outcomes, both schedulings."""

import asyncio

from hypothesis import event, given, settings
from hypothesis import strategies as st

from executions_app.engine.states import TERMINAL_NODE
from executions_app.engine.testing import MemorySink, run_plan
from tests.unit.engine import reference
from tests.unit.engine.generators import workflows
from tests.unit.engine.playback import Playback, processors_for
from workflows_app.dag import validation
from workflows_app.dag.plan import Plan
from workflows_app.dag.problems import errors_of
from workflows_app.dag.types import Effect, ToolInfo

TOOLS = {"test.node": ToolInfo(name="test.node", effect=Effect.NONE, input_schema={}, output_schema={})}
PAUSES = st.dictionaries(st.integers(0, 13).map("n{}".format), st.integers(0, 4))


def play(document, behaviour, pauses, latency=1):
    """Run a document in an event loop of its own; the record, the result, and the playback."""
    plan = Plan.from_document(document)
    playback = Playback(behaviour, pauses)
    sink = MemorySink(plan, latency=latency)

    async def main():
        result, _ = await run_plan(plan, {"n": 5}, processors=processors_for(playback), sink=sink)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left: {left}"
        return result

    return asyncio.run(main()), sink, playback


@settings(max_examples=400)
@given(workflows(), PAUSES, st.integers(1, 3))
def test_statuses_reasons_and_causes_are_those_of_the_model(workflow, pauses, latency):
    document, behaviour = workflow
    assert not errors_of(validation.validate(document, TOOLS))
    fates = reference.predict(document, behaviour)
    result, sink, playback = play(document, behaviour, pauses, latency)

    found = {key: (settled.status, settled.reason, settled.cause or None) for key, settled in sink.settled.items()}
    assert found == {key: (fate.status, fate.reason, fate.cause) for key, fate in fates.items()}
    assert result.status == reference.execution_status(fates)
    for reason in {fate.reason for fate in fates.values()}:
        event(f"reason {reason}")

    ran = {key for key, fate in fates.items() if fate.status in ("completed", "failed")}
    assert set(playback.calls) == ran
    assert playback.peak <= document["settings"]["max_parallel_nodes"]


@settings(max_examples=200)
@given(workflows(on_failure="stop"), PAUSES)
def test_a_stop_ends_every_node_and_starts_none_after_it(workflow, pauses):
    document, behaviour = workflow
    result, sink, _ = play(document, behaviour, pauses)
    assert all(status in TERMINAL_NODE for status in sink.statuses)
    stopped = [settled for settled in sink.settled.values() if settled.reason == "stopped"]
    if result.status == "completed":
        assert not stopped
        return
    causes = {settled.cause for settled in stopped}
    assert len(causes) <= 1
    for failed in causes:
        descendants = _descendants(document, failed)
        for settled in stopped:
            assert document["nodes"][settled.node]["key"] not in descendants
        at = _position(sink, "node.failed", failed)
        later = [entry for entry in sink.entries[at:] if entry.event == "node.running" and entry.node in descendants]
        assert not later


@settings(max_examples=100)
@given(workflows(), PAUSES)
def test_a_level_starts_when_the_one_before_is_terminal(workflow, pauses):
    document, behaviour = workflow
    document["settings"]["scheduling"] = "levels"
    _, sink, _ = play(document, behaviour, pauses)
    plan = sink.plan
    levels = {node.key: level for node, level in zip(plan.nodes, plan.levels, strict=True)}
    open_nodes = set(levels)
    for entry in sink.entries:
        if entry.event == "node.running":
            assert all(levels[key] >= levels[entry.node] for key in open_nodes)
        elif entry.event in ("node.completed", "node.failed", "node.skipped", "node.cancelled"):
            open_nodes.discard(entry.node)


@settings(max_examples=100)
@given(workflows(), PAUSES)
def test_every_node_has_one_end_in_the_journal(workflow, pauses):
    document, behaviour = workflow
    _, sink, _ = play(document, behaviour, pauses)
    ends = [entry.node for entry in sink.entries if entry.event in ENDS]
    assert sorted(ends) == sorted(node["key"] for node in document["nodes"])
    assert sink.entries[-1].event.startswith("execution.")


ENDS = {"node.completed", "node.failed", "node.skipped", "node.cancelled"}


def _descendants(document, key):
    found, stack = set(), [key]
    while stack:
        current = stack.pop()
        for edge in document["edges"]:
            if edge["from"] == current and edge["to"] not in found:
                found.add(edge["to"])
                stack.append(edge["to"])
    return found


def _position(sink, event_name, key):
    return next(index for index, entry in enumerate(sink.entries) if (entry.event, entry.node) == (event_name, key))
