"""The calls of agents: on record before they are made, with an end whatever ends them, and without secrets."""

import asyncio
from decimal import Decimal

import pytest

from executions_app.engine.budget import Budget
from executions_app.engine.cancellation import CancelToken
from executions_app.engine.errors import RecorderFailed
from executions_app.engine.ports import Limits
from executions_app.engine.testing import MemorySink, run_plan
from tests.unit.engine.test_run import Code, plan
from workflows_app.agents.calls import NOTHING, CallKind, CallOutcome, Caps, Closing, Opening, Spent
from workflows_app.dag.types import Effect, NodeType
from workflows_app.tools.errors import AttemptEnded

VALUE = "S3CR3T/key+of=42"
RESERVED = Spent(requests=1, input_tokens=10, output_tokens=20, cost=30)
ASKS = Opening(kind=CallKind.MODEL, name="m", provider="p")


def agents(*edges, **more):
    """A plan whose nodes but the first are agents."""
    keys = dict.fromkeys(key for edge in edges for key in edge.split(">"))
    for key in list(keys)[1:]:
        more[key] = {"type": "agent", "provider": "p", "model": "m"} | more.get(key, {})
    return plan(*edges, **more)


async def run(the_plan, *, sink=None, limits=None, cancel=None, secrets=None, **functions):
    processors = dict.fromkeys(NodeType, Code(**functions))
    return await run_plan(
        the_plan, processors=processors, sink=sink, limits=limits, cancel=cancel, secrets=secrets or {}
    )


def quote(_left):
    return RESERVED


def succeeded(**more):
    return Closing(outcome=CallOutcome.SUCCEEDED, **more)


def calls_of(sink):
    return [(row.started.number, row.started.name, str(row.outcome), row.spent) for row in sink.calls.rows.values()]


def entries(sink, kind):
    return [entry for entry in sink.entries if kind in entry.data]


async def test_a_request_is_on_record_with_what_is_reserved_when_begin_returns():
    seen = []

    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        seen.append((begun, [(row.outcome, row.started.reserved) for row in sink.calls.rows.values()]))
        call.calls.end(begun.number, succeeded(result={"text": "yes"}, spent=Spent(requests=1, output_tokens=3)))
        return {}

    the_plan = agents("t>a")
    sink = MemorySink(the_plan)
    await run(the_plan, sink=sink, a=asks)
    assert seen == [((1, RESERVED), [("started", RESERVED)])]
    (row,) = sink.calls.rows.values()
    assert (row.outcome, row.spent, row.ended.result) == (
        "succeeded", Spent(requests=1, output_tokens=3), '{"text":"yes"}',
    )  # fmt: skip


async def test_a_tool_with_an_effect_is_on_record_before_it_is_called_and_one_without_is_not_waited_for():
    known = []

    async def calls(call):
        for effect in (Effect.NONE, Effect.AT_MOST_ONCE):
            opening = Opening(kind=CallKind.TOOL, name="shop.order", effect=effect, arguments={"n": Decimal("1.10")})
            begun = await call.calls.begin(opening)
            known.append(len(sink.calls.rows))
            assert begun.reserved == NOTHING
            call.calls.end(begun.number, succeeded())
        return {}

    the_plan = agents("t>a")
    sink = MemorySink(the_plan)
    await run(the_plan, sink=sink, a=calls)
    assert known == [0, 2]
    assert [row.started.arguments for row in sink.calls.rows.values()] == ['{"n":1.10}'] * 2
    assert [row.started.reserved for row in sink.calls.rows.values()] == [None] * 2


