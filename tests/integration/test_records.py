"""The journal and the rows of a run, and the commands that read them; keys and exclusiveness; a recorder that fails."""

import asyncio
from io import StringIO
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from executions_app.dispatch import runner
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.queries import execution_by_id, execution_json, logs_json
from executions_app.recorder import thread
from executions_app.services.errors import AlreadyRunning, ExecutionNotFound, IdempotencyConflict
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document, source_of
from tests.integration.runs import journal, run_text
from workflows_app.dag import jsontext
from workflows_app.dag.types import Scheduling
from workflows_app.models import WorkflowVersion

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = """name: everything
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.fail, inputs: {times: 1, message: busy}, retry: {max_retries: 1, delay: 0}}
  - {key: said, type: tool, tool: core.log, inputs: {message: hello, level: debug}}
  - {key: bad, type: tool, tool: core.fail, inputs: {message: broken}}
  - {key: child, type: adapter, output: 1}
edges: [{from: t, to: a}, {from: t, to: said}, {from: a, to: bad}, {from: bad, to: child}]
"""


def test_the_journal_has_every_event_at_its_level(owner):
    entries = journal(run_text(EVERYTHING, owner))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    told = sorted((entry.event, entry.level, entry.node) for entry in entries)
    assert told == sorted(
        [
            ("execution.pending", "info", ""),
            ("execution.running", "info", ""),
            ("node.running", "info", "t"),
            ("node.completed", "info", "t"),
            ("node.running", "info", "a"),
            ("node.retrying", "warning", "a"),
            ("node.running", "info", "a"),
            ("node.completed", "info", "a"),
            ("node.running", "info", "said"),
            ("log", "debug", "said"),
            ("node.completed", "info", "said"),
            ("node.running", "info", "bad"),
            ("node.failed", "error", "bad"),
            ("node.skipped", "info", "child"),
            ("execution.failed", "error", ""),
        ]
    )
    assert entries[0].event == "execution.pending"
    assert entries[-1].event == "execution.failed"
    assert all(entry.message.endswith(".") or entry.event == "log" or "broken" in entry.message for entry in entries)
    assert all(entry.at.tzinfo is not None for entry in entries)


def test_a_failure_is_on_record_the_same_in_its_row_and_in_the_journal(owner):
    result = run_text(EVERYTHING, owner)
    failed = ExecutionLog.objects.get(execution=result.execution_id, event="node.failed")
    assert "broken" in failed.message
    assert failed.data["error"] == {"code": "node_error", "message": "broken", "type": "ToolFailed", "node": "bad"}
    assert "ToolFailed: broken" in failed.data["traceback"]
    node = NodeExecution.objects.get(execution=result.execution_id, key="bad")
    assert (node.error_message, node.error, node.traceback) == (
        "broken",
        failed.data["error"],
        failed.data["traceback"],
    )


def test_what_happens_to_a_node_is_in_order(owner):
    result = run_text(EVERYTHING, owner)
    entries = [entry for entry in journal(result) if entry.node == "a"]
    assert [entry.event.removeprefix("node.") for entry in entries] == ["running", "retrying", "running", "completed"]
    assert all(before.at <= after.at for before, after in pairwise(entries))
    attempts = {entry.data["attempt_id"] for entry in entries if entry.event == "node.running"}
    assert len(attempts) == 2
    ends = {entry.node: entry for entry in journal(result) if entry.event.startswith(("node.completed", "node.failed"))}
    assert ends["t"].seq < min(entry.seq for entry in entries)
    assert ends["a"].seq < ExecutionLog.objects.get(execution=result.execution_id, event="node.running", node="bad").seq


def test_the_execution_as_json_tells_of_a_failure_a_retry_and_a_skip(owner):
    result = run_text(EVERYTHING, owner, {"x": 1})
    shown = execution_json(execution_by_id(str(result.execution_id)))
    assert [node["level"] for node in shown["nodes"]] == [0, 1, 1, 2, 3]
    assert (shown["trigger_type"], shown["scheduling"], shown["rerun_of"]) == ("manual", "levels", None)
    assert shown["seq"] == len(logs_json(execution_by_id(str(result.execution_id))))
    assert shown["error"] == {"code": "node_error", "message": "broken", "type": "ToolFailed", "node": "bad"}
    by_key = {node["key"]: node for node in shown["nodes"]}
    assert (by_key["child"]["started_at"], by_key["child"]["duration_ms"]) == (None, None)
    assert by_key["child"]["input"] is None
    assert by_key["a"]["retry_count"] == 1


def printed(command, *arguments):
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def test_a_failed_execution_is_shown_with_its_attempts(owner):
    result = run_text(EVERYTHING, owner)
    lines = printed("show_execution", str(result.execution_id)).splitlines()
    assert "failed (node_error)" in lines[0]
    assert lines[1].strip() == "broken"
    attempts = [line.split() for line in lines if line.strip().startswith("attempt ")]
    assert [(words[1], words[2]) for words in attempts] == [("1:", "failed"), ("2:", "succeeded")]
    assert attempts[0][-1] == "busy"


