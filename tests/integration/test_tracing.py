"""Spans for OpenTelemetry, as an exporter gets them; and nothing at all where nobody set it up."""

import asyncio
import subprocess
import sys
import uuid

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from executions_app.dispatch import runner, running
from executions_app.executor import WorkflowExecutor
from executions_app.models import NodeExecution, WorkflowExecution
from executions_app.models.ownership import Abandoned
from executions_app.recorder.thread import in_recorder
from executions_app.services.cancel import cancel
from executions_app.services.start import StartRequest, start
from tests.architecture.source import ROOT
from tests.integration.conftest import document
from workflows_app.tools import ToolContext, tool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def exporter():
    """A provider can be set once in a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter):
    """The finished spans by name; several of a name in the order of their ends."""
    exporter.clear()

    def finished():
        found = {}
        for span in exporter.get_finished_spans():
            found.setdefault(span.name, []).append(span)
        return found

    return finished


def execute(workflow):
    return asyncio.run(WorkflowExecutor().execute(workflow.id))


def parent_of(span, spans):
    (parent,) = [
        one
        for several in spans.values()
        for one in several
        if span.parent is not None and one.context.span_id == span.parent.span_id
    ]
    return parent.name


FLAKY = {"tool": "core.fail", "inputs": {"times": 1, "message": "not now"}, "retry": {"max_retries": 1, "delay": 0}}
BROKEN = {"tool": "core.fail", "inputs": {"message": "for good"}}


def test_a_run_is_a_tree_of_its_nodes_and_their_attempts(import_document, spans):
    workflow = import_document(document("t>a", "t>b", "b>c", a=FLAKY, b=BROKEN, name="screen"))
    result = execute(workflow)
    found = spans()
    assert {name: len(several) for name, several in found.items()} == {
        "execution screen": 1, "node t": 1, "attempt t": 1, "node a": 1, "attempt a": 2, "node b": 1, "attempt b": 1,
    }  # fmt: skip
    (execution,) = found["execution screen"]
    assert len({span.context.trace_id for several in found.values() for span in several}) == 1
    assert execution.parent is None
    assert {parent_of(found[name][0], found) for name in ("node t", "node a", "node b")} == {"execution screen"}
    assert {parent_of(span, found) for span in found["attempt a"]} == {"node a"}
    assert dict(execution.attributes) == {
        "pastetrader.execution.id": str(result.execution_id),
        "pastetrader.execution.trigger_type": "manual",
        "pastetrader.execution.fence": 1,
        "pastetrader.execution.status": "failed",
        "pastetrader.reason": "node_error",
        "pastetrader.workflow.name": "screen",
        "pastetrader.workflow.nodes": 4,
        "error.type": "ToolFailed",
    }
    assert execution.status.status_code is StatusCode.ERROR
    assert [span.attributes["pastetrader.attempt.outcome"] for span in found["attempt a"]] == ["failed", "succeeded"]
    assert [span.attributes["pastetrader.attempt.number"] for span in found["attempt a"]] == [1, 2]
    assert [span.status.status_code for span in found["attempt a"]] == [StatusCode.ERROR, StatusCode.UNSET]
    assert found["node a"][0].attributes["pastetrader.node.retry_count"] == 1
    assert found["node a"][0].status.status_code is StatusCode.UNSET
    (failed,) = found["node b"]
    assert (failed.attributes["pastetrader.node.status"], failed.attributes["error.type"]) == ("failed", "ToolFailed")
    (event,) = failed.events
    assert (event.name, event.attributes["exception.message"]) == ("exception", "for good")


def test_the_times_are_those_of_the_record(import_document, spans):
    result = execute(import_document(document("t>a")))
    found = spans()
    row = NodeExecution.objects.get(execution=result.execution_id, key="a")
    execution = WorkflowExecution.objects.get(pk=result.execution_id)
    for span, start_, end in (
        (found["node a"][0], row.started_at, row.ended_at),
        (found["execution test"][0], execution.started_at, execution.ended_at),
    ):
        assert (span.start_time, span.end_time) == (nanoseconds(start_), nanoseconds(end))


def nanoseconds(at):
    return int(at.timestamp()) * 10**9 + at.microsecond * 1000


def test_no_input_and_no_output_is_in_a_span(import_document, spans):
    execute(import_document(document("t>a", a={"tool": "core.set", "inputs": {"key": "S3CR3T"}})))
    assert len(spans()) == 5
    assert "S3CR3T" not in "".join(span.to_json() for several in spans().values() for span in several)


@pytest.mark.parametrize("isolation", ["async", "thread"])
def test_what_a_tool_does_joins_the_trace(import_document, spans, tools, isolation):
    tracer = trace.get_tracer("an http client")

    if isolation == "async":

        @tool("test.calls", effect="none")
        async def calls() -> str:
            await asyncio.sleep(0)
            with tracer.start_as_current_span("GET"):
                return "done"

    else:

        @tool("test.calls", effect="none")
        def calls_in_thread() -> str:
            with tracer.start_as_current_span("GET"):
                return "done"

    execute(import_document(document("t>a", "t>b", a={"tool": "test.calls"}, b={"tool": "test.calls"})))
    found = spans()
    assert sorted(parent_of(span, found) for span in found["GET"]) == ["attempt a", "attempt b"]


def test_a_run_inside_of_a_span_is_its_child(import_document, spans):
    workflow = import_document(document("t>a"))
    with trace.get_tracer("a request").start_as_current_span("POST"):
        execute(workflow)
    found = spans()
    assert parent_of(found["execution test"][0], found) == "POST"


def test_a_time_limit_and_a_cancel_end_their_spans(import_document, spans, tools):
    @tool("test.cancel", effect="none")
    async def ask_for_the_end(context: ToolContext) -> None:
        await in_recorder(lambda: cancel(uuid.UUID(context.execution_id)))
        await asyncio.Event().wait()

    slow = {"tool": "core.sleep", "inputs": {"seconds": 60}, "timeout_seconds": 0.05}
    execute(import_document(document("t>a", a=slow)))
    execute(import_document(document("t>b", b={"tool": "test.cancel"}, name="late")))
    found = spans()
    assert found["attempt a"][0].attributes["pastetrader.attempt.outcome"] == "timed_out"
    assert found["attempt a"][0].attributes["error.type"] == "NodeTimeoutError"
    assert found["attempt b"][0].attributes["pastetrader.attempt.outcome"] == "cancelled"
    (execution,) = found["execution late"]
    assert execution.attributes["pastetrader.execution.status"] == "cancelled"
    assert execution.status.status_code is StatusCode.UNSET


def test_each_engine_that_has_a_run_has_a_span_of_its_turn(import_document, spans, settings, tools):
    settings.PASTETRADER = {"CANCEL_GRACE_SECONDS": 0.05}
    begun = asyncio.Event()

    @tool("test.hangs_once", effect="none")
    async def hangs_once(context: ToolContext) -> None:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()

    workflow = import_document(document("t>a", a={"tool": "test.hangs_once"}, name="long"))
    execution = start(StartRequest(target=workflow, input={})).execution

    async def hand_back():
        run = asyncio.create_task(runner.run(execution.pk))
        await begun.wait()
        running.hand_back(execution.pk)
        assert not await run

    asyncio.run(hand_back())
    (left,) = spans()["execution long"]
    assert left.attributes["pastetrader.left"] is True
    assert spans()["attempt a"][0].attributes["pastetrader.left"] is True
    row = WorkflowExecution.objects.get(pk=execution.pk)
    seen = Abandoned(row.pk, row.fence, row.claimed_by, row.version_id, row.recoveries)
    assert asyncio.run(runner.resume(seen))
    assert [span.attributes["pastetrader.execution.fence"] for span in spans()["execution long"]] == [1, 2]
    assert spans()["execution long"][1].attributes["pastetrader.execution.status"] == "completed"


def test_a_trace_that_breaks_hurts_no_run(import_document, spans, monkeypatch, caplog):
    def refuse(*_args, **_kwargs):
        raise RuntimeError("the collector is on fire")

    monkeypatch.setattr("executions_app.dispatch.tracing.Trace._begin", refuse)
    assert execute(import_document(document("t>a"))).status == "completed"
    assert caplog.text.count("The trace of a run broke off") == 1
    assert list(spans()) == ["execution test"]


def test_nothing_is_imported_where_nobody_set_it_up():
    script = (
        "import django, sys; django.setup(); import executions_app.executor, pastetrader.api; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "pastetrader.settings.testing", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
