"""Running an execution again: a new one of the same snapshot, from the start or from what failed."""

import asyncio

import pytest
from django.core.management import CommandError, call_command

from executions_app.dispatch import runner
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution, ownership, querysets
from executions_app.queries import execution_json, reruns_of
from executions_app.services.errors import AlreadyRunning, InactiveWorkflow, NotFinished, NothingFailed
from executions_app.services.rerun import From, rerun
from executions_app.services.soundness import violations
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document, source_of
from tests.integration.test_recovery import resume
from workflows_app.services.documents import save
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broken(tools):
    """A tool that fails as long as it is broken, and counts the calls of all."""
    state = {"broken": True, "calls": []}

    @tool("test.step", effect="none")
    async def step(name: str) -> dict[str, str]:
        state["calls"].append(name)
        if state["broken"] and name.startswith("bad"):
            raise ValueError(f"{name} is broken")
        return {"from": name}

    return state


def steps(**inputs):
    return {key: {"tool": "test.step", "inputs": {"name": key}} | more for key, more in inputs.items()}


def run(workflow, **inputs):
    return WorkflowExecution.objects.get(pk=asyncio.run(WorkflowExecutor().execute(workflow.id, inputs)).execution_id)


def run_again(before, begin=From.FAILED):
    again = rerun(before.id, begin=begin, reserved=True)
    assert asyncio.run(runner.run(again.id))
    again.refresh_from_db()
    return again


def fates(execution):
    return dict(NodeExecution.objects.filter(execution=execution).values_list("key", "status"))


def test_from_the_start_every_node_runs_again_with_the_same_input(import_document, broken):
    workflow = import_document(document("t>a", "a>bad", **steps(a={}, bad={}), labels=["nightly"]))
    before = run(workflow, symbol="AAPL")
    broken["broken"] = False
    again = run_again(before, From.START)
    assert broken["calls"] == ["a", "bad"] * 2
    assert (again.status, again.input, again.labels) == ("completed", {"symbol": "AAPL"}, ["nightly"])
    assert (again.version_id, again.rerun_of_id) == (before.version_id, before.id)
    assert execution_json(again)["rerun_of"] == str(before.id)
    assert reruns_of(before) == [str(again.id)]
    before.refresh_from_db()
    assert before.status == "failed"


def test_from_the_failure_what_ended_well_keeps_its_output_and_does_not_run(import_document, broken):
    workflow = import_document(document("t>a", "t>bad", "bad>b", "a>end", "b>end", **steps(a={}, bad={}, b={}, end={})))
    before = run(workflow)
    assert fates(before) == {"t": "completed", "a": "completed", "bad": "failed", "b": "skipped", "end": "skipped"}
    broken["broken"], broken["calls"] = False, []
    again = run_again(before)
    assert broken["calls"] == ["bad", "b", "end"]
    assert set(fates(again).values()) == {"completed"}
    assert again.output["a"] == before.nodes.get(key="a").output == {"from": "a"}
    assert not NodeAttempt.objects.filter(execution=again, order=before.nodes.get(key="a").order).exists()
    assert list(violations()) == []


def test_a_choice_is_kept_with_its_node_and_what_it_passed_over_too(import_document, broken):
    edges = ["t>check", "check>yes", "check>no", "yes>join", "no>join", "join>bad"]
    nodes = steps(yes={}, no={}, join={}, bad={}) | {"check": {"type": "condition"}}
    body = document(*edges, **nodes)
    body["edges"][1]["condition"] = "input.go"
    body["edges"][2]["default"] = True
    before = run(import_document(body), go=True)
    broken["broken"], broken["calls"] = False, []
    again = run_again(before)
    assert broken["calls"] == ["bad"]
    assert fates(again) == fates(before) | {"bad": "completed"}
    assert again.nodes.get(key="no").reason == "not_taken"