async def test_the_journal_tells_of_the_begin_and_the_end():
    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        call.calls.end(begun.number, succeeded(spent=Spent(requests=1, input_tokens=7, output_tokens=2, cost=1500)))
        begun = await call.calls.begin(Opening(kind=CallKind.TOOL, name="x", effect=Effect.IDEMPOTENT))
        error = {"code": "node_error", "message": "it broke", "type": "ValueError"}
        call.calls.end(begun.number, Closing(outcome=CallOutcome.FAILED, error=error))
        begun = await call.calls.begin(Opening(kind=CallKind.TOOL, name="y"))
        call.calls.end(begun.number, Closing(outcome=CallOutcome.REFUSED))
        return {}

    _, sink = await run(agents("t>a"), a=asks)
    assert [(entry.event, entry.node, entry.level, entry.message) for entry in entries(sink, "call")] == [
        ("log", "a", "debug", "Model 'm' is asked."),
        ("log", "a", "info", "Model 'm' answered. Tokens: 7 in, 2 out."),
        ("log", "a", "info", "Tool 'x' is called."),
        ("log", "a", "warning", "Tool 'x' failed: it broke"),
        ("log", "a", "info", "Tool 'y' is called."),
        ("log", "a", "warning", "The call of tool 'y' was refused."),
    ]
    first, second, third, *_ = [entry.data["call"] for entry in entries(sink, "call")]
    assert first == {"number": 1, "kind": "model", "name": "m", "provider": "p", "outcome": "started"}
    assert second == {
        "number": 1, "kind": "model", "name": "m", "outcome": "succeeded",
        "requests": 1, "input_tokens": 7, "output_tokens": 2, "cost": Decimal("0.0000015"),
    }  # fmt: skip
    assert third == {"number": 2, "kind": "tool", "name": "x", "effect": "idempotent", "outcome": "started"}


@pytest.mark.parametrize("ends", ["error", "timeout", "cancel", "let go", "return"])
async def test_a_call_that_is_open_when_its_attempt_ends_is_abandoned_and_counts_in_full(ends):
    token, late = CancelToken(), []

    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        if ends == "error":
            raise ValueError("it broke")
        if ends == "return":
            return {}
        if ends == "cancel":
            token.request()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if ends != "let go":
                raise
            await asyncio.sleep(0.05)
            # Whatever it does now, nobody listens.
            call.calls.end(begun.number, succeeded(spent=Spent(requests=9)))
            call.calls.write(begun.number, "late")
            with pytest.raises(AttemptEnded):
                await call.calls.begin(ASKS, quote)
            late.append(True)

    limits = Limits(grace=0.01)
    seconds = Decimal("0.05") if ends in ("timeout", "let go") else 60
    _, sink = await run(agents("t>a", a={"timeout_seconds": seconds}), limits=limits, cancel=token, a=asks)
    await asyncio.sleep(0.1)
    assert late == ([True] if ends == "let go" else [])
    assert calls_of(sink) == [(1, "m", "abandoned", RESERVED)]
    kinds = [entry.data.get("call", {}).get("outcome") or entry.event for entry in sink.entries if entry.node == "a"]
    assert kinds.index("abandoned") < next(n for n, kind in enumerate(kinds) if kind in (f"node.{end}" for end in ENDS))


ENDS = ("completed", "failed", "cancelled")


async def test_a_request_that_ended_while_it_went_on_record_was_never_made():
    async def asks(call):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await call.calls.begin(ASKS, quote)
        return {}

    _, sink = await run(agents("t>a"), a=asks)
    assert calls_of(sink) == [(1, "m", "refused", NOTHING)]


async def test_a_call_is_not_made_whose_record_fails():
    made = []

    async def asks(call):
        await call.calls.begin(ASKS, quote)
        made.append(True)

    def breaks(batch):
        if any(type(event).__name__ == "CallStarted" for event in batch):
            raise OSError("disk full")

    the_plan = agents("t>a")
    with pytest.raises(RecorderFailed):
        await run(the_plan, sink=MemorySink(the_plan, before_commit=breaks), a=asks)
    assert not made


async def test_the_requests_of_all_attempts_of_a_node_count_together():
    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        call.calls.end(begun.number, Closing(outcome=CallOutcome.FAILED, spent=Spent(requests=1)))
        raise ValueError("again")

    limits = {"limits": {"max_requests": 2}, "retry": {"max_retries": 5, "delay": 0}}
    result, sink = await run(agents("t>a", a=limits), a=asks)
    assert [row.error.type for row in sink.attempts.values() if row.error] == [
        "ValueError",
        "ValueError",
        "BudgetExceeded",
    ]
    assert result.error.code == "budget_exceeded"


