"""What every sink promises the engine: the recorder on Django's database and the in-memory one of the simulation."""

import asyncio
import itertools
from datetime import timedelta
from decimal import Decimal

import pytest

from executions_app.engine.errors import ErrorInfo, OwnershipLost, RecorderFailed
from executions_app.engine.events import (
    CallEnded,
    CallStarted,
    ExecutionEnded,
    Logged,
    NodeRetrying,
    NodeSettled,
    NodeStarted,
)
from executions_app.engine.ports import start_of_time
from executions_app.engine.states import AttemptOutcome, ExecutionStatus, NodeStatus, Reason
from executions_app.engine.testing import IllegalEvent, MemorySink
from executions_app.models import (
    AgentCall,
    ExecutionLog,
    NodeAttempt,
    NodeExecution,
    WorkflowExecution,
    ownership,
    querysets,
)
from executions_app.models.ownership import Abandoned
from executions_app.recorder.sink import RecordingSink
from executions_app.recorder.thread import in_recorder
from executions_app.recorder.writer import Run
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.agents.calls import NOTHING, CallKind, CallOutcome, Spent
from workflows_app.dag import jsontext
from workflows_app.services.compile import plan_of
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)
FAILURE = ErrorInfo(code="node_error", message="it broke", type="Broken", node="a")
NOW = start_of_time()
RESERVED = Spent(requests=1, input_tokens=10, output_tokens=20, cost=3_000_000_000_000)
SPENT = Spent(requests=1, input_tokens=7, output_tokens=2, cost=1)
# An event that may not follow: the database has no row for it, or one that is finished.
REFUSED = (RecorderFailed, IllegalEvent)


class InMemory:
    def __init__(self, plan):
        self.sink = MemorySink(plan)

    async def request_cancel(self):
        self.sink.request_cancel()

    async def take_over(self):
        return self.sink.take_over().progress()

    async def fail(self):
        return self.sink.fail(FAILURE)

    async def read(self):
        sink = self.sink
        return {
            "execution": (sink.status, sink.reason),
            "nodes": [str(status) for status in sink.statuses],
            "attempts": [(row.node, row.number, str(row.outcome)) for row in sink.attempts.values()],
            "journal": [(entry.event, entry.node) for entry in sink.entries],
            "calls": [
                (row.started.node, row.started.number, str(row.outcome), row.spent) for row in sink.calls.rows.values()
            ],
        }


class InDjango:
    def __init__(self, execution, plan):
        claim = ownership.claim(execution.id, "test", 30)
        self._run = Run(execution_id=execution.id, fence=claim.fence, plan=plan, seq=claim.last_seq)
        self._version_id = execution.version_id

    @property
    def sink(self):
        """Made in the event loop that uses it."""
        if not hasattr(self, "_sink"):
            self._sink = RecordingSink(self._run)
        return self._sink

    async def request_cancel(self):
        await in_recorder(lambda: querysets.request_cancel(self._run.execution_id))

    async def take_over(self):
        seen = Abandoned(self._run.execution_id, self._run.fence, "test", self._version_id)
        claim = await in_recorder(lambda: ownership.reclaim(seen, "another", 30, self._run.plan))
        return claim.progress

    async def fail(self):
        error = FAILURE.public()
        return await in_recorder(lambda: querysets.fail_run(self._run.execution_id, self._run.fence, error))

    async def read(self):
        return await in_recorder(self._read)

    def end(self):
        """Leave nothing running behind."""
        fence = WorkflowExecution.objects.get(pk=self._run.execution_id).fence
        querysets.fail_run(self._run.execution_id, fence, FAILURE.public())

    def _read(self):
        of_run = {"execution_id": self._run.execution_id}
        execution = WorkflowExecution.objects.get(pk=self._run.execution_id)
        journal = ExecutionLog.objects.filter(**of_run).order_by("seq").values_list("seq", "event", "node")
        assert [seq for seq, _, _ in journal] == list(range(1, execution.last_seq + 1))
        attempts = NodeAttempt.objects.filter(**of_run).order_by("attempt_id")
        return {
            "execution": (execution.status, execution.reason or None),
            "nodes": list(NodeExecution.objects.filter(**of_run).order_by("order").values_list("status", flat=True)),
            "attempts": list(attempts.values_list("order", "number", "outcome")),
            # Before a sink there are the acceptance and the claim.
            "journal": [(event, node) for _, event, node in journal][2:],
            "calls": [
                (call.order, call.number, call.outcome, _spent(call)) for call in AgentCall.objects.filter(**of_run)
            ],
        }