def test_what_follows_a_failure_runs_again_even_where_it_completed(import_document, broken):
    nodes = steps(bad={"on_error": "continue"}, after={}, worse={}) | {"worse": {"tool": "core.fail"}}
    before = run(import_document(document("t>bad", "bad>after", "after>worse", **nodes)))
    assert fates(before) == {"t": "completed", "bad": "failed", "after": "completed", "worse": "failed"}
    broken["broken"], broken["calls"] = False, []
    _ = run_again(before)
    assert broken["calls"] == ["bad", "after"]


def test_a_cancelled_execution_goes_on_where_it_was(import_document, broken):
    workflow = import_document(document("t>a", "a>nap", "nap>b", **steps(a={}, b={}), nap={"tool": "core.sleep",
        "inputs": {"seconds": 0}}))  # fmt: skip
    execution = start(StartRequest(target=workflow, input={})).execution
    querysets.request_cancel(execution.id)
    again = run_again(execution)
    assert (again.status, broken["calls"]) == ("completed", ["a", "b"])


def test_the_snapshot_runs_again_after_the_workflow_has_changed(import_document, broken, owner):
    workflow = import_document(document("t>bad", **steps(bad={})))
    before = run(workflow)
    _ = save(source_of(document("t>other", "other>more")), owner)
    broken["broken"] = False
    assert set(fates(run_again(before, From.START))) == {"t", "bad"}


def test_an_engine_that_dies_in_a_rerun_is_followed_by_one_that_keeps_the_same(import_document, broken):
    before = run(import_document(document("t>a", "a>bad", **steps(a={}, bad={}))))
    broken["broken"], broken["calls"] = False, []
    again = rerun(before.id, begin=From.FAILED)
    assert ownership.claim(again.id, "dead", 0) is not None
    assert resume(again)
    again.refresh_from_db()
    assert (again.status, again.recoveries, broken["calls"]) == ("completed", 0, ["bad"])


def test_a_rerun_of_a_rerun_keeps_what_was_kept(import_document, broken):
    before = run(import_document(document("t>a", "a>bad", **steps(a={}, bad={}))))
    broken["calls"] = []
    second = run_again(before)
    third = run_again(second)
    assert broken["calls"] == ["bad", "bad"]
    assert third.nodes.get(key="a").output == {"from": "a"}


def test_refusals_say_what_to_do(import_document, broken, capsys):
    workflow = import_document(document("t>bad", **steps(bad={}), settings={"allow_concurrent": False}))
    before = run(workflow)
    waiting = rerun(before.id)
    with pytest.raises(NotFinished, match="cancel it"):
        rerun(waiting.id)
    with pytest.raises(AlreadyRunning, match="one execution at a time"):
        rerun(before.id)
    querysets.request_cancel(waiting.id)
    broken["broken"] = False
    well = run(workflow)
    with pytest.raises(NothingFailed, match="from the start"):
        rerun(well.id, begin=From.FAILED)
    workflow.is_active = False
    workflow.save()
    with pytest.raises(InactiveWorkflow):
        rerun(before.id)
    with pytest.raises(CommandError, match="There is no execution") as refused:
        call_command("rerun_execution", "0" * 32)
    assert refused.value.returncode == 2
    workflow.delete()
    assert run_again(before, From.START).status == "completed"


def test_the_command_runs_it_and_both_executions_tell(import_document, broken, capsys):
    before = run(import_document(document("t>a", "a>bad", **steps(a={}, bad={}))))
    broken["broken"] = False
    with pytest.raises(SystemExit) as ended:
        call_command("rerun_execution", str(before.id), "--from", "failed", "--quiet")
    assert ended.value.code == 0
    again = WorkflowExecution.objects.get(rerun_of=before)
    kept = ExecutionLog.objects.filter(execution=again, event="node.completed").order_by("seq").first()
    assert kept.message == f"Node 't' stays completed, as in execution {before.id}."
    capsys.readouterr()
    call_command("show_execution", str(again.id))
    assert f"runs {before.id} again" in capsys.readouterr().out
    call_command("show_execution", str(before.id))
    assert f"was run again as {again.id}" in capsys.readouterr().out
