"""One run at a time: the classic errors of executors, and what foreign code can do to an engine."""

import asyncio
import sys
import time
from decimal import Decimal

import pytest

from executions_app.engine.attempt import Attempt
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.errors import OwnershipLost, RecorderFailed
from executions_app.engine.ports import Limits
from executions_app.engine.states import TERMINAL_NODE, Reason
from executions_app.engine.testing import MemorySink, run_plan
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import NodeType
from workflows_app.processors.base import Prepared, Unchecked


class Code(Unchecked):
    """A processor that calls one function per node; a node without one returns its merged input."""

    def __init__(self, **functions):
        self.functions = functions

    def pre_process(self, call):
        return Prepared(input=call.merged_input())

    async def process(self, call, prepared):
        function = self.functions.get(call.node.key)
        return prepared.input if function is None else await function(call)


def plan(*edges, **more):
    """Nodes are tools named in edges `a>b`; the first is a trigger. `more` are settings, or nodes' own fields."""
    pairs = [edge.split(">") for edge in edges]
    keys = list(dict.fromkeys(key for pair in pairs for key in pair))
    fields = {key: more.pop(key) for key in list(more) if key in keys}
    nodes = [
        {"key": key, "type": "tool" if position else "trigger"}
        | ({"tool": "test.node"} if position else {})
        | fields.get(key, {})
        for position, key in enumerate(keys)
    ]
    edges = [{"from": source, "to": target} for source, target in pairs]
    return Plan.from_document({"name": "test", "settings": more, "nodes": nodes, "edges": edges})


async def run(the_plan, input_data=None, *, sink=None, cancel=None, limits=None, **functions):
    processors = dict.fromkeys(NodeType, Code(**functions))
    return await run_plan(the_plan, input_data, processors=processors, sink=sink, cancel=cancel, limits=limits)


async def fails(_call):
    raise ValueError("it broke")


async def waits(_call):
    await asyncio.Event().wait()


def statuses(sink):
    return {key: str(settled.status) for key, settled in sink.settled.items()}


async def test_a_failed_parents_child_never_runs_and_has_one_end():
    called = []

    async def child(call):
        called.append(call.node.key)

    result, sink = await run(plan("t>a", "a>b"), a=fails, b=child)
    assert not called
    assert statuses(sink) == {"t": "completed", "a": "failed", "b": "skipped"}
    assert sink.settled["b"].reason == "upstream_failed"
    assert sink.settled["b"].cause == "a"
    assert (result.status, result.reason) == ("failed", "node_error")
    assert result.error.message == "it broke"


async def test_a_failing_sibling_does_not_stop_the_others():
    _, sink = await run(plan("t>a", "t>b", "t>c", "b>d"), a=fails)
    assert statuses(sink) == {"t": "completed", "a": "failed", "b": "completed", "c": "completed", "d": "completed"}


async def test_the_input_reaches_the_first_node():
    result, _ = await run(plan("t>a"), {"symbol": "AAPL"})
    assert result.context.get_output("a") == {"symbol": "AAPL"}


async def test_no_more_nodes_are_under_way_than_the_limit_allows():
    inside, peak = 0, 0

    async def work(_call):
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        await asyncio.sleep(0.001)
        inside -= 1

    keys = [f"n{number}" for number in range(12)]
    _, sink = await run(plan(*(f"t>{key}" for key in keys), max_parallel_nodes=2), **dict.fromkeys(keys, work))
    assert peak == 2
    assert sink.peak_running <= 2


async def test_siblings_run_at_the_same_time():
    arrived = []
    everybody = asyncio.Event()

    async def meet(call):
        arrived.append(call.node.key)
        if len(arrived) == 3:
            everybody.set()
        await everybody.wait()

    result, _ = await run(plan("t>a", "t>b", "t>c"), a=meet, b=meet, c=meet)
    assert result.status == "completed"


async def test_what_a_node_sees_is_its_own():
    async def gives(_call):
        return {"items": [1]}

    async def changes(call):
        found = call.merged_input()
        found["items"].append(2)
        return found

    result, _ = await run(plan("t>a", "a>b", "a>c", "b>d", "c>d"), a=gives, b=changes)
    assert result.context.get_output("a") == {"items": [1]}
    assert result.context.get_output("c") == {"items": [1]}


@pytest.mark.parametrize(
    ("value", "part"),
    [({1, 2}, "set"), (float("nan"), "NaN"), (object(), "object"), ({"a": [b"x"]}, "a[0]"), ("\0", "U+0000")],
)
async def test_a_result_that_is_not_json_fails_its_node_with_a_sentence(value, part):
    async def gives(_call):
        return value

    _, sink = await run(plan("t>a", "t>b"), a=gives)
    assert statuses(sink)["a"] == "failed"
    assert statuses(sink)["b"] == "completed"
    error = sink.settled["a"].error
    assert error.code == "invalid_output"
    assert part in error.message


