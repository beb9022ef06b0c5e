"""Nodes that other processes run: what the engine asks of them, and what it makes of what they say."""

import asyncio
from dataclasses import replace

import pytest

from executions_app.engine.attempt import AttemptStart
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.context import ExecutionContext
from executions_app.engine.delegate import Delegate
from executions_app.engine.elsewhere import Line, Report
from executions_app.engine.errors import ErrorInfo
from executions_app.engine.events import AttemptMeasures, Logged
from executions_app.engine.ports import Limits, start_of_time
from executions_app.engine.run import execute
from executions_app.engine.testing import MemorySink, ports_for
from tests.unit.engine.test_run import Code, plan, statuses
from workflows_app.dag.types import NodeType
from workflows_app.tools.reconciling import Done, NotDone, Unknown

THERE = {"runs_on": "queue:cpu"}
MEASURES = AttemptMeasures(pre_process=1, process=2, post_process=3, bytes_in=4, bytes_out=5)
DIED = Report(ending="lost", why="Engine x died.", died=True)
BACK = Report(ending="lost", why="Engine x was told to stop.")


def done(output="7"):
    return Report(ending="succeeded", output=output, measures=MEASURES)


class Others:
    """Other processes that answer with these reports, one after the other; an answer may be a coroutine function."""

    def __init__(self, *answers, here=()):
        self.answers = list(answers)
        self.here = here
        self.errands = []
        self.stopped = 0

    def serves(self, queue):
        return queue in self.here

    async def run(self, errand):
        self.errands.append(errand)
        answer = self.answers.pop(0)
        try:
            return answer if isinstance(answer, Report) else await answer(errand)
        except asyncio.CancelledError:
            self.stopped += 1
            raise


class Asked(Code):
    async def reconcile(self, call, prepared):
        return self.functions["reconcile"]


async def run(the_plan, others, *, cancel=None, **functions):
    sink = MemorySink(the_plan)
    ports = ports_for(asyncio.get_running_loop(), limits=Limits(grace=0.05))
    context = ExecutionContext(the_plan, {"n": 1}, execution_id="execution-1", started_at=ports.clock.now())
    result = await execute(
        context,
        processors=dict.fromkeys(NodeType, Asked(**functions)),
        sink=sink,
        ports=replace(ports, remote=others),
        cancel=cancel or CancelToken(),
    )
    return result, sink


def ends(sink, node=1):
    return [str(row.outcome) for row in sink.attempts.values() if row.node == node]


async def never(_call):
    raise AssertionError("It was called here.")


async def test_a_node_is_run_by_others_after_its_start_is_on_record():
    seen = []

    async def answer(errand):
        seen.append([(row.node, str(row.outcome)) for row in sinks[0].attempts.values()])
        errand.tell(Logged(node=errand.node, at=start_of_time(), level="info", message="from there"))
        return done('{"x": 1}')

    the_plan = plan("t>a", "a>b", a=THERE)
    sinks = [MemorySink(the_plan)]
    others = Others(answer)
    ports = replace(ports_for(asyncio.get_running_loop()), remote=others)
    context = ExecutionContext(the_plan, {"n": 1}, execution_id="execution-1", started_at=ports.clock.now())
    result = await execute(
        context,
        processors=dict.fromkeys(NodeType, Code(a=never)),
        sink=sinks[0],
        ports=ports,
        cancel=CancelToken(),
    )
    (errand,) = others.errands
    assert (errand.queue, errand.node, errand.number, errand.seconds) == ("cpu", 1, 1, pytest.approx(300, abs=1))
    # Even with no effect: who runs it must find it.
    assert (1, "started") in seen[0]
    assert result.status == "completed"
    assert result.context.get_output("b") == {"n": 1, "x": 1}
    assert sinks[0].settled["a"].measures == MEASURES


async def test_a_process_that_serves_the_queue_runs_the_node_itself():
    async def here(_call):
        return "here"

    others = Others(here=("cpu",))
    result, _ = await run(plan("t>a", a=THERE), others, a=here)
    assert result.context.get_output("a") == "here"
    assert others.errands == []


async def test_a_failure_elsewhere_is_retried_as_one_here():
    error = ErrorInfo(code="node_error", message="it broke", type="ValueError", node="a", bases=("ValueError",))
    failed = Report(ending="failed", error=error)
    the_plan = plan("t>a", a={**THERE, "retry": {"max_retries": 1, "delay": 0}})
    others = Others(failed, done())
    result, sink = await run(the_plan, others)
    assert (result.status, ends(sink)) == ("completed", ["failed", "succeeded"])
    assert [(errand.number, errand.retry_count) for errand in others.errands] == [(1, 0), (2, 1)]
    result, sink = await run(the_plan, Others(failed, failed))
    assert (str(sink.settled["a"].status), sink.settled["a"].error.message) == ("failed", "it broke")


async def test_an_attempt_whose_process_died_is_made_again_and_that_is_no_retry():
    result, sink = await run(plan("t>a", a=THERE), Others(DIED, DIED, DIED, done()))
    assert result.status == "completed"
    assert ends(sink) == ["abandoned"] * 3 + ["succeeded"]
    assert sink.settled["a"].retry_count == 0


async def test_a_node_that_one_process_after_the_other_dies_of_is_given_up():
    result, sink = await run(plan("t>a", "a>b", a=THERE), Others(*[DIED] * 4))
    assert (result.status, ends(sink)) == ("failed", ["abandoned"] * 4)
    assert (sink.settled["a"].reason, sink.settled["b"].reason) == ("crash_loop", "upstream_failed")


