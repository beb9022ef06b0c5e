"""What agents may take together: reserved, waited for in turn, settled, and never more than the caps."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions_app.engine.budget import Budget, NamedCaps, fits
from workflows_app.agents.calls import NOTHING, UNBOUNDED, Caps, Spent
from workflows_app.agents.errors import BudgetExceeded


def spent(tokens=0, cost=None, requests=1):
    return Spent(requests=requests, input_tokens=tokens // 2, output_tokens=tokens - tokens // 2, cost=cost)


def exactly(wanted):
    """Asks for so much, or for nothing."""
    return lambda left: wanted if fits(wanted, left) else None


def at_most(tokens, least=1):
    """Asks for so many tokens, or for what is left."""

    def quote(left):
        room = tokens if left.max_tokens is None else min(tokens, left.max_tokens)
        return spent(room) if room >= least else None

    return quote


def budget(caps=UNBOUNDED, nodes=None, before=None):
    return Budget(caps, lambda node: NamedCaps(f"n{node}", (nodes or {}).get(node, UNBOUNDED)), before or {})


async def begun(*coroutines):
    """Tasks that are as far as they come by themselves."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_without_caps_everybody_gets_what_they_ask_for():
    accounts = budget()
    held = [await accounts.reserve(node, exactly(spent(10**9, 10**15))) for node in range(3)]
    assert [one.amount.tokens for one in held] == [10**9] * 3


async def test_a_call_that_would_exceed_a_cap_is_refused_with_a_sentence_that_names_it():
    accounts = budget(Caps(max_tokens=1000, max_cost=5_000_000_000))
    accounts.settle(await accounts.reserve(0, exactly(spent(900, 10))), spent(900, 10))
    with pytest.raises(BudgetExceeded) as raised:
        await accounts.reserve(1, exactly(spent(101, 10)))
    assert str(raised.value) == (
        "The next request does not fit into what the execution may use: of tokens 1000 were allowed, 900 used and "
        "100 left. It was not sent. Raise 'max_tokens' in 'settings.budget', or in AGENT_BUDGET."
    )
    with pytest.raises(BudgetExceeded, match=r"of cost 5 were allowed, 0\.00000001 used and 4\.99999999 left"):
        await accounts.reserve(1, exactly(spent(1, 5_000_000_000)))


async def test_the_stricter_cap_is_the_one_that_is_named():
    accounts = budget(Caps(max_requests=5), {0: Caps(max_requests=1)})
    accounts.settle(await accounts.reserve(0, exactly(spent())), spent())
    with pytest.raises(BudgetExceeded, match="what node 'n0' may use: of requests 1 were allowed, 1 used and 0 left"):
        await accounts.reserve(0, exactly(spent()))
    for _ in range(4):
        accounts.settle(await accounts.reserve(1, exactly(spent())), spent())
    with pytest.raises(BudgetExceeded, match="what the execution may use: of requests 5"):
        await accounts.reserve(1, exactly(spent()))


async def test_what_has_no_price_is_not_sent_where_money_is_bounded():
    accounts = budget(Caps(max_cost=10))
    with pytest.raises(BudgetExceeded, match="price of this model is not known"):
        await accounts.reserve(0, lambda _left: spent(1, None))


async def test_what_cannot_be_told_beforehand_is_not_sent():
    with pytest.raises(BudgetExceeded, match="cannot be told"):
        await budget().reserve(0, lambda _left: None)


async def test_a_call_waits_for_what_others_have_reserved_and_do_not_use():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(80)))
    (second,) = await begun(accounts.reserve(1, exactly(spent(60))))
    assert not second.done()
    accounts.settle(first, spent(40))
    assert (await second).amount == spent(60)


async def test_a_call_waits_rather_than_being_content_with_little():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, at_most(90))
    (second,) = await begun(accounts.reserve(1, at_most(90)))
    assert not second.done()
    accounts.settle(first, spent(20))
    assert (await second).amount.tokens == 80


async def test_who_waits_is_refused_when_what_was_hoped_for_is_used():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(80)))
    (second,) = await begun(accounts.reserve(1, exactly(spent(60))))
    accounts.settle(first, spent(80))
    with pytest.raises(BudgetExceeded, match="80 used and 20 left"):
        await second


async def test_what_no_settling_can_make_room_for_is_refused_at_once():
    accounts = budget(Caps(max_tokens=100), {1: Caps(max_tokens=50)})
    _ = await accounts.reserve(0, exactly(spent(80)))
    with pytest.raises(BudgetExceeded, match="the execution"):
        await accounts.reserve(2, exactly(spent(101)))
    with pytest.raises(BudgetExceeded, match="node 'n1'"):
        await accounts.reserve(1, exactly(spent(51)))


async def test_those_who_wait_go_on_in_the_order_of_asking_and_nobody_overtakes():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(100)))
    order = []

    async def ask(node, tokens):
        held = await accounts.reserve(node, exactly(spent(tokens)))
        order.append(node)
        accounts.settle(held, NOTHING)

    tasks = await begun(ask(1, 90), ask(2, 1), ask(3, 50))
    accounts.settle(first, NOTHING)
    await asyncio.gather(*tasks)
    assert order == [1, 2, 3]
    assert accounts.is_idle


async def test_two_nodes_that_hold_something_do_not_wait_for_each_other():
    accounts = budget(Caps(max_tokens=100))
    held = [await accounts.reserve(node, exactly(spent(50))) for node in (0, 1)]
    for node in (0, 1):
        with pytest.raises(BudgetExceeded):
            await accounts.reserve(node, exactly(spent(10)))
    accounts.settle(held[0], spent(10))
    assert (await accounts.reserve(1, at_most(50))).amount.tokens == 40


