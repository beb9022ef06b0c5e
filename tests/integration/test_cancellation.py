"""Cancels from here, from other processes, and against code that does not listen; and the signal that tells the end."""

import asyncio
import threading

import pytest

from executions_app.dispatch import running
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, WorkflowExecution, querysets
from executions_app.recorder.thread import recorder
from executions_app.services.cancel import cancel
from executions_app.services.errors import AlreadyFinished
from executions_app.services.start import StartRequest, start
from executions_app.signals import execution_finished
from tests.eventually import eventually
from tests.integration.conftest import document
from tests.integration.virtual_time import run_virtually
from workflows_app.tools import ToolContext, tool

__all__ = ["run_virtually"]
pytestmark = pytest.mark.django_db(transaction=True)
SLEEPING = {"tool": "core.sleep", "inputs": {"seconds": 60}}


@pytest.fixture
def told():
    """The ends of which `execution_finished` told; its receiver raises every time."""
    heard = []

    def hear(execution, **_kwargs):
        heard.append((execution.id, execution.status))
        raise RuntimeError("a receiver's own problem")

    execution_finished.connect(hear)
    yield heard
    execution_finished.disconnect(hear)


@pytest.fixture
def waiting(tools):
    """A tool that says when it has begun, and then waits to be cancelled; what it does then is up to the test."""
    begun = asyncio.Queue()

    def register(when_cancelled=None):
        @tool("test.wait", effect="none")
        async def wait(context: ToolContext) -> str:
            begun.put_nowait(context.execution_id)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if when_cancelled is None:
                    raise
                await when_cancelled()
            return "late"

        return begun

    return register


def test_a_mark_that_another_process_made_is_heard(import_document, waiting, settings):
    settings.PASTETRADER = {"CANCEL_POLL_SECONDS": 0.02}
    begun = waiting()
    workflow = import_document(document("t>a", "a>b", a={"tool": "test.wait"}))

    async def main():
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        execution_id = await begun.get()
        # Only the row changes: nobody tells this process.
        await asyncio.wrap_future(recorder.call(lambda: querysets.request_cancel(execution_id_of(execution_id))))
        return await run

    result = asyncio.run(main())
    assert (result.status, result.reason) == ("cancelled", "user")
    assert {key: node.status for key, node in result.node_results.items()} == {
        "t": "completed", "a": "cancelled", "b": "cancelled",
    }  # fmt: skip
    # The thread that looked for marks ends when nothing runs.
    eventually(lambda: "cancel requests" not in [thread.name for thread in threading.enumerate()])


def test_a_database_that_does_not_answer_is_asked_again(import_document, waiting, settings, monkeypatch, caplog):
    # Where a notice would be first, it gets lost.
    monkeypatch.setattr(querysets, "notify_cancel", lambda *_: None)
    settings.PASTETRADER = {"CANCEL_POLL_SECONDS": 0.01}
    begun, asked = waiting(), []
    ask = querysets.cancel_requested

    def refuses_once(execution_ids):
        asked.append(execution_ids)
        if len(asked) == 1:
            raise running.DatabaseError("gone")
        return ask(execution_ids)

    monkeypatch.setattr(querysets, "cancel_requested", refuses_once)
    workflow = import_document(document("t>a", a={"tool": "test.wait"}))

    async def main():
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        execution_id = await begun.get()
        await asyncio.wrap_future(recorder.call(lambda: querysets.request_cancel(execution_id_of(execution_id))))
        return await run

    assert asyncio.run(main()).status == "cancelled"
    assert len(asked) > 1
    assert "does not answer the heartbeat" in caplog.text


def test_a_cancel_while_a_node_waits_for_its_retry_ends_it_at_once(import_document, run_virtually):
    flaky = {"tool": "core.fail", "retry": {"max_retries": 5, "delay": 60}}
    workflow = import_document(document("t>a", "a>b", a=flaky))

    async def main():
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        await asyncio.sleep(10)
        (execution_id,) = running._runs
        await WorkflowExecutor().cancel(execution_id)
        return await run

    result, seconds = run_virtually(main())
    assert 10 <= seconds < 11
    assert (result.status, result.node_results["a"].status, result.node_results["a"].retry_count) == (
        "cancelled", "cancelled", 1,
    )  # fmt: skip
    events = ExecutionLog.objects.filter(node="a").order_by("seq").values_list("event", flat=True)
    assert list(events) == ["node.running", "node.retrying", "node.cancelled"]


