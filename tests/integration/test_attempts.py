"""Retries, time limits and attempts, through `WorkflowExecutor` and the record."""

import asyncio
import itertools
import threading
import time

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt
from executions_app.queries import attempts_json, execution_by_id
from tests.eventually import eventually
from tests.integration.conftest import document
from tests.integration.virtual_time import run_virtually
from workflows_app.tools import AttemptEnded, Permanent, Retryable, ToolContext, threads, tool

__all__ = ["run_virtually"]
pytestmark = pytest.mark.django_db(transaction=True)


def flaky(times, **fields):
    return {"tool": "core.fail", "inputs": {"times": times, "message": "not now"}, **fields}


def execute(workflow):
    return asyncio.run(WorkflowExecutor().execute(workflow.id))


def attempts_of(result, key):
    return attempts_json(execution_by_id(str(result.execution_id))).get(key, [])


def warnings_of(result):
    return ExecutionLog.objects.filter(execution_id=result.execution_id, level="warning").order_by("seq")


def test_a_node_that_fails_twice_then_succeeds_has_three_attempts(import_document):
    workflow = import_document(document("t>a", "a>b", a=flaky(2, retry={"max_retries": 3, "delay": 0})))
    result = execute(workflow)
    node = result.node_results["a"]
    assert (result.status, node.status, node.retry_count, node.output_data) == (
        "completed", "completed", 2, {"attempt": 3},
    )  # fmt: skip
    attempts = attempts_of(result, "a")
    assert [attempt["outcome"] for attempt in attempts] == ["failed", "failed", "succeeded"]
    assert [attempt["number"] for attempt in attempts] == [1, 2, 3]
    assert len({attempt["attempt_id"] for attempt in attempts}) == 3
    assert attempts[0]["error"] == {"code": "node_error", "message": "not now", "type": "ToolFailed", "node": "a"}
    assert "ToolFailed: not now" in attempts[0]["traceback"]
    assert attempts[2]["error"] is None
    assert all(attempt["started_at"] <= attempt["ended_at"] for attempt in attempts)


def test_every_retry_is_a_warning_with_its_attempt_and_delay(import_document):
    retry = {"max_retries": 2, "delay": "0.001", "multiplier": 2}
    retry["delay"] = 0
    result = execute(import_document(document("t>a", a=flaky(2, retry=retry))))
    first, second = warnings_of(result)
    assert first.event == second.event == "node.retrying"
    assert (first.data["attempt"], first.data["delay_ms"]) == (1, 0)
    assert (second.data["attempt"], second.data["retry_count"]) == (2, 2)
    assert first.message == "Attempt 1 of node 'a' failed (not now); retry 1 of 2 in 0 s."


def test_a_node_that_always_fails_is_tried_four_times_and_its_successors_are_skipped(import_document):
    retry = {"max_retries": 3, "delay": 0}
    result = execute(import_document(document("t>a", "a>b", a=flaky(None, retry=retry))))
    a, b = result.node_results["a"], result.node_results["b"]
    assert (result.status, result.reason) == ("failed", "node_error")
    assert (a.status, a.retry_count, len(attempts_of(result, "a"))) == ("failed", 3, 4)
    assert (b.status, b.reason) == ("skipped", "upstream_failed")
    log = ExecutionLog.objects.get(execution_id=result.execution_id, event="node.failed")
    assert log.message == "Node 'a' failed: not now (No more retries: 3 of 3 used.)"
    skip = ExecutionLog.objects.get(execution_id=result.execution_id, event="node.skipped")
    assert skip.data["cause"] == "a"


def test_waits_double_in_virtual_time(import_document, run_virtually):
    retry = {"max_retries": 3, "delay": 1, "multiplier": 2}
    workflow = import_document(document("t>a", a=flaky(3, retry=retry)))
    result, seconds = run_virtually(WorkflowExecutor().execute(workflow.id))
    assert result.node_results["a"].retry_count == 3
    starts = [attempt["started_at"] for attempt in attempts_of(result, "a")]
    waits = [(after - before).total_seconds() for before, after in itertools.pairwise(starts)]
    assert waits == pytest.approx([1, 2, 4], abs=0.001)
    assert seconds == pytest.approx(7, abs=0.1)


def test_jitter_and_max_delay_bound_the_waits(import_document, run_virtually):
    retry = {"max_retries": 6, "delay": 1, "multiplier": 3, "max_delay": 5, "jitter": "equal"}
    workflow = import_document(document("t>a", a=flaky(6, retry=retry)))
    result, _ = run_virtually(WorkflowExecutor().execute(workflow.id))
    waits = [log.data["delay_ms"] for log in warnings_of(result)]
    assert all(full / 2 <= wait <= full for wait, full in zip(waits, (1000, 3000, 5000, 5000, 5000, 5000), strict=True))
    assert len(set(waits)) > 1


def test_a_permanent_failure_is_final_and_a_retryable_one_waits_as_it_was_asked(import_document, run_virtually, tools):
    # Not in threads, whose time is not virtual.
    @tool("test.refused", effect="none")
    async def refused() -> int:
        raise Permanent("The account is closed.")

    @tool("test.busy", effect="none")
    async def busy(context: ToolContext) -> int:
        if context.number == 1:
            raise Retryable("The server is busy.", retry_after=90)
        return context.number

    retry = {"max_retries": 3, "delay": 1}
    nodes = {key: {"tool": f"test.{name}", "retry": retry} for key, name in (("a", "refused"), ("b", "busy"))}
    workflow = import_document(document("t>a", "t>b", **nodes))
    result, seconds = run_virtually(WorkflowExecutor().execute(workflow.id))
    a, b = result.node_results["a"], result.node_results["b"]
    assert (a.status, a.retry_count, a.error["code"]) == ("failed", 0, "permanent")
    assert (b.status, b.retry_count, b.output_data) == ("completed", 1, 2)
    assert 90 <= seconds < 91


