"""Nodes that wait for their turn at a tool: nothing has begun, and nothing is lost, until it comes."""

import asyncio

import pytest

from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.errors import HandedBack, OwnershipLost
from executions_app.engine.ports import Limits, Turn
from executions_app.engine.progress import NOTHING_YET
from executions_app.engine.run import execute
from executions_app.engine.states import NodeStatus, Reason
from executions_app.engine.testing import MemorySink, ports_for, run_plan
from executions_app.simulation.virtual_time import run as run_virtually
from tests.unit.engine.test_run import Code, fails, plan, statuses
from workflows_app.agents.calls import CallKind, CallOutcome, Closing, Opening
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import NodeType

RULE = "at most 1 call of 'test.node' a minute"


class Gate:
    """A rate of one call in so many seconds. `asked` are the names that were to be called."""

    def __init__(self, seconds, names=("test.node",)):
        self.seconds = seconds
        self.names = names
        self.asked = []
        self.next_at = 0.0

    def pace(self, tools):
        self.asked.append(list(tools))
        return [Turn(f"at most 1 call of '{tool}' a minute", self.wait) for tool in tools if tool in self.names]

    async def wait(self):
        loop = asyncio.get_running_loop()
        at = self.next_at = max(self.next_at, loop.time()) + self.seconds
        await asyncio.sleep(at - loop.time())


def timed(the_plan, gate, *, cancel=None, sink=None, limits=None, **functions):
    """The result, the record, and the virtual time that it took."""

    async def main():
        result, record = await run_plan(
            the_plan,
            processors=dict.fromkeys(NodeType, Code(**functions)),
            pace=gate.pace,
            cancel=cancel,
            sink=sink,
            limits=limits,
        )
        return result, record, asyncio.get_running_loop().time()

    return run_virtually(main())


def lines(sink):
    return [entry.message for entry in sink.entries if "waits for its turn" in entry.message]


def test_a_node_begins_when_its_turn_has_come_and_has_all_its_time_then():
    gate, began = Gate(100.0), []

    async def works(call):
        began.append(asyncio.get_running_loop().time())
        assert call.attempt.deadline == pytest.approx(began[-1] + 30)
        await asyncio.sleep(29)

    result, sink, took = timed(plan("t>a", a={"timeout_seconds": 30}), gate, a=works)
    assert (result.status, began, took) == ("completed", [100.0], pytest.approx(129))
    started = sink.starts["a"][0]
    assert started.at == started.started_at
    assert (sink.settled["a"].at - started.at).total_seconds() == pytest.approx(29)
    # A trigger calls nothing.
    assert gate.asked == [["test.node"]]


def test_a_wait_of_more_than_a_second_is_told_once():
    _, sink, _ = timed(plan("t>a"), Gate(100.0))
    assert lines(sink) == [f"Node 'a' waits for its turn: {RULE}."]

    async def works(_call):
        await asyncio.sleep(5)

    _, sink, _ = timed(plan("t>a"), Gate(0.9), a=works)
    assert lines(sink) == []


def test_nodes_of_a_tool_without_a_rate_wait_for_nothing():
    gate = Gate(100.0, names=())
    _, _, took = timed(plan("t>a", "t>b"), gate)
    assert took < 1
    assert gate.asked == [["test.node"]] * 2


def test_each_retry_asks_again():
    retry = {"max_retries": 2, "delay": 1}
    result, sink, took = timed(plan("t>a", a={"retry": retry}), Gate(100.0), a=fails)
    assert (result.status, len(sink.starts["a"])) == ("failed", 3)
    assert took >= 300


def test_a_tool_of_the_site_counts_for_its_own_name_and_for_its_kind():
    own = {"tool": "site.own", "configured": {"name": "site.own", "kind": "test.node", "configuration": {}}}
    gate = Gate(10.0, names=("site.own", "test.node"))
    document = {
        "name": "test",
        "nodes": [{"key": "t", "type": "trigger"}, {"key": "a", "type": "tool"} | own],
        "edges": [{"from": "t", "to": "a"}],
    }
    _, _, took = timed(Plan.from_document(document), gate)
    assert (gate.asked, took) == ([["site.own", "test.node"]], pytest.approx(20, abs=0.1))


@pytest.mark.parametrize("reason", [Reason.USER, Reason.TIMEOUT])
def test_a_run_that_is_told_to_end_does_not_wait_and_has_not_called(reason):
    called, cancel = [], CancelToken()

    async def works(call):
        called.append(call)

    async def main():
        loop = asyncio.get_running_loop()
        settings = {}
        if reason is Reason.USER:
            loop.call_later(5, cancel.request)
        else:
            settings["timeout_seconds"] = 5
        result, sink = await run_plan(
            plan("t>a", "a>b", **settings),
            processors=dict.fromkeys(NodeType, Code(a=works)),
            pace=Gate(100.0).pace,
            cancel=cancel,
        )
        return result, sink, loop.time()

    result, sink, took = run_virtually(main())
    assert (result.reason, took) == (reason, pytest.approx(5, abs=0.1))
    assert (called, sink.starts.get("a")) == ([], None)
    assert (sink.settled["a"].status, sink.settled["a"].attempt_outcome) == ("cancelled", None)


