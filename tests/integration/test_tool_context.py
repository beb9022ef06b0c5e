"""What tools do with their attempt, in real runs on a real database."""

import asyncio
import threading
import time

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog
from tests.eventually import eventually
from tests.integration.conftest import document
from tests.unit.tools import isolated_tools
from workflows_app.dag.types import Effect
from workflows_app.tools import AttemptEnded, ToolContext, threads, tool
from workflows_app.tools.registry import Isolation, Tool, registry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(import_document, tools):
    def run_(**node):
        workflow = import_document(document("t>a", a=node))
        return asyncio.run(WorkflowExecutor().execute(workflow.id))

    return run_


def progress_told():
    return [(log.message, log.data["progress"]) for log in ExecutionLog.objects.filter(event="log").order_by("seq")]


def test_a_loop_without_end_of_progress_is_a_line_a_second_and_its_end_is_told(run):
    @tool("test.loads", effect="none")
    async def loads(context: ToolContext) -> int:
        for done in range(1000):
            context.progress(done / 1000, "Loading")
        context.progress(1, "Loaded")
        return 1

    assert run(tool="test.loads").status == "completed"
    told = progress_told()
    assert told[0] == ("Loading", 0)
    assert told[-1] == ("Loaded", 1)
    assert len(told) < 10


def test_progress_comes_from_threads_and_from_processes_of_their_own(run):
    @tool("test.computes", effect="none")
    def computes(context: ToolContext) -> int:
        context.progress(0.5, "In a thread")
        return 1

    registry.register(
        Tool(
            name="isolated.progress",
            function=isolated_tools.progress,
            effect=Effect.NONE,
            isolation=Isolation.PROCESS,
        )
    )
    assert run(tool="test.computes").status == "completed"
    assert run(tool="isolated.progress").node_results["a"].output_data == "done"
    told = progress_told()
    assert told[0][0] == "In a thread"
    assert told[1] == ("In a process", 0)
    assert told[-1] == ("In a process, done", 1)
    assert len(told) < 10


def test_code_in_a_thread_hears_by_its_progress_that_nobody_waits_any_more(run):
    ended = threading.Event()

    @tool("test.long", effect="none")
    def long(context: ToolContext) -> int:
        try:
            while True:
                context.progress(0.1)
                time.sleep(0.01)
        except AttemptEnded:
            ended.set()
            raise

    assert run(tool="test.long", timeout_seconds=0.1).status == "failed"
    assert ended.wait(5)


def test_an_async_tool_uses_the_orm_by_call_sync_and_its_connection_is_given_back(run, monkeypatch):
    given_back = []
    kept = threads.pool.after_call
    monkeypatch.setattr(threads.pool, "after_call", lambda: (kept(), given_back.append(threading.current_thread())))

    def count(name):
        # SQLite or PostgreSQL: a real query on a connection of this thread.
        return get_user_model().objects.filter(username=name).count(), connection.vendor

    @tool("test.counts", effect="none")
    async def counts(context: ToolContext, name: str) -> list[object]:
        found, vendor = await context.call_sync(count, name)
        return [found, vendor]

    result = run(tool="test.counts", inputs={"name": "ada"})
    assert result.node_results["a"].output_data == [1, connection.vendor]
    assert [thread.name for thread in given_back] == ["tool"]


def test_an_async_tool_that_calls_the_orm_itself_is_told_not_to(run):
    """The control: it is `call_sync` that makes the difference."""

    @tool("test.counts", effect="none")
    async def counts() -> int:
        return get_user_model().objects.count()

    assert run(tool="test.counts").node_results["a"].error["type"] == "SynchronousOnlyOperation"


def test_a_node_that_times_out_in_call_sync_ends_and_says_what_goes_on(run):
    go_on = threading.Event()

    @tool("test.waits", effect="none")
    async def waits(context: ToolContext) -> bool:
        return await context.call_sync(go_on.wait, 30)

    result = run(tool="test.waits", timeout_seconds=0.1)
    assert result.node_results["a"].reason == "timeout"
    assert "Its thread goes on, for Python cannot stop one" in result.node_results["a"].error_message
    go_on.set()
    eventually(lambda: not threads.pool.overdue)


def test_an_effect_before_a_call_that_never_began_is_an_outcome_unknown(run, monkeypatch):
    monkeypatch.setattr(threads, "pool", threads.ThreadPool(1))
    go_on = threading.Event()

    @tool("test.orders")
    async def orders(context: ToolContext) -> bool:
        first = asyncio.create_task(context.call_sync(go_on.wait, 30))
        await asyncio.sleep(0)
        return await context.call_sync(go_on.wait, 30) and await first

    error = run(tool="test.orders", timeout_seconds=0.1).node_results["a"].error
    assert "The outcome is unknown" in error["message"]
    go_on.set()