async def test_the_stricter_of_the_sites_and_the_documents_budget_holds():
    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        call.calls.end(begun.number, succeeded(spent=begun.reserved))
        return {}

    for site, document, most in ((Caps(max_tokens=59), {"max_tokens": 90}, 1), (Caps(), {"max_tokens": 60}, 2)):
        the_plan = agents("t>a", "t>b", "t>c", budget=document)
        _, sink = await run(the_plan, limits=Limits(agent_budget=site), a=asks, b=asks, c=asks)
        assert [str(row.outcome) for row in sink.calls.rows.values()] == ["succeeded"] * most


async def test_a_provider_that_counts_more_than_was_reserved_is_believed_and_nothing_more_is_sent():
    async def asks(call):
        for _ in range(2):
            begun = await call.calls.begin(ASKS, quote)
            call.calls.end(begun.number, succeeded(spent=Spent(requests=1, input_tokens=100)))
        return {}

    result, sink = await run(agents("t>a", budget={"max_tokens": 90}), a=asks)
    assert [row.spent.tokens for row in sink.calls.rows.values()] == [100]
    assert "100 used and 0 left" in result.error.message


async def test_a_cancel_reaches_an_agent_that_waits_for_budget():
    token, waiting = CancelToken(), []

    async def holds(call):
        await call.calls.begin(ASKS, quote)
        await asyncio.Event().wait()

    async def waits(call):
        waiting.append(True)
        asyncio.get_running_loop().call_later(0.01, token.request)
        await call.calls.begin(ASKS, quote)

    result, sink = await run(agents("t>a", "t>b", budget={"max_tokens": 30}), cancel=token, a=holds, b=waits)
    assert waiting
    assert result.status == "cancelled"
    assert calls_of(sink) == [(1, "m", "abandoned", RESERVED)]


async def test_an_agent_that_waits_for_budget_goes_on_when_another_one_runs_out_of_time():
    async def holds(call):
        await call.calls.begin(ASKS, lambda _left: Spent(requests=1, output_tokens=10))
        await asyncio.Event().wait()

    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        call.calls.end(begun.number, succeeded(spent=begun.reserved))
        return {}

    a = {"timeout_seconds": Decimal("0.05")}
    _, sink = await run(agents("t>a", "t>b", a=a, budget={"max_tokens": 35}), a=holds, b=asks)
    # What the first one had reserved counts: there is no room for the second.
    assert sink.settled["b"].error.code == "budget_exceeded"
    _, sink = await run(agents("t>a", "t>b", a=a, budget={"max_requests": 2, "max_tokens": 40}), a=holds, b=asks)
    assert sink.settled["b"].status == "completed"


async def fifty(the_plan, asks):
    """Fifty agents at once; the most that was taken or reserved at any commit, and all that was taken."""
    peak, sink = [], MemorySink(the_plan)
    sink.before_commit = lambda _batch: peak.append(sink.calls.counts)
    await run(the_plan, sink=sink, **dict.fromkeys([node.key for node in the_plan.nodes[1:]], asks))
    peak.append(sink.calls.counts)
    return max(one.cost or 0 for one in peak), sink.calls.counts.cost


def asks_several_times(call):
    async def ask():
        for step in range(1, 4):
            begun = await call.calls.begin(
                ASKS,
                lambda left: Spent(requests=1, cost=97_000_001) if left.max_cost >= 97_000_001 else None,
            )
            await asyncio.sleep(0.001)
            call.calls.end(begun.number, succeeded(spent=Spent(requests=1, cost=32_333_333 * step)))
        return {}

    return ask()


CENTS = 2_000_000_000


async def test_fifty_agents_together_never_take_a_billionth_more_than_the_execution_may():
    the_plan = agents(*(f"t>a{n}" for n in range(50)), budget={"max_cost": 2}, max_parallel_nodes=50)
    peak, total = await fifty(the_plan, asks_several_times)
    assert peak <= CENTS
    assert total > CENTS * Decimal("0.95")


