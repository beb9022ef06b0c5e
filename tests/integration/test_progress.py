"""Where a node at work stands, as those who watch read it; and in the terminal."""

import asyncio
import io
import threading
from decimal import Decimal

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.inspection import inspection_json
from executions_app.live.events import Committed
from executions_app.management.progress import LiveProgress
from executions_app.models import ExecutionLog, WorkflowExecution
from executions_app.pictures import table_of
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


def test_the_table_in_the_terminal_says_it_too(watched):
    watched(lambda context: context.progress(0.4, "Loading"))
    output = io.StringIO()
    with LiveProgress([("t", "trigger"), ("a", "tool")], output) as live:
        rows = list(ExecutionLog.objects.order_by("seq"))
        last = next(position for position, row in enumerate(rows) if row.event == "log")
        live.observe([Committed(seq=row.seq, at=row.at, entry=row) for row in rows[: last + 1]])
    assert "40% Loading" in output.getvalue()