def _spent(call):
    return Spent(
        requests=call.requests, input_tokens=call.input_tokens, output_tokens=call.output_tokens, cost=call.cost
    )


@pytest.fixture
def effect():
    """What the tools of the run do outside; a test may be parametrised with others."""
    return "none"


@pytest.fixture(params=[InMemory, InDjango], ids=["in memory", "in Django"])
def record(request, import_document, tools, effect):
    """The record of a run of `t>a`, `a>b`."""
    tool("test.effect", effect=effect)(_nothing)
    workflow = import_document(document("t>a", "a>b", a={"tool": "test.effect"}))
    execution = start(StartRequest(target=workflow, input={})).execution
    plan = plan_of(execution.version)
    if request.param is InMemory:
        querysets.request_cancel(execution.id)
        yield InMemory(plan)
        return
    in_django = InDjango(execution, plan)
    yield in_django
    in_django.end()


def _nothing():
    pass


class Events:
    """Events of nodes by position, each a millisecond after the one before."""

    def __init__(self):
        self._ticks = itertools.count()

    def at(self):
        return NOW + timedelta(milliseconds=next(self._ticks))

    def started(self, node, number=1):
        at = self.at()
        return NodeStarted(node=node, at=at, attempt_id=f"{node}-{number}", number=number, started_at=at, input="{}")

    def retrying(self, node, number=1):
        return NodeRetrying(
            node=node, at=self.at(), attempt_id=f"{node}-{number}", number=number,
            attempt_outcome=AttemptOutcome.FAILED, error=FAILURE, retry_count=number, max_retries=3, delay=1,
        )  # fmt: skip

    def settled(self, node, number=1, status=NodeStatus.COMPLETED, outcome=AttemptOutcome.SUCCEEDED):
        return NodeSettled(
            node=node, at=self.at(), status=status, attempt_id=f"{node}-{number}", attempt_outcome=outcome, edges="1",
            retry_count=number - 1, started_at=NOW, output='{"n":1.10}',
        )  # fmt: skip

    def called(self, node, number=1, reserved=RESERVED):
        return CallStarted(
            node=node, at=self.at(), attempt_id=f"{node}-1", number=number, kind=CallKind.MODEL, name="m",
            provider="p", arguments='{"n":1.10}', reserved=reserved,
        )  # fmt: skip

    def answered(self, node, number=1, outcome=CallOutcome.SUCCEEDED, spent=SPENT):
        return CallEnded(
            node=node, at=self.at(), attempt_id=f"{node}-1", number=number, kind=CallKind.MODEL, name="m",
            outcome=outcome, result='{"n":1.10}', spent=spent,
        )  # fmt: skip

    def skipped(self, node):
        return NodeSettled(
            node=node,
            at=self.at(),
            status=NodeStatus.SKIPPED,
            reason=Reason.NOT_TAKEN,
            details='{"cause":"t"}',
            cause="t",
        )

    def ended(self, status=ExecutionStatus.COMPLETED, reason=None):
        error = FAILURE if status is ExecutionStatus.FAILED else None
        return ExecutionEnded(at=self.at(), status=status, reason=reason, output="{}", error=error)

    async def finish_all(self, sink):
        """All but the end, each node after the one before is durable."""
        for node in range(3):
            await sink.commit([self.started(node), self.settled(node)])


@pytest.fixture
def events():
    return Events()


async def test_events_are_durable_in_their_order_after_a_commit(record, events):
    record.sink.post(events.started(0))
    await record.sink.commit([events.settled(0), events.skipped(1)])
    assert await record.read() == {
        "execution": ("running", None),
        "nodes": ["completed", "skipped", "pending"],
        "attempts": [(0, 1, "succeeded")],
        "journal": [("node.running", "t"), ("node.completed", "t"), ("node.skipped", "a")],
        "calls": [],
    }