async def test_a_node_that_is_granted_one_of_two_requests_does_not_wait_with_the_other():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(100)))
    one, another, other = await begun(*(accounts.reserve(node, exactly(spent(60))) for node in (1, 2, 1)))
    accounts.settle(first, NOTHING)
    await begun()
    assert (one.done(), another.done(), other.done()) == (True, False, True)
    with pytest.raises(BudgetExceeded, match="60 used and 40 left"):
        await other
    accounts.settle(await one, NOTHING)
    accounts.settle(await another, NOTHING)
    assert accounts.is_idle


async def test_one_that_stops_waiting_lets_the_next_one_go_on():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(50)))
    large, small = await begun(accounts.reserve(1, exactly(spent(80))), accounts.reserve(2, exactly(spent(20))))
    assert not small.done()
    large.cancel()
    assert (await small).amount.tokens == 20
    assert large.cancelled()
    accounts.settle(first, NOTHING)


async def test_what_is_granted_to_one_that_is_cancelled_in_the_same_turn_is_free_again():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(100)))
    (second,) = await begun(accounts.reserve(1, exactly(spent(100))))
    accounts.settle(first, NOTHING)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert accounts.is_idle
    assert (await accounts.reserve(2, exactly(spent(100)))).amount.tokens == 100


async def test_what_was_taken_before_counts():
    accounts = budget(Caps(max_tokens=100), {0: Caps(max_requests=2)}, {0: spent(70, requests=2), 1: spent(20)})
    with pytest.raises(BudgetExceeded, match="node 'n0'"):
        await accounts.reserve(0, exactly(spent(1)))
    with pytest.raises(BudgetExceeded, match="90 used and 10 left"):
        await accounts.reserve(1, exactly(spent(11)))


async def test_an_error_of_a_quote_that_waits_is_its_callers():
    accounts = budget(Caps(max_tokens=100))
    first = await accounts.reserve(0, exactly(spent(100)))
    answers = [spent(100), ZeroDivisionError()]

    def quote(_left):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    (second,) = await begun(accounts.reserve(1, quote))
    accounts.settle(first, NOTHING)
    with pytest.raises(ZeroDivisionError):
        await second


NODES = 4
AMOUNTS = st.builds(
    lambda tokens, cost: Spent(requests=1, input_tokens=tokens, cost=cost), st.integers(0, 40), st.integers(0, 40)
)
CAPS = st.builds(
    lambda requests, tokens, cost: Caps(max_requests=requests, max_tokens=tokens, max_cost=cost),
    *[st.none() | st.integers(0, most) for most in (12, 120, 120)],
)
# (what, which node, how much): ask, settle with a part of it, stop waiting.
STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "settle", "cancel"]), st.integers(0, NODES - 1), AMOUNTS), max_size=40
)


@given(caps=CAPS, of_nodes=st.lists(CAPS, min_size=NODES, max_size=NODES), steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_no_cap_is_exceeded_and_nobody_waits_for_nothing(caps, of_nodes, steps):
    asyncio.run(_play(caps, of_nodes, steps))


async def _play(caps, of_nodes, steps):
    accounts = budget(caps, dict(enumerate(of_nodes)))
    settled, held, waiting = [], [], []

    def look():
        for task in [one for one in waiting if one[1].done()]:
            waiting.remove(task)
            if not task[1].cancelled() and task[1].exception() is None:
                held.append(task[1].result())
        reserved = [(one.node, one.amount) for one in held]
        _within(caps, _sum(settled + reserved))
        for node, of_node in enumerate(of_nodes):
            _within(of_node, _sum(one for one in settled + reserved if one[0] == node))
        # Who waits, waits for somebody who holds something and does not wait.
        assert not waiting or any(one.node not in {node for node, _ in waiting} for one in held)

    for act, node, amount in steps:
        if act == "ask":
            (task,) = await begun(accounts.reserve(node, exactly(amount)))
            waiting.append((node, task))
        elif act == "cancel" and waiting:
            waiting[node % len(waiting)][1].cancel()
        elif act == "settle" and held:
            one = held.pop(node % len(held))
            part = Spent(
                requests=one.amount.requests,
                input_tokens=min(one.amount.tokens, amount.tokens),
                cost=min(one.amount.cost, amount.cost),
            )
            settled.append((one.node, part))
            accounts.settle(one, part)
        await begun()
        look()
    while held:
        accounts.settle(held.pop(), NOTHING)
        await begun()
        look()
    assert accounts.is_idle


def _sum(amounts):
    return sum((amount for _, amount in amounts), NOTHING)


def _within(caps, taken):
    assert caps.max_requests is None or taken.requests <= caps.max_requests
    assert caps.max_tokens is None or taken.tokens <= caps.max_tokens
    assert caps.max_cost is None or (taken.cost or 0) <= caps.max_cost


def test_the_property_sees_a_budget_that_forgets_what_is_reserved(monkeypatch):
    monkeypatch.setattr(Budget, "_left", Budget._hopes)
    steps = [("ask", node, Spent(requests=1, input_tokens=40, cost=0)) for node in range(NODES)]
    with pytest.raises(AssertionError):
        asyncio.run(_play(Caps(max_tokens=100), [UNBOUNDED] * NODES, steps))
