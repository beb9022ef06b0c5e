"""The jobs of nodes on record: who may take one, whose word counts, and when one goes."""

import asyncio
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client

from executions_app.dispatch import jobs as dispatch_jobs
from executions_app.dispatch import runner
from executions_app.dispatch.jobs import MOST_LINES, _Lines
from executions_app.dispatch.serving import serves, serving
from executions_app.engine.elsewhere import Line
from executions_app.engine.events import Logged
from executions_app.models import NodeJob, WorkflowExecution, ownership, placement, querysets
from executions_app.models.job import JobState
from executions_app.models.ownership import Abandoned
from executions_app.models.placement import Posting
from executions_app.services.soundness import violations
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from tests.integration.test_probes import samples
from workflows_app.dag import jsontext
from workflows_app.services.compile import plan_by_id

pytestmark = pytest.mark.django_db(transaction=True)
AT = querysets.now()


@pytest.fixture
def claimed(import_document):
    """An execution that an engine has; it is over when the test is."""
    claims = []

    def claim(priority=0):
        workflow = import_document(document("t>a", name=f"flow-{len(claims)}", a={"runs_on": "queue:cpu"}))
        execution = start(StartRequest(target=workflow, input={})).execution
        WorkflowExecution.objects.filter(pk=execution.pk).update(priority=priority)
        taken = ownership.claim(execution.pk, "engine", 30)
        claims.append(taken)
        return taken

    yield claim
    for one in claims:
        fence = WorkflowExecution.objects.filter(pk=one.execution_id).values_list("fence", flat=True).first()
        if fence is not None:
            querysets.fail_run(one.execution_id, fence, {"code": "test", "message": "Over."})


def posted(claim, attempt="1-1", queue="cpu", fence=None):
    posting = Posting(
        attempt_id=attempt,
        execution_id=claim.execution_id,
        fence=claim.fence if fence is None else fence,
        order=1,
        number=1,
        retry_count=0,
        first_at=AT,
        queue=queue,
        seconds=60,
    )
    return placement.post(posting)


def taken(*queues, worker="worker"):
    return [one.attempt_id for one in placement.take(10, queues, worker, 30)]


def test_a_job_is_for_one_worker_of_its_queue(claimed):
    claim = claimed()
    assert posted(claim)
    assert taken("other") == []
    (one,) = placement.take(10, ["other", "cpu"], "worker", 30)
    assert one[:7] == ("1-1", claim.execution_id, claim.fence, 1, 1, 0, AT)
    assert 50 < one.seconds <= 60
    assert taken() == []
    # Who serves all queues takes any.
    assert posted(claim, "1-2")
    assert taken() == ["1-2"]


def test_jobs_of_a_higher_priority_are_taken_first_then_the_oldest(claimed):
    low, high = claimed(), claimed(priority=5)
    for claim, attempt in ((low, "1"), (low, "2"), (high, "3"), (high, "4")):
        assert posted(claim, attempt)
    order = [one.attempt_id for _ in range(4) for one in placement.take(1, ["cpu"], "worker", 30)]
    assert order == ["3", "4", "1", "2"]


def test_nobody_works_for_an_engine_that_lost_the_execution(claimed):
    claim = claimed()
    assert not posted(claim, fence=claim.fence - 1)
    assert posted(claim)
    # An engine that knows no jobs takes it over, and leaves the job behind.
    WorkflowExecution.objects.update(fence=claim.fence + 1)
    assert taken("cpu") == []
    assert {one.code for one in violations() if "job" in one.sentence} == {"I9"}
    WorkflowExecution.objects.update(fence=claim.fence)
    assert taken("cpu") == ["1-1"]
    assert placement.still_wanted(["1-1"], "worker") == {"1-1": 0}
    WorkflowExecution.objects.update(fence=claim.fence + 1)
    assert placement.still_wanted(["1-1"], "worker") == {}
    assert not placement.finish("1-1", "worker", "{}", "", 0)


