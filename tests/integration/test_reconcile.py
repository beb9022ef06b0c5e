"""Tools that can say what became of an order whose answer nobody heard."""

import asyncio

import pytest

from executions_app.dispatch import runner, running
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution, ownership
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from tests.integration.test_recovery import resume
from workflows_app.tools import Done, InterruptedAttempt, NotDone, Unknown, tool
from workflows_app.tools.context import ToolContext
from workflows_app.tools.errors import ToolDefinitionError

pytestmark = pytest.mark.django_db(transaction=True)


class Broker:
    """Takes orders, once for each client order id, and answers late or never."""

    def __init__(self):
        self.orders = {}
        self.answers_after = 0.0
        self.takes_orders = True
        self.calls = 0
        self.called = asyncio.Event()
        self.asked = []
        self.verdict = None

    def find(self, attempt: InterruptedAttempt):
        self.asked.append(attempt)
        if self.verdict is not None:
            if isinstance(self.verdict, Exception):
                raise self.verdict
            return self.verdict
        found = self.orders.get(attempt.idempotency_key)
        return NotDone() if found is None else Done({"order": found})


@pytest.fixture
def broker(tools):
    broker = Broker()

    @tool("broker.order", effect="checkable", reconcile=broker.find)
    async def order(context: ToolContext, amount: int) -> dict[str, int]:
        broker.calls += 1
        broker.called.set()
        if broker.takes_orders:
            assert context.idempotency_key not in broker.orders
            broker.orders[context.idempotency_key] = amount
        await asyncio.sleep(broker.answers_after)
        return {"order": amount}

    return broker


def ordering(**more):
    node = {"tool": "broker.order", "inputs": {"amount": 5}, **more}
    return document("t>order", "order>after", order=node, after={"inputs": {"got": "${{ nodes.order.order }}"}})


@pytest.fixture
def crash(import_document, broker):
    """A run whose engine died while the order was under way."""

    def crash_():
        broker.answers_after = 60
        execution = start(StartRequest(target=import_document(ordering()), input={})).execution

        async def main():
            broker.called = asyncio.Event()
            run = asyncio.create_task(runner.run(execution.id))
            await broker.called.wait()
            # As if the process had gone: nothing more is written.
            running._find(execution.id).lose()
            return await run

        assert not asyncio.run(main())
        broker.answers_after = 0
        return execution

    return crash_


def node_of(execution, key="order"):
    return NodeExecution.objects.get(execution=execution, key=key)


def outcomes(execution):
    return list(NodeAttempt.objects.filter(execution=execution, order=1).values_list("outcome", flat=True))


def abandon(execution):
    WorkflowExecution.objects.filter(pk=execution.id).update(claimed_by="dead", lease_until=execution.created_at)


def test_an_order_that_was_taken_before_the_crash_is_found_and_not_made_again(crash, broker):
    execution = crash()
    abandon(execution)
    assert resume(execution)
    execution.refresh_from_db()
    node = node_of(execution)
    assert (execution.status, node.status, node.output) == ("completed", "completed", {"order": 5})
    assert node.details["reconciled"] == "done"
    assert node_of(execution, "after").output == {"got": 5}
    assert (broker.calls, outcomes(execution)) == (1, ["abandoned"])
    (asked,) = broker.asked
    first = NodeAttempt.objects.get(execution=execution, order=1)
    assert (asked.attempt_id, asked.number, asked.inputs) == (first.attempt_id, 1, {"amount": 5})
    assert asked.idempotency_key in broker.orders
    log = ExecutionLog.objects.get(execution=execution, event="log", node="order")
    assert log.message == f"The tool was asked what became of attempt {first.attempt_id}: done."