async def test_floats_become_the_decimal_that_they_show():
    async def gives(_call):
        return {"price": 0.1, "exact": Decimal("1234567890123456789.123456789")}

    result, _ = await run(plan("t>a"), a=gives)
    assert result.context.get_output("a") == {
        "price": Decimal("0.1"),
        "exact": Decimal("1234567890123456789.123456789"),
    }


async def test_an_output_over_the_limit_fails_its_node():
    async def gives(_call):
        return "x" * 2000

    _, sink = await run(plan("t>a", "t>b"), a=gives, limits=Limits(output_bytes=1000))
    assert statuses(sink) == {"t": "completed", "a": "failed", "b": "completed"}
    assert "1000" in sink.settled["a"].error.message


async def test_all_outputs_together_have_a_limit():
    async def gives(_call):
        return "x" * 600

    _, sink = await run(plan("t>a", "a>b"), a=gives, b=gives, limits=Limits(execution_bytes=1000))
    assert statuses(sink) == {"t": "completed", "a": "completed", "b": "failed"}


async def exits(_call):
    sys.exit(3)


async def cancels_itself(_call):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def raises_cancelled(_call):
    raise asyncio.CancelledError


async def raises_strange_text(_call):
    raise ValueError("nul \0 and surrogate \ud800")


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


async def raises_without_text(_call):
    raise Unspeakable


@pytest.mark.parametrize("code", [exits, cancels_itself, raises_cancelled, raises_strange_text, raises_without_text])
async def test_whatever_code_does_is_its_nodes_failure(code):
    result, sink = await run(plan("t>a", "t>b", "b>c"), a=code)
    assert statuses(sink) == {"t": "completed", "a": "failed", "b": "completed", "c": "completed"}
    assert result.status == "failed"
    assert sink.settled["a"].error.message


async def test_a_node_over_its_limit_times_out_and_its_siblings_finish():
    _, sink = await run(plan("t>a", "t>b", a={"timeout_seconds": Decimal("0.02")}), a=waits)
    assert statuses(sink) == {"t": "completed", "a": "failed", "b": "completed"}
    settled = sink.settled["a"]
    assert settled.reason == "timeout"
    assert settled.error.type == "NodeTimeoutError"
    assert "0.02 seconds" in settled.error.message


async def test_code_that_blocks_the_loop_beyond_its_limit_is_still_too_late():
    async def blocks(_call):
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 - that is the point
        return "too late"

    _, sink = await run(plan("t>a", a={"timeout_seconds": Decimal("0.02")}), a=blocks)
    assert sink.settled["a"].reason == "timeout"


async def test_code_that_swallows_its_cancellation_is_let_go_and_its_result_refused():
    release = asyncio.Event()

    async def swallows(_call):
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    the_plan = plan("t>a", "a>b", a={"timeout_seconds": Decimal("0.01")})
    _, sink = await run(the_plan, a=swallows, limits=Limits(grace=0.01))
    assert statuses(sink) == {"t": "completed", "a": "failed", "b": "skipped"}
    assert "node.abandoned" in [entry.event for entry in sink.entries]
    assert len(Attempt.abandoned) == 1
    release.set()
    await asyncio.gather(*Attempt.abandoned)
    await asyncio.sleep(0)
    assert not Attempt.abandoned
    assert not sink.settled["a"].output


async def test_an_execution_over_its_limit_fails_and_cancels_what_is_open():
    result, sink = await run(plan("t>a", "a>b", timeout_seconds=Decimal("0.02")), a=waits)
    assert (result.status, result.reason) == ("failed", "timeout")
    assert "0.02 seconds" in result.error.message
    assert statuses(sink) == {"t": "completed", "a": "cancelled", "b": "cancelled"}
    assert sink.settled["a"].reason == "timeout"


async def test_a_cancel_ends_running_and_waiting_nodes_and_keeps_completed_ones():
    cancel = CancelToken()

    async def asks(_call):
        cancel.request(Reason.USER)
        await asyncio.Event().wait()

    result, sink = await run(plan("t>a", "t>b", "b>c", max_parallel_nodes=1), a=asks, cancel=cancel)
    assert (result.status, result.reason) == ("cancelled", "user")
    assert statuses(sink) == {"t": "completed", "a": "cancelled", "b": "cancelled", "c": "cancelled"}
    assert sink.settled["b"].started_at is None