async def test_what_is_only_posted_becomes_durable_by_itself(record, events):
    record.sink.post(events.started(0))
    record.sink.post(Logged(node=0, at=events.at(), level="info", message="at work"))
    for _ in range(500):
        if (await record.read())["nodes"][0] == "running":
            break
        await asyncio.sleep(0.01)
    read = await record.read()
    assert read["journal"] == [("node.running", "t"), ("log", "t")]
    assert read["attempts"] == [(0, 1, "started")]


async def test_every_attempt_is_a_record(record, events):
    await record.sink.commit([events.started(0)])
    await record.sink.commit([events.retrying(0)])
    assert (await record.read())["nodes"][0] == "pending"
    await record.sink.commit([events.started(0, 2)])
    await record.sink.commit([events.retrying(0, 2), events.started(0, 3), events.settled(0, 3)])
    read = await record.read()
    assert read["attempts"] == [(0, 1, "failed"), (0, 2, "failed"), (0, 3, "succeeded")]
    assert read["nodes"][0] == "completed"


async def test_commits_of_several_tasks_keep_their_order(record, events):
    await record.sink.commit([events.started(0), events.settled(0)])
    record.sink.post(events.started(1))
    lines = [Logged(node=1, at=events.at(), level="info", message=str(number)) for number in range(20)]
    await asyncio.gather(*(record.sink.commit([line]) for line in lines))
    assert (await record.read())["journal"][2:] == [("node.running", "a")] + [("log", "a")] * 20


async def test_after_the_end_nothing_is_accepted(record, events):
    await events.finish_all(record.sink)
    await record.sink.commit([events.ended()])
    before = await record.read()
    assert before["execution"] == ("completed", None)
    with pytest.raises(OwnershipLost):
        await record.sink.commit([Logged(node=0, at=events.at(), level="info", message="late")])
    with pytest.raises(OwnershipLost):
        await record.sink.commit([events.ended()])
    assert await record.read() == before


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (ExecutionStatus.COMPLETED, None, ("cancelled", "user")),
        (ExecutionStatus.FAILED, Reason.NODE_ERROR, ("cancelled", "user")),
        (ExecutionStatus.FAILED, Reason.TIMEOUT, ("failed", "timeout")),
        (ExecutionStatus.CANCELLED, Reason.USER, ("cancelled", "user")),
    ],
)
async def test_a_cancel_that_comes_before_the_last_commit_wins(record, events, status, reason, expected):
    await events.finish_all(record.sink)
    await record.request_cancel()
    await record.request_cancel()
    await record.sink.commit([events.ended(status, reason)])
    read = await record.read()
    assert read["execution"] == expected
    assert [entry for entry, _ in read["journal"][-2:]] == ["execution.cancel_requested", f"execution.{expected[0]}"]


async def test_a_cancel_after_the_end_changes_nothing(record, events):
    await events.finish_all(record.sink)
    await record.sink.commit([events.ended()])
    before = await record.read()
    await record.request_cancel()
    assert await record.read() == before


async def test_a_superseded_owner_changes_nothing(record, events):
    await record.sink.commit([events.started(0)])
    await record.take_over()
    before = await record.read()
    assert before["journal"][-1] == ("execution.recovered", "")
    with pytest.raises(OwnershipLost):
        await record.sink.commit([events.settled(0)])
    with pytest.raises(OwnershipLost):
        await record.sink.commit([events.skipped(1)])
    assert not await record.fail()
    assert await record.read() == before


async def test_a_new_owner_finds_where_the_run_stands(record, events):
    await record.sink.commit([events.started(0), events.settled(0)])
    await record.sink.commit([events.started(1)])
    await record.sink.commit([events.retrying(1), events.skipped(2)])
    trigger, skipped, waiting = (await record.take_over()).nodes
    assert (trigger.node, trigger.status, trigger.edges, trigger.attempts) == (0, "completed", "1", 1)
    assert (jsontext.loads(trigger.output), trigger.started_at) == ({"n": Decimal("1.10")}, NOW)
    assert (skipped.node, skipped.status, skipped.cause, skipped.attempts) == (2, "skipped", "t", 0)
    assert (waiting.node, waiting.status, waiting.attempts, waiting.retry_count) == (1, "pending", 1, 1)
    assert not waiting.is_crashed
    assert waiting.due_at == NOW + timedelta(seconds=1, milliseconds=3)


