"""`WorkflowExecutor` as a program uses it: the published names, refusals, and cancels from other threads."""

import asyncio
import threading
import uuid
from pathlib import Path

import pytest

import executions_app.executor as public
from executions_app.dispatch import runner
from executions_app.executor import WorkflowExecutor, WorkflowNotFoundError
from executions_app.models import ExecutionLog, WorkflowExecution
from executions_app.services.cancel import cancel
from executions_app.services.errors import InactiveWorkflow
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from tests.integration.runs import fates, run_text
from workflows_app.models import Workflow
from workflows_app.services.errors import InvalidDefinition
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


def execute(workflow_id, input_data=None):
    return asyncio.run(WorkflowExecutor().execute(workflow_id, input_data))


@pytest.mark.parametrize(
    "name",
    [
        "WorkflowExecutor", "ExecutionContext", "DAGGraph", "topological_sort", "NodeResult", "ExecutionResult",
        "DAGValidationError", "NodeTimeoutError", "ExecutionCancelledError", "WorkflowNotFoundError",
    ],
)  # fmt: skip
def test_the_published_names_are_there(name):
    assert name in public.__all__
    assert getattr(public, name).__doc__


@pytest.mark.parametrize("spelled", [lambda id_: id_, str, lambda _id: "test", lambda _id: "ada/test"])
def test_a_workflow_is_found_by_its_id_and_its_name(import_document, spelled):
    workflow = import_document(document("t>a"))
    assert execute(spelled(workflow.id)).status == "completed"


@pytest.mark.parametrize("unknown", [uuid.UUID(int=7), str(uuid.UUID(int=7)), ""])
def test_an_unknown_workflow_is_an_error_and_no_record(unknown):
    with pytest.raises(WorkflowNotFoundError, match="There is no workflow"):
        execute(unknown)
    assert not WorkflowExecution.objects.exists()


def test_a_workflow_without_nodes_is_refused_with_a_sentence(owner):
    head = {"name": "empty", "nodes": [], "edges": []}
    workflow = Workflow.objects.create(owner=owner, name="empty", head=head)
    with pytest.raises(InvalidDefinition, match="NO_NODES"):
        execute(workflow.id)
    assert not WorkflowExecution.objects.exists()


def test_a_workflow_that_was_switched_off_is_refused(import_document):
    workflow = import_document(document("t>a"))
    Workflow.objects.update(is_active=False)
    with pytest.raises(InactiveWorkflow, match="test"):
        execute(workflow.id)
    assert not WorkflowExecution.objects.exists()


def test_a_workflow_that_was_made_wrong_by_hand_is_refused(import_document):
    workflow = import_document(document("t>a", "a>b"))
    node = workflow.nodes.get(key="a")
    node.definition = {**node.definition, "tool": "core.gone"}
    node.save()
    with pytest.raises(InvalidDefinition, match="UNKNOWN_TOOL"):
        execute(workflow.id)
    assert not WorkflowExecution.objects.exists()


def test_two_executors_run_at_once_in_threads_of_their_own(import_document, tools):
    together = threading.Barrier(2, timeout=30)

    @tool("test.meet", effect="none")
    def meet(n: int) -> int:
        together.wait()
        return n

    workflow = import_document(document("t>a", a={"tool": "test.meet"}))
    results = {}

    def work(n):
        results[n] = execute(workflow.id, {"n": n})

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: result.output_data["a"] for n, result in results.items()} == {1: 1, 2: 2}
    assert results[1].execution_id != results[2].execution_id


def test_the_demo_of_a_fan_out_keeps_to_its_four_slots(owner):
    result = run_text(Path("demo/fan-out.yaml").read_text(), owner)
    sleepers = [node for key, node in result.node_results.items() if key.startswith("sleeper_")]
    peak = max(sum(other.started_at <= one.started_at < other.ended_at for other in sleepers) for one in sleepers)
    assert (len(sleepers), peak, result.output_data["sleepers"]) == (12, 4, 12)


def test_a_cancel_from_another_thread_ends_the_run_at_once(import_document, tools):
    running = threading.Event()

    @tool("test.wait", effect="none")
    async def wait() -> None:
        running.set()
        await asyncio.Event().wait()

    workflow = import_document(document("t>a", "a>b", a={"tool": "test.wait", "inputs": {}}))
    results = []
    thread = threading.Thread(target=lambda: results.append(execute(workflow.id)))
    thread.start()
    assert running.wait(30)
    execution = WorkflowExecution.objects.get()
    assert cancel(execution.id).cancel_requested_at is not None
    thread.join()
    (result,) = results
    assert (result.status, result.reason, result.error_message) == ("cancelled", "user", None)
    assert fates(result) == {"t": "completed", "a": "cancelled user", "b": "cancelled user"}
    assert result.output_data == {"t": {}}
    assert ExecutionLog.objects.filter(event="execution.cancel_requested").count() == 1


@pytest.mark.parametrize("gone", ["edited", "deleted"])
def test_a_run_keeps_its_snapshot_whatever_becomes_of_its_workflow(import_document, gone):
    workflow = import_document(document("t>a", a={"inputs": {"old": 1}}))
    identity = workflow.id
    before = start(StartRequest(target=workflow, input={})).execution
    if gone == "edited":
        import_document(document("t>b", b={"inputs": {"new": 1}}))
    else:
        workflow.delete()
    asyncio.run(runner.run(before.id))
    before.refresh_from_db()
    assert (before.status, before.output) == ("completed", {"t": {}, "a": {"old": 1}})
    assert (before.version.number, before.workflow_id) == (1, identity)
    if gone == "edited":
        assert execute(identity).output_data == {"t": {}, "b": {"new": 1}}
    else:
        with pytest.raises(WorkflowNotFoundError):
            execute(identity)