async def test_a_cancel_before_the_start_runs_nothing():
    called, cancel = [], CancelToken()
    cancel.request(Reason.USER)

    async def work(call):
        called.append(call.node.key)

    result, sink = await run(plan("t>a"), t=work, a=work, cancel=cancel)
    assert result.status == "cancelled"
    assert not called
    assert set(statuses(sink).values()) == {"cancelled"}


async def test_a_cancel_while_a_node_waits_for_its_retry_ends_it_at_once():
    cancel = CancelToken()

    async def fails_and_asks(_call):
        asyncio.get_running_loop().call_later(0.01, cancel.request, Reason.USER)
        raise ValueError("again")

    the_plan = plan("t>a", a={"retry": {"max_retries": 1, "delay": 1000}})
    result, sink = await run(the_plan, a=fails_and_asks, cancel=cancel)
    assert result.status == "cancelled"
    assert sink.settled["a"].retry_count == 1


async def test_a_waiting_retry_holds_no_slot():
    order = []

    async def fails_once(call):
        order.append(f"a{call.attempt.number}")
        if call.attempt.number == 1:
            raise ValueError("again")

    async def other(_call):
        order.append("b")

    the_plan = plan("t>a", "t>b", max_parallel_nodes=1, a={"retry": {"max_retries": 1, "delay": Decimal("0.01")}})
    result, _ = await run(the_plan, a=fails_once, b=other)
    assert order == ["a1", "b", "a2"]
    assert result.status == "completed"


async def test_all_attempts_have_ids_of_their_own_and_one_idempotency_key():
    seen = []

    async def fails_twice(call):
        seen.append((call.attempt.attempt_id, call.attempt.idempotency_key, call.attempt.number))
        if call.attempt.number < 3:
            raise ValueError("again")

    the_plan = plan("t>a", a={"retry": {"max_retries": 5, "delay": 0}})
    _, sink = await run(the_plan, a=fails_twice)
    assert [number for _, _, number in seen] == [1, 2, 3]
    assert len({attempt_id for attempt_id, _, _ in seen}) == 3
    assert len({key for _, key, _ in seen}) == 1
    assert sink.settled["a"].retry_count == 2
    assert [entry.level for entry in sink.entries if entry.event == "node.retrying"] == ["warning", "warning"]


@pytest.mark.parametrize(
    ("retry", "attempts"),
    [
        ({"retry_on": ["ValueError"]}, 3),
        ({"retry_on": ["Exception"]}, 3),
        ({"retry_on": ["OSError"]}, 1),
        ({"never_retry_on": ["ValueError"]}, 1),
        ({"retry_on": ["ValueError"], "never_retry_on": ["Exception"]}, 1),
    ],
)
async def test_retries_follow_the_names_of_the_error_and_its_bases(retry, attempts):
    the_plan = plan("t>a", a={"retry": {"max_retries": 2, "delay": 0, **retry}})
    _, sink = await run(the_plan, a=fails)
    assert len(sink.starts["a"]) == attempts


@pytest.mark.parametrize("failure", [RecorderFailed("disk full"), OwnershipLost("x")])
@pytest.mark.parametrize("at", range(1, 6))
async def test_a_record_that_fails_ends_the_run_and_leaves_no_task(failure, at):
    commits = 0
    the_plan = plan("t>a", "t>b", "a>c", "b>c")

    def breaks(_events):
        nonlocal commits
        commits += 1
        if commits >= at:
            raise failure

    sink = MemorySink(the_plan, before_commit=breaks)
    with pytest.raises(type(failure)):
        await run(the_plan, sink=sink, b=waits if at == 2 else None)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert sink.end is None


async def test_an_attempt_with_an_effect_is_on_record_before_its_code_runs():
    the_plan = plan("t>a", a={"effect": "at_most_once"})
    sink = MemorySink(the_plan, latency=5)
    found = []

    async def looks(_call):
        found.append(str(sink.statuses[1]))

    await run(the_plan, sink=sink, a=looks)
    assert found == ["running"]


async def test_a_timeout_of_an_at_most_once_node_is_an_unknown_outcome_and_not_retried():
    node = {"effect": "at_most_once", "timeout_seconds": Decimal("0.01"), "retry": {"max_retries": 3, "delay": 0}}
    _, sink = await run(plan("t>a", a=node), a=waits)
    assert len(sink.starts["a"]) == 1
    assert "outcome is unknown" in sink.settled["a"].error.message


async def test_a_run_ends_with_every_node_terminal_even_without_edges_that_are_taken():
    _, sink = await run(plan("t>a", "a>b", "b>c"), a=fails)
    assert all(status in TERMINAL_NODE for status in sink.statuses)
