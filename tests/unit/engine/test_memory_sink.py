"""What the in-memory sink refuses, so that an engine that emits it is found out."""

from datetime import timedelta

import pytest

from executions_app.engine.errors import OwnershipLost
from executions_app.engine.events import ExecutionEnded, NodeSettled, NodeStarted
from executions_app.engine.ports import start_of_time
from executions_app.engine.states import AttemptOutcome, ExecutionStatus, NodeStatus
from executions_app.engine.testing import IllegalEvent, MemorySink
from tests.unit.engine.test_context import plan

NOW = start_of_time()


def started(node, attempt_id="a", number=1):
    return NodeStarted(node=node, at=NOW, attempt_id=attempt_id, number=number, started_at=NOW, input="{}")


def settled(node, attempt_id="a", status=NodeStatus.COMPLETED):
    at = NOW + timedelta(seconds=1)
    outcome = AttemptOutcome.SUCCEEDED if attempt_id else None
    return NodeSettled(node=node, at=at, status=status, attempt_id=attempt_id, attempt_outcome=outcome)


@pytest.fixture
def sink():
    return MemorySink(plan("t>a", "t>b", settings={"max_parallel_nodes": 1}))


async def test_a_start_before_its_predecessors_are_durable(sink):
    with pytest.raises(IllegalEvent, match="a started before t was durable"):
        await sink.commit([started(1)])


async def test_a_transition_that_is_not_in_the_table(sink):
    await sink.commit([settled(0, "", NodeStatus.CANCELLED)])
    with pytest.raises(IllegalEvent, match="t: cancelled -> completed"):
        await sink.commit([settled(0, "")])


async def test_an_attempt_that_is_not_the_next_one(sink):
    with pytest.raises(IllegalEvent, match="t: attempt 2 after 0 attempts"):
        await sink.commit([started(0, number=2)])


async def test_the_end_of_an_attempt_that_is_not_under_way(sink):
    with pytest.raises(IllegalEvent, match="t: no attempt b is under way"):
        await sink.commit([started(0), settled(0, "b")])


async def test_more_nodes_at_work_than_there_may_be(sink):
    await sink.commit([started(0), settled(0)])
    with pytest.raises(IllegalEvent, match="2 nodes are at work, 1 may be"):
        await sink.commit([started(1, "b"), started(2, "c")])


async def test_an_end_with_nodes_open(sink):
    with pytest.raises(IllegalEvent, match="the execution ended while these were open"):
        await sink.commit([ExecutionEnded(at=NOW, status=ExecutionStatus.COMPLETED, reason=None)])


async def test_what_was_refused_stays_refused(sink):
    with pytest.raises(IllegalEvent):
        await sink.commit([settled(0)])
    with pytest.raises(IllegalEvent):
        await sink.commit([started(0)])
    sink.post(started(0))
    assert sink.starts == {}


async def test_nothing_to_write_is_no_batch(sink):
    batches = []
    sink.before_commit = batches.append
    await sink.commit([])
    assert batches == []


async def test_a_record_that_was_given_up_or_taken_has_no_second_end(sink):
    sink.take_over()
    with pytest.raises(OwnershipLost):
        await sink.commit([started(0)])
