"""Lines that a node's code writes to the journal, and where code may be when it writes."""

import asyncio
import threading

import pytest

from executions_app.engine.testing import run_plan
from tests.unit.engine.playback import processors_for
from tests.unit.engine.test_context import plan
from tests.unit.engine.test_run import Code

A_LONG_TEXT = "x" * 10_000


async def lines_of(code):
    _, sink = await run_plan(plan("t>a"), processors=processors_for(Code(a=code)))
    return sink, [(entry.level, entry.message, entry.data) for entry in sink.entries if entry.event == "log"]


async def test_code_in_the_event_loop_and_in_a_thread_writes_in_order():
    async def code(call):
        call.attempt.log("first", n=1)
        thread = threading.Thread(target=lambda: call.attempt.log("second", "error"))
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        call.attempt.log(A_LONG_TEXT, "debug")

    sink, lines = await lines_of(code)
    assert lines[:2] == [("info", "first", {"n": 1}), ("error", "second", {})]
    assert (lines[2][0], len(lines[2][1]) < len(A_LONG_TEXT)) == ("debug", True)
    assert sink.settled["a"].status == "completed"


async def test_a_level_that_is_none_fails_the_node_with_the_levels_there_are():
    async def code(call):
        call.attempt.log("hello", "loud")

    sink, lines = await lines_of(code)
    assert lines == []
    assert sink.settled["a"].error.message == "'loud' is no log level: use debug, info, warning, error."


@pytest.mark.parametrize("edges", [["t>a", "t>b", "a>c", "b>c", "a>d", "b>d", "c>e", "d>e"]])
async def test_a_node_far_down_reads_the_outputs_above_it(edges):
    seen = []

    async def code(call):
        nodes = call.scope.lookup("nodes")
        seen.append({key: nodes[key] for key in nodes})

    _, _ = await run_plan(plan(*edges), {"n": 1}, processors=processors_for(Code(e=code)))
    assert seen == [{key: {"n": 1} for key in ("t", "a", "b", "c", "d")}]