def test_an_order_that_never_arrived_is_made_again_at_once_and_costs_no_retry(crash, broker):
    broker.takes_orders = False
    execution = crash()
    broker.takes_orders = True
    abandon(execution)
    assert resume(execution)
    execution.refresh_from_db()
    assert (execution.status, node_of(execution).retry_count) == ("completed", 0)
    assert (broker.calls, outcomes(execution)) == (2, ["abandoned", "succeeded"])


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Unknown("The broker is closed."), "The broker is closed."),
        (RuntimeError("no line"), "could not tell what became of it: no line"),
        ("nonsense", "must return Done(output), NotDone() or Unknown(why)"),
        (Done({"order": object()}), "could not tell"),
    ],
)
def test_an_order_of_which_nobody_can_tell_fails_and_is_never_made_again(crash, broker, verdict, said):
    execution = crash()
    broker.verdict = verdict
    abandon(execution)
    assert resume(execution)
    execution.refresh_from_db()
    node = node_of(execution)
    assert (execution.status, node.status, node.reason) == ("failed", "failed", "crashed")
    assert said in node.error_message
    assert "outcome is unknown" in node.error_message
    assert (broker.calls, outcomes(execution)) == (1, ["abandoned"])


def test_an_order_that_runs_out_of_time_is_looked_up(import_document, broker):
    broker.answers_after = 60
    result = asyncio.run(WorkflowExecutor().execute(import_document(ordering(timeout_seconds=0.1)).id))
    assert (result.status, result.node_results["order"].output_data) == ("completed", {"order": 5})
    execution = WorkflowExecution.objects.get()
    assert (broker.calls, outcomes(execution)) == (1, ["timed_out"])


def test_an_order_that_ran_out_of_time_and_was_not_taken_is_retried_as_configured(import_document, broker):
    broker.answers_after, broker.takes_orders = 60, False
    node = ordering(timeout_seconds=0.1, retry={"max_retries": 1, "delay": 0})
    result = asyncio.run(WorkflowExecutor().execute(import_document(node).id))
    assert (result.status, broker.calls, len(broker.asked)) == ("failed", 2, 2)
    message = result.node_results["order"].error_message
    assert "0.1 s" in message
    assert "unknown" not in message


def test_an_order_that_ran_out_of_time_and_of_which_nobody_can_tell_is_not_retried(import_document, broker):
    broker.answers_after, broker.verdict = 60, Unknown("Ask Monday.")
    node = ordering(timeout_seconds=0.1, retry={"max_retries": 3, "delay": 0})
    result = asyncio.run(WorkflowExecutor().execute(import_document(node).id))
    assert (result.status, broker.calls) == ("failed", 1)
    assert "outcome is unknown" in result.node_results["order"].error_message
    assert "Ask Monday." in result.node_results["order"].error_message


def test_a_coroutine_function_may_be_asked_too(import_document, tools):
    async def find(attempt: InterruptedAttempt):
        await asyncio.sleep(0)
        return Done(attempt.inputs["n"])

    @tool("broker.slow", effect="checkable", reconcile=find)
    async def slow(n: int) -> int:
        await asyncio.sleep(60)
        return n

    node = {"tool": "broker.slow", "inputs": {"n": 7}, "timeout_seconds": 0.05}
    result = asyncio.run(WorkflowExecutor().execute(import_document(document("t>a", a=node)).id))
    assert (result.status, result.node_results["a"].output_data) == ("completed", 7)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"effect": "checkable"}, "nothing says how"),
        ({"effect": "idempotent", "effects": ["checkable"]}, "nothing says how"),
        ({"effect": "none", "reconcile": print}, "asked for effect='checkable' only"),
        ({"effect": "checkable", "reconcile": print, "isolation": "process"}, "isolated in a process"),
    ],
)
def test_a_tool_that_cannot_be_checked_is_refused_when_it_is_registered(tools, options, why):
    with pytest.raises(ToolDefinitionError, match=why):

        @tool("broker.wrong", **options)
        def wrong() -> int:
            return 1


def test_leases_are_what_the_fixture_says(crash):
    """The control of the fixture: a run that was only lost has an owner until its lease is over."""
    execution = crash()
    assert ownership.abandoned([]) == []
    abandon(execution)
    assert [seen.execution_id for seen in ownership.abandoned([])] == [execution.id]
    assert resume(execution)