def test_a_run_that_stops_at_a_failure_does_not_wait():
    # Its other node has no rate.
    the_plan = plan("t>a", "t>b", on_failure="stop", b={"tool": "test.other"})

    async def breaks(_call):
        await asyncio.sleep(5)
        raise ValueError("it broke")

    result, sink, took = timed(the_plan, Gate(100.0), b=breaks)
    assert (result.status, took) == ("failed", pytest.approx(5, abs=0.1))
    assert statuses(sink) == {"t": "completed", "a": "cancelled", "b": "failed"}
    assert "a" not in sink.starts


def test_a_run_that_is_handed_back_does_not_wait_and_the_next_engine_calls_once():
    the_plan, called = plan("t>a", "a>b", a={"effect": "at_most_once"}), []

    async def works(_call):
        called.append(asyncio.get_running_loop().time())

    async def go(ports, sink, cancel, progress=NOTHING_YET):
        context = ExecutionContext(the_plan, None, execution_id="execution-1", started_at=ports.clock.now())
        processors = dict.fromkeys(NodeType, Code(a=works))
        return await execute(context, processors=processors, sink=sink, ports=ports, cancel=cancel, progress=progress)

    async def main():
        loop = asyncio.get_running_loop()
        sink, cancel = MemorySink(the_plan), CancelToken()
        ports = ports_for(loop, limits=Limits(grace=50.0), pace=Gate(100.0).pace)
        loop.call_later(5, cancel.hand_back)
        with pytest.raises(HandedBack):
            _ = await go(ports, sink, cancel)
        handed_back_at = loop.time()
        assert sink.statuses == [NodeStatus.COMPLETED, NodeStatus.PENDING, NodeStatus.PENDING]
        successor = sink.take_over()
        result = await go(ports, successor, CancelToken(), successor.progress())
        return handed_back_at, result

    handed_back_at, result = run_virtually(main())
    # Not after the grace.
    assert handed_back_at == pytest.approx(5, abs=0.1)
    assert (result.status, len(called)) == ("completed", 1)


def test_what_begins_when_a_run_is_handed_back_waits_for_nothing():
    async def main():
        cancel = CancelToken()
        loop = asyncio.get_running_loop()

        async def hands_back(_call):
            cancel.hand_back()

        with pytest.raises(HandedBack):
            _ = await run_plan(
                # The other one has its slot by then, and has not begun to wait.
                plan("t>b", "t>a", b={"tool": "test.other"}),
                processors=dict.fromkeys(NodeType, Code(b=hands_back)),
                pace=Gate(100.0).pace,
                cancel=cancel,
            )
        return loop.time()

    assert run_virtually(main()) < 1


def test_a_run_that_is_lost_does_not_wait():
    the_plan, broken = plan("t>a", "t>b", b={"tool": "test.other"}), []

    def before_commit(_events):
        if broken:
            raise OwnershipLost("elsewhere")

    async def breaks(_call):
        await asyncio.sleep(5)
        broken.append(True)

    async def main():
        with pytest.raises(OwnershipLost):
            _ = await run_plan(
                the_plan,
                processors=dict.fromkeys(NodeType, Code(b=breaks)),
                pace=Gate(100.0).pace,
                sink=MemorySink(the_plan, before_commit=before_commit),
            )
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) == pytest.approx(5, abs=0.1)


def test_a_run_whose_turns_cannot_be_asked_for_is_broken():
    async def main():
        async def wait():
            raise OSError("no answer")

        _ = await run_plan(
            plan("t>a"), processors=dict.fromkeys(NodeType, Code()), pace=lambda _tools: [Turn(RULE, wait)]
        )

    with pytest.raises(OSError, match="no answer"):
        run_virtually(main())


def agent_that_calls(times):
    async def works(call):
        for _ in range(times):
            await call.calls.turn(["test.node"])
            begun = await call.calls.begin(Opening(kind=CallKind.TOOL, name="test.node"))
            call.calls.end(begun.number, Closing(outcome=CallOutcome.SUCCEEDED))

    return works


AGENT = {"type": "agent", "provider": "p", "model": "m"}


def test_an_agent_waits_before_each_call_and_says_so_once():
    result, sink, took = timed(plan("t>a", a=AGENT), Gate(10.0), a=agent_that_calls(3))
    assert (result.status, took) == ("completed", pytest.approx(30, abs=0.1))
    assert lines(sink) == [f"Node 'a' waits for its turn: {RULE}."]
    began = [(row.started.at - sink.starts["a"][0].at).total_seconds() for row in sink.calls.rows.values()]
    assert began == pytest.approx([10, 20, 30], abs=0.1)


def test_an_agent_that_waits_hears_of_a_cancel_at_once_and_has_no_call_on_record():
    async def main():
        cancel, loop = CancelToken(), asyncio.get_running_loop()
        loop.call_later(5, cancel.request)
        result, sink = await run_plan(
            plan("t>a", a=AGENT),
            processors=dict.fromkeys(NodeType, Code(a=agent_that_calls(1))),
            pace=Gate(100.0).pace,
            cancel=cancel,
        )
        return result, sink, loop.time()

    result, sink, took = run_virtually(main())
    assert (result.status, took) == ("cancelled", pytest.approx(5, abs=0.1))
    assert not sink.calls.rows
