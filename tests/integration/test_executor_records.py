"""`WorkflowExecutor` with the real recorder: what it returns and what it leaves in the database."""

import asyncio
import sys
from decimal import Decimal

import pytest
from django.db import connection

from executions_app.executor import ExecutionResult, WorkflowExecutor, WorkflowNotFoundError
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.recorder.thread import in_recorder
from executions_app.services.errors import AlreadyFinished, AlreadyRunning, ExecutionNotFound, InvalidInput
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.models import Workflow
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


def execute(workflow, input_data=None):
    return asyncio.run(WorkflowExecutor().execute(workflow.id, input_data))


def fate(result):
    return {key: (str(node.status), node.reason) for key, node in result.node_results.items()}


def test_a_result_has_the_outputs_and_one_entry_for_every_node(import_document):
    workflow = import_document(document("t>a", "a>b"))
    result = execute(workflow, {"symbol": "AAPL"})
    assert isinstance(result, ExecutionResult)
    assert result.status == "completed"
    assert result.output_data == {"t": {"symbol": "AAPL"}, "a": {"from": "a"}, "b": {"from": "b"}}
    assert list(result.node_results) == ["t", "a", "b"]
    assert result.error_message is None
    assert WorkflowExecution.objects.get().input == {"symbol": "AAPL"}


def test_a_failed_run_is_a_result_and_its_child_never_ran(import_document):
    workflow = import_document(document("t>a", "a>b", "t>c", a={"tool": "core.fail", "inputs": {"message": "no"}}))
    result = execute(workflow)
    assert fate(result) == {
        "t": ("completed", None),
        "a": ("failed", "node_error"),
        "b": ("skipped", "upstream_failed"),
        "c": ("completed", None),
    }
    assert (result.status, result.reason, result.error_message) == ("failed", "node_error", "no")
    assert NodeExecution.objects.filter(key="b").count() == 1
    assert NodeExecution.objects.get(key="b").details == {"cause": "a"}
    row = NodeExecution.objects.get(key="a")
    assert row.error_message == "no"
    assert "Traceback" in row.traceback
    log = ExecutionLog.objects.get(event="node.failed")
    assert (log.level, log.node) == ("error", "a")
    assert "Traceback" in log.data["traceback"]


def test_twelve_nodes_with_two_slots_are_two_at_a_time(import_document, tools):
    inside, peak = 0, 0

    @tool("test.count", effect="none")
    async def count() -> int:
        nonlocal inside, peak
        inside += 1
        peak = max(peak, inside)
        await asyncio.sleep(0.005)
        inside -= 1
        return peak

    keys = [f"n{number}" for number in range(12)]
    counting = {key: {"tool": "test.count", "inputs": {}} for key in keys}
    result = execute(
        import_document(document(*(f"t>{key}" for key in keys), settings={"max_parallel_nodes": 2}, **counting))
    )
    assert result.status == "completed"
    assert peak == 2


def test_a_join_after_exclusive_branches_runs(import_document):
    exclusive = document("t>check", "check>low", "check>high", "low>end", "high>end", check={"type": "condition"})
    exclusive["edges"][1] |= {"condition": "input.value < 10"}
    exclusive["edges"][2] |= {"default": True}
    workflow = import_document(exclusive)
    low, high = execute(workflow, {"value": 5}), execute(workflow, {"value": 50})
    assert fate(low)["high"] == ("skipped", "not_taken")
    assert fate(high)["low"] == ("skipped", "not_taken")
    assert fate(low)["end"] == fate(high)["end"] == ("completed", None)
    details = NodeExecution.objects.get(key="check", execution=high.execution_id).details
    assert details == {
        "evaluations": [{"to": "low", "condition": "input.value < 10", "result": False}],
        "taken": ["high"],
    }


def test_digits_survive_from_the_input_to_the_result(import_document):
    workflow = import_document(
        document(
            "t>a",
            a={
                "inputs": {
                    "amount": "${{ input.amount }}",
                    "sum": "${{ 0.1 + 0.2 }}",
                    "half": "${{ input.amount / 2 }}",
                }
            },
        )
    )
    amount = Decimal("1234567890123456789.123456789")
    output = execute(workflow, {"amount": amount}).node_results["a"].output_data
    assert output == {"amount": amount, "sum": Decimal("0.3"), "half": amount / 2}
    assert all(type(number) is Decimal for number in output.values())
    row = NodeExecution.objects.get(key="a")
    assert row.input["amount"] == amount
    assert str(row.output["amount"]) == "1234567890123456789.123456789"


@pytest.mark.parametrize(
    ("result", "part"),
    [({1}, "set"), (float("nan"), "NaN"), (object(), "object"), ("x" * 17 * 1024 * 1024, "bytes")],
    ids=["a set", "NaN", "an object", "17 MiB"],
)
def test_a_tool_that_returns_what_no_record_can_hold_fails_alone(import_document, tools, result, part):
    @tool("test.strange", effect="none")
    async def strange():
        return result

    ended = execute(import_document(document("t>a", "t>b", a={"tool": "test.strange", "inputs": {}})))
    assert fate(ended) == {"t": ("completed", None), "a": ("failed", "node_error"), "b": ("completed", None)}
    assert part in ended.node_results["a"].error_message


def test_a_tool_that_exits_or_cancels_itself_fails_alone(import_document, tools):
    @tool("test.exit", effect="none")
    def leave() -> int:
        sys.exit(3)

    @tool("test.cancel", effect="none")
    async def cancel() -> int:
        raise asyncio.CancelledError

    nodes = {key: {"tool": f"test.{key}", "inputs": {}} for key in ("exit", "cancel")}
    ended = execute(import_document(document("t>exit", "t>cancel", "t>c", **nodes)))
    assert [status for status, _ in fate(ended).values()] == ["completed", "failed", "failed", "completed"]