def test_a_new_owner_leaves_no_job_behind(claimed):
    claim = claimed()
    assert posted(claim)
    seen = Abandoned(claim.execution_id, claim.fence, "engine", claim.version_id)
    assert ownership.reclaim(seen, "next", 30, plan_by_id(claim.version_id)) is not None
    assert NodeJob.objects.count() == 0
    assert not placement.finish("1-1", "worker", "{}", "", 0)


def test_a_new_owner_can_tell_when_the_worker_of_the_old_one_has_stopped(claimed):
    claim = claimed()
    assert posted(claim)
    assert taken("cpu") == ["1-1"]
    assert placement.stopping("1-1") == ""
    seen = Abandoned(claim.execution_id, claim.fence, "engine", claim.version_id)
    assert ownership.reclaim(seen, "next", 30, plan_by_id(claim.version_id)) is not None
    assert placement.still_wanted(["1-1"], "worker") == {}
    assert not placement.finish("1-1", "worker", "{}", "", 0)
    assert placement.stopping("1-1") == "worker"
    NodeJob.objects.update(lease_until=querysets.now() - timedelta(seconds=1))
    assert placement.stopping("1-1") == ""
    NodeJob.objects.update(lease_until=querysets.now() + timedelta(seconds=9))
    placement.say_stopped("1-1", "worker")
    assert placement.stopping("1-1") == ""


def late(claim):
    """A job whose worker speaks after its engine has withdrawn it."""
    assert posted(claim)
    assert taken("cpu") == ["1-1"]
    assert placement.withdraw("1-1") is JobState.WITHDRAWN
    return placement.finish("1-1", "worker", "{}", "", 0), NodeJob.objects.get().state


def test_a_stale_result_is_refused(claimed):
    assert late(claimed()) == (False, "withdrawn")
    placement.say_stopped("1-1", "worker")
    assert NodeJob.objects.get().state == "stopped"


def test_a_stale_result_would_be_accepted_without_the_compare_and_set(claimed, monkeypatch):
    monkeypatch.setattr(placement, "FINISH", placement.FINISH.replace("AND state = 'taken'", ""))
    assert late(claimed()) == (True, "done")


def test_a_result_counts_only_from_the_worker_that_has_the_job(claimed):
    assert posted(claimed())
    assert taken("cpu") == ["1-1"]
    assert not placement.finish("1-1", "another", "{}", "", 0)
    assert placement.finish("1-1", "worker", "{}", "", 0)
    assert not placement.finish("1-1", "worker", "{}", "", 0)
    # It came before the engine withdrew the job.
    assert placement.withdraw("1-1") is None


def test_a_worker_is_given_up_when_its_lease_is_over_and_not_before(claimed):
    assert posted(claimed())
    assert taken("cpu") == ["1-1"]
    assert not placement.look(["1-1"])[0].is_over
    assert not placement.lose("1-1", "worker", is_dead=False)
    NodeJob.objects.update(lease_until=querysets.now() - timedelta(seconds=1))
    assert placement.look(["1-1"])[0].is_over
    placement.renew(["1-1"], "another", 30)
    assert placement.look(["1-1"])[0].is_over
    placement.renew(["1-1"], "worker", 30)
    assert not placement.lose("1-1", "worker", is_dead=False)
    assert placement.lose("1-1", "worker", is_dead=True)
    assert not placement.finish("1-1", "worker", "{}", "", 0)


def test_what_waits_for_a_worker_is_measured(claimed):
    claim = claimed()
    for attempt, queue in (("1", "cpu"), ("2", "cpu"), ("3", "gpu")):
        assert posted(claim, attempt, queue)
    NodeJob.objects.filter(queue="cpu").update(posted_at=querysets.now() - timedelta(seconds=90))
    assert taken("gpu") == ["3"]
    found = samples(Client().get("/metrics"))
    assert found["pastetrader_node_jobs",] == 2
    assert 90 <= found["pastetrader_node_jobs_oldest_seconds",] < 150