@pytest.mark.parametrize(("effect", "crashed"), [("none", False), ("idempotent", False), ("at_most_once", True)])
async def test_what_was_at_work_is_pending_again_or_crashed(record, events, effect, crashed):
    await record.sink.commit([events.started(0), events.settled(0)])
    await record.sink.commit([events.started(1)])
    (_, at_work) = (await record.take_over()).nodes
    assert (at_work.node, at_work.status, at_work.is_crashed, at_work.attempts) == (1, "pending", crashed, 1)
    read = await record.read()
    assert read["attempts"] == [(0, 1, "succeeded"), (1, 1, "abandoned")]
    assert read["nodes"] == ["completed", "running" if crashed else "pending", "pending"]


async def test_a_late_result_is_refused_and_closes_the_sink(record, events):
    await record.sink.commit([events.started(0), events.settled(0)])
    before = await record.read()
    with pytest.raises(REFUSED):
        await record.sink.commit([events.settled(0, status=NodeStatus.FAILED, outcome=AttemptOutcome.FAILED)])
    with pytest.raises(REFUSED):
        await record.sink.commit([events.skipped(1)])
    assert await record.read() == before


async def test_what_is_handed_over_while_a_batch_is_lost_is_lost_too(record, events):
    await record.sink.commit([events.started(0), events.settled(0)])
    before = await record.read()
    lost = asyncio.create_task(record.sink.commit([events.started(0, 2)]))
    # It has been handed over now, and its answer has not come.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    next_ = asyncio.create_task(record.sink.commit([events.skipped(1)]))
    for commit in (lost, next_):
        with pytest.raises(REFUSED):
            await commit
    assert await record.read() == before


async def test_an_owner_that_gives_up_leaves_nothing_open(record, events):
    await record.sink.commit([events.started(0), events.settled(0)])
    await record.sink.commit([events.started(1)])
    assert await record.fail()
    read = await record.read()
    assert read["execution"] == ("failed", "crashed")
    assert read["nodes"] == ["completed", "cancelled", "cancelled"]
    assert read["attempts"] == [(0, 1, "succeeded"), (1, 1, "abandoned")]
    assert read["journal"][-3:] == [("node.cancelled", "a"), ("node.cancelled", "b"), ("execution.failed", "")]
    assert not await record.fail()
    assert await record.read() == read


async def test_calls_are_records_whether_their_ends_come_with_them_or_later(record, events):
    await record.sink.commit([events.started(0), events.called(0)])
    assert (await record.read())["calls"] == [(0, 1, "started", NOTHING)]
    # Several of each in one batch, and one that begins and ends in it.
    await record.sink.commit(
        [events.answered(0), *(events.called(0, number, None) for number in (2, 3, 4)), events.answered(0, 4)]
    )
    await record.sink.commit([events.answered(0, 3, CallOutcome.FAILED, NOTHING), events.answered(0, 2)])
    assert (await record.read())["calls"] == [
        (0, 1, "succeeded", SPENT), (0, 2, "succeeded", SPENT), (0, 3, "failed", NOTHING), (0, 4, "succeeded", SPENT),
    ]  # fmt: skip


async def test_a_call_ends_once(record, events):
    await record.sink.commit([events.started(0), events.called(0), events.answered(0)])
    before = await record.read()
    with pytest.raises(REFUSED):
        await record.sink.commit([events.answered(0, spent=RESERVED)])
    assert await record.read() == before


async def test_a_new_owner_finds_what_was_taken_and_what_was_under_way_counts_in_full(record, events):
    await record.sink.commit([events.started(0), events.called(0), events.answered(0), events.settled(0)])
    await record.sink.commit([events.started(1), events.called(1), events.called(1, 2, None)])
    await record.sink.commit([events.called(1, 3), events.answered(1, 3)])
    (trigger, at_work) = (await record.take_over()).nodes
    assert trigger.spent == SPENT
    assert at_work.spent == RESERVED + SPENT
    assert (await record.read())["calls"][1:] == [
        (1, 1, "abandoned", RESERVED), (1, 2, "abandoned", NOTHING), (1, 3, "succeeded", SPENT),
    ]  # fmt: skip


async def test_an_owner_that_gives_up_leaves_no_call_open(record, events):
    await record.sink.commit([events.started(0), events.called(0)])
    assert await record.fail()
    assert (await record.read())["calls"] == [(0, 1, "abandoned", RESERVED)]