def test_a_timed_out_attempt_is_retried_and_says_its_limit(import_document, run_virtually):
    slow = {"tool": "core.sleep", "inputs": {"seconds": 60}, "timeout_seconds": 5}
    slow["retry"] = {"max_retries": 1, "delay": 1}
    result, seconds = run_virtually(WorkflowExecutor().execute(import_document(document("t>a", "t>b", a=slow)).id))
    a = result.node_results["a"]
    assert (a.status, a.reason, a.retry_count, a.error["type"]) == ("failed", "timeout", 1, "NodeTimeoutError")
    assert a.error_message == "Node 'a' did not finish within its limit of 5 seconds."
    assert [attempt["outcome"] for attempt in attempts_of(result, "a")] == ["timed_out", "timed_out"]
    assert result.node_results["b"].status == "completed"
    assert seconds == pytest.approx(11, abs=0.1)


def test_a_timeout_that_is_excluded_is_not_retried(import_document, run_virtually):
    slow = {"tool": "core.sleep", "inputs": {"seconds": 60}, "timeout_seconds": 5}
    slow["retry"] = {"max_retries": 3, "delay": 1, "never_retry_on": ["TimeoutError"]}
    result, _ = run_virtually(WorkflowExecutor().execute(import_document(document("t>a", a=slow)).id))
    log = ExecutionLog.objects.get(execution_id=result.execution_id, event="node.failed")
    assert log.data["gave_up"] == "NodeTimeoutError is in never_retry_on."
    assert result.node_results["a"].retry_count == 0


def test_ten_hung_synchronous_tools_hold_threads_and_not_the_run(import_document, tools, settings):
    settings.PASTETRADER = {"TOOL_THREADS": 4}
    release = threading.Event()

    @tool("test.hang", effect="none")
    def hang() -> str:
        release.wait(30)
        return "late"

    hung = {"tool": "test.hang", "timeout_seconds": 0.5, "on_error": "continue"}
    keys = [f"h{number}" for number in range(10)]
    workflow = import_document(
        document(
            *(f"t>{key}" for key in keys), *(f"{key}>end" for key in keys),
            settings={"max_parallel_nodes": 10}, end={"type": "aggregator"}, **dict.fromkeys(keys, hung),
        )
    )  # fmt: skip
    # Those that another test left behind would be counted.
    eventually(lambda: threads.pool.overdue == 0)
    try:
        began = time.monotonic()
        result = execute(workflow)
        assert time.monotonic() - began < 10
        assert result.status == "completed"
        nodes = [result.node_results[key] for key in keys]
        assert {(node.status, node.reason) for node in nodes} == {("failed", "timeout")}
        held = [node for node in nodes if "waited for a thread" not in node.error_message]
        waited = [node for node in nodes if node not in held]
        assert len(held) == threads.pool.overdue == 4
        assert all("all 4 for synchronous tools are taken" in node.error_message for node in waited)
        told = ExecutionLog.objects.filter(execution_id=result.execution_id, event="node.abandoned")
        assert sorted(log.node for log in told) == sorted(node.key for node in held)
        assert "Its thread goes on, for Python cannot stop one" in told[0].message
        # The places are still held: another run waits in vain, and ends.
        again = execute(workflow)
        assert all("4 of them by tools whose nodes have ended" in again.node_results[key].error_message for key in keys)
    finally:
        release.set()
    eventually(lambda: threads.pool.overdue == 0)
    assert NodeAttempt.objects.exclude(outcome="timed_out").exclude(outcome="succeeded").count() == 0
    # The late results changed nothing, and the places are free again.
    assert {node.status for node in execute(workflow).node_results.values()} == {"completed"}


def test_an_attempt_that_may_have_had_an_effect_says_so_when_it_is_cancelled(import_document, tools):
    begun = []

    @tool("test.order")
    async def order(context: ToolContext) -> str:
        begun[0].set_result(context.execution_id)
        await asyncio.sleep(60)
        return "done"

    workflow = import_document(document("t>a", a={"tool": "test.order"}))

    async def main():
        begun.append(asyncio.get_running_loop().create_future())
        running = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        await WorkflowExecutor().cancel(await begun[0])
        return await running

    result = asyncio.run(main())
    (attempt,) = attempts_of(result, "a")
    assert attempt["outcome"] == "cancelled"
    assert attempt["error"]["code"] == "outcome_unknown"
    assert "verify at the receiver" in result.node_results["a"].error_message


def test_code_in_a_thread_hears_by_its_heartbeat_that_nobody_waits_any_more(import_document, tools):
    ended = threading.Event()

    @tool("test.long", effect="none")
    def long(context: ToolContext) -> int:
        try:
            while True:
                context.heartbeat()
                time.sleep(0.01)
        except AttemptEnded:
            ended.set()
            raise

    workflow = import_document(document("t>a", a={"tool": "test.long", "timeout_seconds": 0.1}))
    assert asyncio.run(WorkflowExecutor().execute(workflow.id)).status == "failed"
    assert ended.wait(5)


def test_progress_goes_to_the_journal_once_a_second_at_most(import_document, tools):
    @tool("test.progress", effect="none")
    async def progress(context: ToolContext) -> int:
        for done in range(100):
            context.heartbeat({"done": done})
        return 1

    workflow = import_document(document("t>a", a={"tool": "test.progress"}))
    assert asyncio.run(WorkflowExecutor().execute(workflow.id)).status == "completed"
    (log,) = ExecutionLog.objects.filter(event="log")
    assert (log.level, log.data) == ("debug", {"progress": {"done": 0}})