def test_what_misses_the_input_schema_is_refused_before_anything_is_written(import_document):
    schema = {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]}
    workflow = import_document(document("t>a", input_schema=schema))
    with pytest.raises(InvalidInput, match="symbol"):
        execute(workflow, {})
    with pytest.raises(InvalidInput, match="symbol"):
        execute(workflow, {"symbol": 5})
    assert not WorkflowExecution.objects.exists()


def test_an_unknown_workflow_is_an_error_that_says_so():
    with pytest.raises(WorkflowNotFoundError, match="nowhere"):
        asyncio.run(WorkflowExecutor().execute("nowhere", {}))


def test_a_workflow_that_is_edited_or_deleted_while_it_runs_keeps_its_snapshot(import_document, tools, owner):
    @tool("test.meddle", effect="none")
    def meddle() -> int:
        import_document(document("t>other"))
        Workflow.objects.get().delete()
        connection.close()
        return 1

    workflow = import_document(document("t>a", "a>b", a={"tool": "test.meddle", "inputs": {}}))
    result = execute(workflow)
    assert [status for status, _ in fate(result).values()] == ["completed"] * 3
    assert not Workflow.objects.exists()
    execution = WorkflowExecution.objects.get()
    assert execution.workflow_id == workflow.id
    assert (execution.version.name, execution.version.number) == ("test", 1)


async def _cancel_when_it_runs(workflow):
    executor = WorkflowExecutor()
    task = asyncio.create_task(executor.execute(workflow.id, {}))
    while True:
        await asyncio.sleep(0.005)
        running = await in_recorder(lambda: list(NodeExecution.objects.filter(key="a", status="running")))
        if running:
            break
    status = await executor.cancel(running[0].execution_id)
    again = await executor.cancel(running[0].execution_id)
    return status, again, await task


def test_a_cancel_ends_a_running_execution_and_twice_is_the_same_as_once(import_document):
    sleeping = {"tool": "core.sleep", "inputs": {"seconds": 60}}
    workflow = import_document(document("t>a", "a>b", a=sleeping))
    status, again, result = asyncio.run(_cancel_when_it_runs(workflow))
    assert status in ("running", "cancelled")
    assert again in ("running", "cancelled")
    assert (result.status, result.reason) == ("cancelled", "user")
    assert fate(result) == {"t": ("completed", None), "a": ("cancelled", "user"), "b": ("cancelled", "user")}


def test_a_cancel_of_what_is_finished_or_unknown_is_refused(import_document):
    result = execute(import_document(document("t>a")))
    with pytest.raises(AlreadyFinished, match="completed"):
        asyncio.run(WorkflowExecutor().cancel(result.execution_id))
    with pytest.raises(ExecutionNotFound):
        asyncio.run(WorkflowExecutor().cancel("00000000-0000-7000-8000-000000000000"))


def test_a_cancelled_pending_execution_runs_nothing(import_document):
    workflow = import_document(document("t>a"))
    execution = start(StartRequest(target=workflow, input={})).execution
    assert asyncio.run(WorkflowExecutor().cancel(execution.id)) == "cancelled"
    assert set(NodeExecution.objects.values_list("status", "reason")) == {("cancelled", "user")}
    events = list(ExecutionLog.objects.order_by("seq").values_list("event", flat=True))
    assert events == [
        "execution.pending", "execution.cancel_requested", "node.cancelled", "node.cancelled", "execution.cancelled",
    ]  # fmt: skip


def test_cancelling_the_awaiting_task_leaves_no_running_row(import_document):
    workflow = import_document(document("t>a", a={"tool": "core.sleep", "inputs": {"seconds": 60}}))

    async def give_up():
        async with asyncio.timeout(0.3):
            await WorkflowExecutor().execute(workflow.id, {})

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert WorkflowExecution.objects.get().status == "cancelled"


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_a_cancel_of_the_awaiting_task_at_any_moment_leaves_nothing_open(import_document, turns):
    workflow = import_document(document("t>a", "a>b", a={"tool": "core.sleep", "inputs": {"seconds": 60}}))

    async def give_up():
        task = asyncio.create_task(WorkflowExecutor().execute(workflow.id, {}))
        for _ in range(turns):
            # A turn of the loop, with time for the recorder's thread between them.
            await asyncio.sleep(0.0005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert set(WorkflowExecution.objects.values_list("status", flat=True)) <= {"cancelled"}


def test_many_executions_share_one_loop(import_document):
    workflow = import_document(document("t>a", "a>b", b={"inputs": {"n": "${{ input.n }}"}}))

    async def all_at_once():
        return await asyncio.gather(*(WorkflowExecutor().execute(workflow.id, {"n": n}) for n in range(30)))

    results = asyncio.run(all_at_once())
    assert [result.node_results["b"].output_data for result in results] == [{"n": n} for n in range(30)]


def test_a_workflow_that_forbids_it_has_one_execution_at_a_time(import_document):
    workflow = import_document(document("t>a", settings={"allow_concurrent": False}))
    first = start(StartRequest(target=workflow, input={})).execution
    with pytest.raises(AlreadyRunning, match=str(first.id)):
        start(StartRequest(target=workflow, input={}))
    asyncio.run(WorkflowExecutor().cancel(first.id))
    assert execute(workflow).status == "completed"


def test_deleting_an_execution_deletes_its_records(import_document):
    execute(import_document(document("t>a")))
    WorkflowExecution.objects.get().delete()
    for model in (NodeExecution, NodeAttempt, ExecutionLog):
        assert not model.objects.exists()