async def test_those_that_were_told_to_stop_died_of_nothing():
    result, sink = await run(plan("t>a", a=THERE), Others(*[BACK] * 9, done()))
    assert (result.status, len(ends(sink))) == ("completed", 10)


async def test_what_cannot_be_done_again_fails_and_its_outcome_is_unknown():
    the_plan = plan("t>a", a={**THERE, "effect": "at_most_once", "retry": {"max_retries": 3, "delay": 0}})
    _, sink = await run(the_plan, Others(DIED))
    settled = sink.settled["a"]
    assert (settled.status, settled.reason, ends(sink)) == ("failed", "crashed", ["abandoned"])
    assert settled.error.message == (
        "The process that ran node 'a' is gone. Engine x died. "
        "The outcome is unknown: verify at the receiver before you run it again."
    )


@pytest.mark.parametrize(
    ("verdict", "status", "outcomes", "output"),
    [
        (Done({"ok": 1}), "completed", ["abandoned"], {"ok": 1}),
        (NotDone(), "completed", ["abandoned", "succeeded"], 7),
        (Unknown("Nobody knows."), "failed", ["abandoned"], None),
    ],
)
async def test_a_tool_that_can_be_asked_is_asked(verdict, status, outcomes, output):
    the_plan = plan("t>a", a={**THERE, "effect": "checkable"})
    result, sink = await run(the_plan, Others(DIED, done()), reconcile=verdict)
    assert (str(sink.settled["a"].status), ends(sink)) == (status, outcomes)
    if output is not None:
        assert result.context.get_output("a") == output
    else:
        assert sink.settled["a"].error.message.endswith("Nobody knows.")


async def test_the_time_limit_and_a_cancel_are_the_engines():
    async def hangs(_errand):
        await asyncio.Event().wait()

    async def waits_in_its_queue(errand):
        try:
            await asyncio.Event().wait()
        finally:
            errand.interrupted("It still waited.", "never began")

    the_plan = plan("t>a", a={**THERE, "effect": "at_most_once", "timeout_seconds": 0.05})
    others = Others(hangs)
    _, sink = await run(the_plan, others)
    assert (others.stopped, ends(sink), sink.settled["a"].reason) == (1, ["timed_out"], "timeout")
    assert sink.settled["a"].error.message.endswith("before you run it again.")
    # What nobody had taken has had no effect.
    _, sink = await run(the_plan, Others(waits_in_its_queue))
    assert sink.settled["a"].error.message.endswith("of 0.05 seconds. It still waited.")
    cancel = CancelToken()
    asyncio.get_running_loop().call_later(0.05, cancel.request)
    others = Others(hangs)
    result, sink = await run(plan("t>a", a=THERE), others, cancel=cancel)
    assert (result.status, others.stopped, ends(sink)) == ("cancelled", 1, ["cancelled"])


async def test_what_goes_on_elsewhere_is_let_go_after_the_grace():
    async def deaf(_errand):
        while True:
            try:
                await asyncio.sleep(0.5)
                return done()
            except asyncio.CancelledError:
                pass

    _, sink = await run(plan("t>a", a={**THERE, "timeout_seconds": 0.05}), Others(deaf))
    assert statuses(sink)["a"] == "failed"
    assert sink.settled["a"].output == ""


def delegated(the_plan, sink, **functions):
    ports = ports_for(asyncio.get_running_loop(), limits=Limits(grace=0.05))
    context = ExecutionContext(the_plan, {"n": 1}, execution_id="execution-1", started_at=ports.clock.now())
    return Delegate(
        context, sink.progress(), processors=dict.fromkeys(NodeType, Code(**functions)), sink=sink, ports=ports
    )


class Journal:
    def __init__(self, progress):
        self.lines = []
        self.progress = lambda: progress

    def post(self, event):
        if isinstance(event, Logged):
            self.lines.append(Line.of(event).of_node(2).message)

    async def commit(self, events):
        for event in events:
            self.post(event)


async def test_a_delegate_sees_what_the_engine_sees_and_says_what_came_of_it():
    start = AttemptStart(
        attempt_id="1-1", number=2, retry_count=1, at=start_of_time(), first_at=start_of_time(), seconds=5
    )

    async def reads(call):
        call.attempt.log("at work")
        return {"number": call.attempt.number, "key": call.attempt.idempotency_key, **call.merged_input()}

    async def stuck(_call):
        await asyncio.Event().wait()

    the_plan = plan("t>a", "t>c", "a>b", a=THERE, b={**THERE, "effect": "idempotent"})
    sinks = []

    async def elsewhere(errand):
        # The engine stands still while the other process does its part.
        sinks.append(Journal(sinks[0].progress()))
        delegate = delegated(the_plan, sinks[1], b=reads)
        report = await delegate.run(errand.node, start)
        assert delegate.is_over
        stopping = delegated(the_plan, sinks[1], b=stuck)
        asyncio.get_running_loop().call_later(0.02, stopping.stop)
        assert await stopping.run(errand.node, start) is None
        assert stopping.is_over
        return report

    sinks.append(MemorySink(the_plan))
    ports = replace(ports_for(asyncio.get_running_loop()), remote=Others(done('{"x": 1}'), elsewhere))
    context = ExecutionContext(the_plan, {"n": 1}, execution_id="execution-1", started_at=ports.clock.now())
    result = await execute(
        context, processors=dict.fromkeys(NodeType, Code()), sink=sinks[0], ports=ports, cancel=CancelToken()
    )
    assert result.context.get_output("b") == {"number": 2, "key": "execution-1:b", "n": 1, "x": 1}
    assert sinks[1].lines == ["at work"]