def test_jobs_go_with_their_execution(claimed):
    claim = claimed()
    assert posted(claim)
    querysets.fail_run(claim.execution_id, claim.fence, {"code": "test", "message": "Over."})
    assert NodeJob.objects.count() == 0
    # Even one that an old engine left behind.
    left = WorkflowExecution.objects.get()
    NodeJob.objects.create(
        attempt_id="1-9",
        execution=left,
        fence=claim.fence,
        order=1,
        number=1,
        retry_count=0,
        first_at=AT,
        queue="cpu",
        posted_at=AT,
        deadline=AT,
        state="waiting",
    )
    assert [(one.code, one.sentence) for one in violations()] == [
        ("I9", "The job of attempt 1-9 is left (waiting), and the attempt has ended.")
    ]
    WorkflowExecution.objects.update(ended_at=querysets.now() - timedelta(days=2))
    call_command("prune_executions", older_than="1h")
    assert NodeJob.objects.count() == 0


def test_a_process_serves_what_its_worker_says_else_what_the_settings_say(settings):
    assert serves("cpu")
    settings.PASTETRADER = {**settings.PASTETRADER, "QUEUES": ["default"]}
    assert (serves("default"), serves("cpu")) == (True, False)
    with serving(["cpu"]):
        assert (serves("default"), serves("cpu")) == (False, True)
        with serving(()):
            assert serves("gpu")
    assert not serves("cpu")


def test_lines_are_kept_until_the_engine_has_them_and_those_beyond_the_limit_are_counted():
    lines = _Lines()

    def say(*texts):
        for text in texts:
            lines.post(Logged(node=1, at=AT, level="info", message=text))

    def told(news):
        return [line.message for line in jsontext.loads_as(list[Line], news[0])], news[1]

    say("a", "b")
    assert told(lines.news()) == (["a", "b"], 0)
    assert lines.news() is None
    say("c")
    lines.forget(2)
    assert told(lines.news()) == (["c"], 2)
    lines.forget(3)
    assert lines.last() == ("", 3)
    say(*map(str, range(MOST_LINES + 7)))
    messages, before = told(lines.last())
    assert (len(messages), before) == (MOST_LINES + 1, 3)
    assert messages[-1] == "7 lines are left out: the engine did not take them in time."


def test_a_node_that_cannot_be_run_where_it_was_taken_goes_back_to_its_engine(claimed, monkeypatch):
    assert posted(claimed())

    def broken(_taken):
        raise RuntimeError("no such plan here")

    monkeypatch.setattr(dispatch_jobs, "_find", broken)

    async def work():
        (job,) = await dispatch_jobs.take_jobs(1, ["cpu"])
        return await job

    assert asyncio.run(work())
    outcome = jsontext.loads(NodeJob.objects.get().outcome)
    assert (outcome["ending"], outcome["died"]) == ("lost", True)
    assert outcome["why"].endswith("could not run it: RuntimeError.")


def test_one_process_can_be_both_engine_and_worker(settings, import_document):
    # Which needs nobody else, and goes the whole way of a job: the engine of the test serves another queue.
    workflow = import_document(
        document("t>a", a={"tool": "core.set", "inputs": {"n": "${{ input.n }}"}, "runs_on": "queue:cpu"})
    )
    execution = start(StartRequest(target=workflow, input={"n": 3})).execution
    settings.PASTETRADER = {**settings.PASTETRADER, "QUEUES": ["default"], "CANCEL_POLL_SECONDS": 0.05}

    async def both():
        run = asyncio.create_task(runner.run(execution.pk))
        while not run.done():
            for job in await dispatch_jobs.take_jobs(1, ["cpu"]):
                assert await job
            await asyncio.sleep(0.01)
        assert await run

    asyncio.run(both())
    execution.refresh_from_db()
    assert (execution.status, execution.output["a"]) == ("completed", {"n": 3})