async def test_without_reservations_fifty_agents_take_more(monkeypatch):
    # Each is asked whether it fits beside what is settled, as if nobody had reserved anything.
    monkeypatch.setattr(Budget, "_left", Budget._hopes)
    the_plan = agents(*(f"t>a{n}" for n in range(50)), budget={"max_cost": 2}, max_parallel_nodes=50)
    peak, total = await fifty(the_plan, asks_several_times)
    assert peak > CENTS
    assert total > CENTS


async def test_text_comes_into_the_journal_a_few_times_a_second_and_all_of_it_before_the_end():
    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        for number in range(30):
            call.calls.write(begun.number, f"{number} ")
            await asyncio.sleep(0.01)
        call.calls.end(begun.number, succeeded())
        call.calls.write(begun.number, "late")
        return {}

    _, sink = await run(agents("t>a"), a=asks)
    told = entries(sink, "text")
    assert "".join(entry.data["text"]["delta"] for entry in told) == "".join(f"{number} " for number in range(30))
    assert 2 <= len(told) <= 4
    assert told[0].message == "Wrote 2 characters."
    assert {(entry.level, entry.data["text"]["call"]) for entry in told} == {("debug", 1)}
    assert sink.entries.index(told[-1]) < sink.entries.index(entries(sink, "call")[-1])


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_secret_that_is_cut_in_two_by_the_pieces_of_a_text_is_hidden(size, monkeypatch):
    monkeypatch.setattr("executions_app.engine.writing.SECONDS", 0)
    text = f"The key {VALUE} and again {VALUE}{VALUE}, and much text after it: {'so it goes. ' * 40}{VALUE}"

    async def asks(call):
        begun = await call.calls.begin(ASKS, quote)
        for start in range(0, len(text), size):
            call.calls.write(begun.number, text[start : start + size])
        call.calls.end(begun.number, succeeded(result=text, error={"message": text}))
        return {}

    node = {"inputs": {"key": "${{ secrets.TOKEN }}"}, "secrets": ["TOKEN"]}
    _, sink = await run(agents("t>a", a=node), secrets={"TOKEN": VALUE}, a=asks)
    told = entries(sink, "text")
    whole = "".join(entry.data["text"]["delta"] for entry in told)
    assert len(told) > 2
    assert "S3CR3T" not in whole
    assert whole.replace("***", "").startswith("The key  and again ")
    assert whole.count("***") >= 3
    (row,) = sink.calls.rows.values()
    assert VALUE not in row.ended.result
    assert VALUE not in str(row.ended.error)


async def test_names_and_arguments_that_are_too_long_are_not_kept_whole():
    async def calls(call):
        begun = await call.calls.begin(Opening(kind=CallKind.TOOL, name="x" * 500, arguments="y" * 600_000))
        call.calls.end(begun.number, Closing(outcome=CallOutcome.REFUSED))
        return {}

    _, sink = await run(agents("t>a"), a=calls)
    (row,) = sink.calls.rows.values()
    assert len(row.started.name) < 200
    assert row.started.arguments == '"(left out: 600002 characters of JSON)"'


async def test_what_has_no_json_form_goes_on_record_as_text():
    async def calls(call):
        opening = Opening(kind=CallKind.TOOL, name="x\0", arguments={"a\0": ["\ud800", 1]})
        begun = await call.calls.begin(opening)
        call.calls.write(begun.number, "b\0")
        error = {"message": "it\0broke"}
        call.calls.end(begun.number, Closing(outcome=CallOutcome.FAILED, result="\0", error=error))
        return {}

    _, sink = await run(agents("t>a"), a=calls)
    (row,) = sink.calls.rows.values()
    assert (row.started.name, row.started.arguments) == ("x\ufffd", r'{"a\\u0000":["\\ud800","1"]}')
    assert (row.ended.result, row.ended.error) == (r'"\\u0000"', {"message": r"it\u0000broke"})
    assert entries(sink, "text")[0].data["text"]["delta"] == r"b\u0000"


async def test_nodes_that_are_no_agents_have_no_book():
    kinds = []

    async def looks(call):
        kinds.append(type(call.calls).__name__)
        return {}

    await run(plan("t>a", "a>b", b={"type": "agent"}), a=looks, b=looks)
    assert kinds == ["Unrecorded", "Book"]
