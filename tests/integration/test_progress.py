"""Where a node at work stands, as those who watch read it; and in the terminal."""

import asyncio
import io
import threading
from decimal import Decimal

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.inspection import inspection_json
from executions_app.live.events import Committed
from executions_app.management.progress import LiveProgress, PlainProgress
from executions_app.models import ExecutionLog, WorkflowExecution
from executions_app.pictures import table_of
from executions_app.services.start import StartRequest, start
from executions_app.watching import snapshot_of
from tests.eventually import eventually
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.tools import ToolContext, tool

pytestmark = pytest.mark.django_db(transaction=True)


def seen(execution):
    """What snapshot, table and inspector say of the node `a`."""
    snapshot = jsontext.loads(snapshot_of(execution.pk).text)["execution"]["nodes"]
    table = {row["key"]: row["progress"] for row in table_of(execution, 10)}
    assert all("progress" not in node for node in snapshot if node["key"] != "a")
    return snapshot[1].get("progress"), table["a"], inspection_json(execution, "a")["progress"]


@pytest.fixture
def watched(import_document, tools):
    """Runs a tool up to where it waits, asks, and lets it end; what was seen meanwhile and afterwards."""

    def run(work, **node):
        waits, go_on, found = threading.Event(), threading.Event(), []

        @tool("test.works", effect="none")
        def works(context: ToolContext) -> int:
            work(context)
            waits.set()
            go_on.wait(30)
            return 1

        workflow = import_document(document("t>a", "a>b", a={"tool": "test.works", **node}))
        thread = threading.Thread(target=lambda: asyncio.run(WorkflowExecutor().execute(workflow.id)))
        thread.start()
        try:
            assert waits.wait(30)
            execution = WorkflowExecution.objects.get()
            last = eventually(lambda: ExecutionLog.objects.filter(event="log").order_by("-seq").first())
            execution.refresh_from_db()
            found.append((last.message, seen(execution)))
        finally:
            go_on.set()
            thread.join(30)
        execution.refresh_from_db()
        found.append(seen(execution))
        return found

    return run


def test_the_progress_of_a_node_at_work_is_in_snapshot_table_and_inspector_until_it_ends(watched):
    (_, at_work), ended = watched(lambda context: context.progress(0.4, "Loading"))
    assert at_work == ({"fraction": Decimal("0.4"), "text": "Loading"},) * 3
    assert ended == (None, None, None)


def writes(context, delta, call=1):
    context.log("Wrote.", "debug", text={"call": call, "delta": delta})


def test_the_newest_line_of_what_a_node_writes_is_its_progress(watched):
    def work(context):
        for delta in ("Shares rose.\nThen ", "they f", "ell"):
            writes(context, delta)
            context.log("Something else.", "debug", call={"number": 1})

    (_, at_work), ended = watched(work)
    assert at_work == ({"fraction": None, "text": "Then they fell"},) * 3
    assert ended == (None, None, None)


def test_another_call_begins_a_line(watched):
    (_, at_work), _ = watched(lambda context: (writes(context, "Shares "), writes(context, "At last", 2)))
    assert at_work[0] == {"fraction": None, "text": "At last"}


def test_of_a_long_line_the_end_is_said(watched):
    (_, at_work), _ = watched(lambda context: [writes(context, f"{number:>10}") for number in range(100)])
    assert at_work[0]["text"] == "".join(f"{number:>10}" for number in range(92, 100)).lstrip()


def test_the_inspector_has_the_text_of_the_latest_attempt_each_calls_a_paragraph(watched):
    def work(context):
        writes(context, f"Attempt {context.number}: ")
        writes(context, "shares rose.\n")
        context.log("No text.", text={"delta": 3})
        writes(context, "They fell.", 3)
        if context.number == 1:
            raise ConnectionError("broken")

    watched(work, retry={"max_retries": 1, "delay": 0})
    execution = WorkflowExecution.objects.get()
    last = ExecutionLog.objects.filter(message="Wrote.").latest("seq")
    assert inspection_json(execution, "a")["text"] == {
        "seq": last.seq,
        "call": 3,
        "text": "Attempt 2: shares rose.\n\n\nThey fell.",
    }
    begun = ExecutionLog.objects.get(node="b", event="node.running")
    assert inspection_json(execution, "b")["text"] == {"seq": begun.seq, "call": 0, "text": ""}


def test_of_a_long_text_the_inspector_has_the_end(watched):
    watched(lambda context: [writes(context, f"{number:>1000}") for number in range(100)])
    text = inspection_json(WorkflowExecution.objects.get(), "a")["text"]["text"]
    assert text == "".join(f"{number:>1000}" for number in range(100))[-64 * 1024 :]


def test_a_node_that_has_not_begun_has_no_text(import_document, tools):
    workflow = import_document(document("t>a", a={"tool": "core.set"}))
    execution = start(StartRequest(target=workflow, input={})).execution
    assert inspection_json(execution, "a")["text"] is None


def test_what_the_attempt_before_said_is_not_said_of_this_one(watched):
    def work(context):
        if context.number == 1:
            context.progress(0.9, "Nearly")
            raise ConnectionError("broken")

    (said, at_work), _ = watched(work, retry={"max_retries": 1, "delay": 0})
    assert said == "Nearly"
    assert at_work == (None, None, None)


@pytest.mark.parametrize("progress", [{"done": 3}, 17, True, "half"])
def test_a_progress_that_is_no_part_of_a_whole_is_in_the_journal_alone(watched, progress):
    (said, at_work), _ = watched(lambda context: context.heartbeat(progress))
    assert (said, at_work) == ("Progress.", (None, None, None))


def committed(until=None):
    """The journal up to the last entry with this event."""
    rows = list(ExecutionLog.objects.order_by("seq"))
    last = max((position for position, row in enumerate(rows) if row.event == until), default=len(rows))
    return [Committed(seq=row.seq, at=row.at, entry=row) for row in rows[: last + 1]]


def in_the_table():
    output = io.StringIO()
    with LiveProgress([("t", "trigger"), ("a", "tool")], output) as live:
        for one in committed("log"):
            live.observe([one])
    return output.getvalue()


def test_the_table_in_the_terminal_says_it_too(watched):
    watched(lambda context: context.progress(0.4, "Loading"))
    assert "40% Loading" in in_the_table()


ESCAPE = "\x1b]0;owned\x07"


def test_the_table_in_the_terminal_has_the_newest_line_of_a_text_and_obeys_nothing_in_it(watched):
    watched(lambda context: [writes(context, delta) for delta in ("Shares rose.\nThen ", "they", f"{ESCAPE} fell")])
    shown = in_the_table()
    assert "Then they\ufffd]0;owned\ufffd fell" in shown
    assert "rose" not in shown
    assert ESCAPE not in shown


def test_in_a_pipe_a_text_comes_line_by_line(watched):
    deltas = ("Shares ", "rose.\nThen they", f" fell{ESCAPE}.\n\nTo", "day")
    watched(lambda context: [writes(context, delta) for delta in deltas])
    output = io.StringIO()
    with PlainProgress(output) as plain:
        for one in committed():
            plain.observe([one])
    lines = [line.partition(" · ")[2] for line in output.getvalue().splitlines() if " · " in line]
    assert lines == ["a: Shares rose.", "a: Then they fell\ufffd]0;owned\ufffd.", "a: Today"]
    assert "Wrote" not in output.getvalue()
    assert "Execution completed." in output.getvalue()