def test_a_list_has_at_most_so_many_executions_and_none_of_their_nodes(owner):
    assert printed("list_executions") == ""
    assert jsontext.loads(printed("list_executions", "--json")) == {"items": [], "next": None}
    ids = [str(run_text(EVERYTHING, owner).execution_id) for _ in range(3)]
    listed = jsontext.loads(printed("list_executions", "--json", "--limit", "2"))["items"]
    assert [item["id"] for item in listed] == [ids[2], ids[1]]
    assert all("nodes" not in item for item in listed)
    assert printed("list_executions").count("\n") == 3


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
def test_a_limit_that_is_none_is_refused_in_a_sentence(limit):
    with pytest.raises(CommandError, match=f"'{limit}' is no number from 1 to 200."):
        call_command("list_executions", f"--limit={limit}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["hello", "--set", "name=\udcff"],
        ["hello", "--input", "\udcff"],
        ["hello", "--input", '{"a": "\\u0000"}'],
        ["demo"],
    ],
)
def test_an_odd_request_is_one_sentence_and_runs_nothing(import_document, arguments):
    import_document(document("t>a", name="hello"))
    with pytest.raises(CommandError, match=r"^[^\n]+\.$") as refused:
        call_command("run_workflow", *arguments)
    assert refused.value.returncode == 2
    assert not WorkflowExecution.objects.exists()


def test_deleting_one_execution_leaves_the_others_alone(owner):
    first, second = run_text(EVERYTHING, owner), run_text(EVERYTHING, owner)
    WorkflowExecution.objects.get(pk=first.execution_id).delete()
    for model in (NodeExecution, NodeAttempt, ExecutionLog):
        assert set(model.objects.values_list("execution_id", flat=True)) == {second.execution_id}
    with pytest.raises(ExecutionNotFound):
        execution_by_id(str(first.execution_id))


def request(workflow, key="k", **fields):
    return StartRequest(target=workflow, input=fields.pop("input", {"n": 1}), idempotency_key=key, **fields)


def test_the_same_key_and_request_bring_back_the_same_execution(import_document):
    workflow = import_document(document("t>a"))
    first, again = start(request(workflow)), start(request(workflow))
    assert (first.created, again.created) == (True, False)
    assert again.execution == first.execution
    asyncio.run(runner.run(first.execution.id))
    assert start(request(workflow)).execution.status == "completed"
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.parametrize(
    "other", [{"input": {"n": 2}}, {"input": {"n": 1, "m": 1}}, {"labels": ["x"]}, {"scheduling": Scheduling.EAGER}]
)
def test_the_same_key_with_another_request_is_refused(import_document, other):
    workflow = import_document(document("t>a"))
    start(request(workflow))
    with pytest.raises(IdempotencyConflict, match="'k'"):
        start(request(workflow, **other))
    assert WorkflowExecution.objects.count() == 1


def test_a_key_counts_per_workflow_and_caller(import_document, owner, django_user_model):
    one, two = import_document(document("t>a")), import_document(document("t>a", name="two"))
    grace = django_user_model.objects.create_superuser("grace")
    for target, fields in ((one, {}), (two, {}), (one, {"user": owner}), (one, {"user": grace})):
        assert start(request(target, **fields)).created
    file = source_of(document("t>a"))
    assert start(request(file)).created
    assert not start(request(file)).created
    assert WorkflowExecution.objects.count() == 5


def test_a_key_outlives_a_new_version_of_its_workflow(import_document):
    first = start(request(import_document(document("t>a"))))
    changed = import_document(document("t>a", "t>b"))
    assert start(request(changed)).execution == first.execution


def test_an_execution_that_runs_alone_keeps_no_other_workflow_from_running(import_document):
    one, other = (
        import_document(document("t>a", name=name, settings={"allow_concurrent": False})) for name in ("one", "other")
    )
    start(StartRequest(target=one, input={}))
    assert asyncio.run(WorkflowExecutor().execute(other.id)).status == "completed"


def test_a_refused_second_run_leaves_no_snapshot_or_row_behind(import_document):
    workflow = import_document(document("t>a", settings={"allow_concurrent": False}))
    start(StartRequest(target=workflow, input={}))
    before = [model.objects.count() for model in (WorkflowVersion, NodeExecution, ExecutionLog)]
    with pytest.raises(AlreadyRunning):
        start(StartRequest(target=workflow, input={}))
    with pytest.raises(CommandError, match="one execution at a time") as refused:
        call_command("run_workflow", "test")
    assert refused.value.returncode == 2
    assert [model.objects.count() for model in (WorkflowVersion, NodeExecution, ExecutionLog)] == before


@pytest.mark.parametrize("fails_from", range(1, 7))
def test_a_recorder_that_fails_for_good_ends_the_run_and_hangs_nothing(import_document, monkeypatch, fails_from):
    chain = ["t>a", "a>b", "b>c", "c>d", "d>e", "e>f", "t>sleeper"]
    sleeper = {"tool": "core.sleep", "inputs": {"seconds": 50}}
    workflow = import_document(document(*chain, settings={"scheduling": "eager"}, sleeper=sleeper))
    execution = start(StartRequest(target=workflow, input={})).execution
    real, batches = thread.write, 0

    def write(batch, *, again=False):
        nonlocal batches
        batches += 1
        return real(batch) if batches < fails_from else [OperationalError("disk I/O error") for _ in batch]

    monkeypatch.setattr(thread, "write", write)
    assert asyncio.run(runner.run(execution.id))
    execution.refresh_from_db()
    assert (execution.status, execution.reason) == ("failed", "crashed")
    assert "disk I/O error" in execution.error["message"]
    assert NodeExecution.objects.get(key="sleeper").status == "cancelled"
    assert NodeExecution.objects.get(key="f").started_at is None