def test_code_that_swallows_its_cancellation_is_let_go_after_the_grace(import_document, waiting, settings):
    settings.PASTETRADER = {"CANCEL_GRACE_SECONDS": 0.05}
    release = asyncio.Event()
    begun = waiting(release.wait)
    workflow = import_document(document("t>a", "a>b", a={"tool": "test.wait"}))

    async def main():
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        await WorkflowExecutor().cancel(await begun.get())
        result = await run
        seq = (await asyncio.wrap_future(recorder.call(lambda: WorkflowExecution.objects.get()))).last_seq
        # Now it returns a result, which nobody takes.
        release.set()
        await asyncio.sleep(0.02)
        return result, seq

    result, seq = asyncio.run(main())
    assert (result.status, result.node_results["a"].output_data) == ("cancelled", None)
    (told,) = ExecutionLog.objects.filter(event="node.abandoned")
    assert told.message == (
        "The code of node 'a' was let go; whatever it returns is refused. "
        "It did not end within 0.05 s of being told to."
    )
    assert WorkflowExecution.objects.get().last_seq == seq


def test_code_that_tidies_up_within_the_grace_is_waited_for(import_document, waiting):
    tidied = []

    async def tidy():
        await asyncio.sleep(0.05)
        tidied.append(True)
        raise asyncio.CancelledError

    begun = waiting(tidy)
    workflow = import_document(document("t>a", a={"tool": "test.wait"}))

    async def main():
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        await WorkflowExecutor().cancel(await begun.get())
        return await run

    assert asyncio.run(main()).status == "cancelled"
    assert tidied == [True]
    assert not ExecutionLog.objects.filter(event="node.abandoned").exists()


def test_a_cancel_keeps_what_has_completed_and_the_first_failure(import_document, waiting):
    begun = waiting()
    failing = {"tool": "core.fail", "inputs": {"message": "it broke"}}
    workflow = import_document(document("t>done", "t>bad", "t>a", bad=failing, a={"tool": "test.wait"}))

    async def main():
        run = asyncio.create_task(WorkflowExecutor().execute(workflow.id))
        execution_id = await begun.get()
        await asyncio.sleep(0.05)
        await WorkflowExecutor().cancel(execution_id)
        return await run

    result = asyncio.run(main())
    assert (result.status, result.error_message) == ("cancelled", "it broke")
    assert result.node_results["done"].output_data == {"from": "done"}
    assert {node.status for node in result.node_results.values()} == {"completed", "failed", "cancelled"}


def test_the_end_is_told_once_whoever_ended_it(import_document, told, waiting):
    begun = waiting()
    quick, slow = (
        import_document(document("t>a")),
        import_document(document("t>a", name="slow", a={"tool": "test.wait"})),
    )
    pending = start(StartRequest(target=quick, input={})).execution
    assert cancel(pending.id).status == "cancelled"
    assert cancel(pending.id).status == "cancelled"
    assert told == [(pending.id, "cancelled")]

    async def main():
        done = await WorkflowExecutor().execute(quick.id)
        with pytest.raises(AlreadyFinished):
            await WorkflowExecutor().cancel(done.execution_id)
        run = asyncio.create_task(WorkflowExecutor().execute(slow.id))
        await WorkflowExecutor().cancel(await begun.get())
        return done, await run

    done, cancelled = asyncio.run(main())
    assert told[1:] == [(done.execution_id, "completed"), (cancelled.execution_id, "cancelled")]


def test_the_end_is_told_where_the_engine_gave_up(import_document, told, monkeypatch):
    def breaks(*_args):
        raise RuntimeError("a defect")

    monkeypatch.setattr("executions_app.engine.settling.Settler.settle", breaks)
    result = asyncio.run(WorkflowExecutor().execute(import_document(document("t>a")).id))
    assert (result.status, result.reason) == ("failed", "crashed")
    assert "a defect" in result.error_message
    assert told == [(result.execution_id, "failed")]


def test_an_error_among_the_engines_own_tasks_is_told_by_its_cause(import_document, monkeypatch):
    def breaks(*_args):
        raise RuntimeError("no first node")

    monkeypatch.setattr("executions_app.engine.frontier.Frontier.begin", breaks)
    result = asyncio.run(WorkflowExecutor().execute(import_document(document("t>a")).id))
    assert result.error["type"] == "RuntimeError"
    assert result.error_message == "The engine could not go on with this execution: RuntimeError: no first node"


def execution_id_of(text):
    return WorkflowExecution.objects.get(pk=text).pk
