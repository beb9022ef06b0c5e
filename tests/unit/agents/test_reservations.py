"""What a request reserves before it is made, what the price table says, and limits over HTTP."""

from decimal import Decimal

import pytest

from tests.model_server import fails, hands_in, says, sent, wishes
from tests.recorded_calls import RecordedCalls
from tests.unit.agents.conftest import Ask
from workflows_app.agents import prices
from workflows_app.agents.calls import UNBOUNDED, Caps, Spent, billionths
from workflows_app.agents.errors import AgentLimitExceeded, BudgetExceeded, ModelBusy
from workflows_app.agents.limits import AgentLimits
from workflows_app.agents.prices import FREE, Price, PriceSettingError, price_of, prices_of
from workflows_app.agents.questions import Answer
from workflows_app.agents.reservation import OUTPUT_TOKENS, SHORTEST_ANSWER, Terms
from workflows_app.processors.errors import NodeConfigurationError

# 2.50 and 10 for a million tokens: 2500 and 10000 billionths for one.
TABLE = {"small": {"input": "2.50", "output": Decimal(10)}}
SMALL = prices_of(TABLE)["small"]


def terms(price: Price | None = SMALL, **limits: object) -> Terms:
    return Terms(provider="local", model="small", limits=AgentLimits(**limits), price=price)  # pyright: ignore[reportArgumentType]


def caps(requests: int | None = None, tokens: int | None = None, cost: int | None = None) -> Caps:
    return Caps(max_requests=requests, max_tokens=tokens, max_cost=cost)


@pytest.mark.parametrize(
    ("limits", "left", "output"),
    [
        ({}, UNBOUNDED, 0),
        ({"max_output_tokens": 50}, UNBOUNDED, 50),
        ({}, caps(tokens=100_000), OUTPUT_TOKENS),
        ({}, caps(tokens=200), 100),
        ({"max_output_tokens": 50}, caps(tokens=200), 50),
        ({"max_output_tokens": 8}, caps(tokens=108), 8),
        ({}, caps(tokens=100 + SHORTEST_ANSWER), SHORTEST_ANSWER),
        ({}, caps(tokens=100 + SHORTEST_ANSWER - 1), None),
        ({}, caps(tokens=0), None),
        ({}, caps(requests=1), 0),
        ({}, caps(requests=0), None),
        # 100 tokens of input cost 250000.
        ({}, caps(cost=250_000 + 10_000 * 20), 20),
        ({}, caps(cost=250_000 + 10_000 * 20 - 1), 19),
        ({}, caps(tokens=118, cost=250_000 + 10_000 * 20), 18),
        ({}, caps(cost=250_000), None),
        ({}, caps(cost=249_999), None),
    ],
)
def test_a_request_reserves_no_more_than_what_is_left(
    limits: dict[str, object], left: Caps, output: int | None
) -> None:
    quote = terms(**limits).quote(left, size=100)
    if output is None:
        assert quote is None
        return
    cost = 250_000 + 10_000 * output
    assert quote == Spent(requests=1, input_tokens=100, output_tokens=output, cost=cost)
    assert left.max_cost is None or cost <= left.max_cost


def test_money_is_bounded_only_where_a_price_is_known() -> None:
    assert terms(None).quote(UNBOUNDED, size=100) == Spent(requests=1, input_tokens=100)
    with pytest.raises(NodeConfigurationError, match="no price of the model 'small' of 'local' is known"):
        _ = terms(None).quote(caps(cost=10**9), size=100)
    with pytest.raises(NodeConfigurationError, match="AGENT_PRICES"):
        terms(None, max_cost=Decimal("0.5")).check()
    assert terms(FREE).quote(caps(cost=0), size=100) == Spent(
        requests=1, input_tokens=100, output_tokens=OUTPUT_TOKENS, cost=0
    )


def test_costs_are_exact_and_rounded_up_once() -> None:
    price = prices_of({"m": {"input": "0.000000001", "output": "0.15"}})["m"]
    assert price.cost(1, 0) == 1
    assert price.cost(10**6, 10**6) == billionths(Decimal("0.150000001"))
    assert price.cost(0, 3) == 450
    for money in (0, 1, 149, 150, 151, 10**12 + 1):
        longest = price.longest_answer(money, 7)
        assert longest is not None
        if longest >= 0:
            assert price.cost(7, longest) <= money < price.cost(7, longest + 1)


def test_what_an_answer_took_is_what_its_provider_says_or_all_that_was_reserved() -> None:
    reserved = Spent(requests=1, input_tokens=100, output_tokens=50, cost=750_000)
    said = terms().used_by(Answer(tokens=(7, 5)), reserved)
    assert said == Spent(requests=1, input_tokens=7, output_tokens=5, cost=67_500)
    assert terms().used_by(Answer(tokens=None), reserved) == reserved


def test_a_price_is_found_by_the_provider_and_the_model_or_by_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    table = prices_of({**TABLE, "local/small": {"input": 0, "output": "1"}, "a/b": {"input": "1", "output": "1"}})
    monkeypatch.setattr(prices, "current", lambda: table)
    assert price_of("local", "small") == table["local/small"]
    assert price_of("other", "small") == SMALL
    assert price_of("local", "a/b") == table["a/b"]
    assert price_of("local", "large") is None


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ([], "It is no mapping of models to prices."),
        ({5: {}}, "5 is no name of a model."),
        ({"m": "2.50"}, "The price of 'm' is no mapping with 'input' and 'output'."),
        ({"m": {"input": "1"}}, "The price of 'm' is no mapping with 'input' and 'output'."),
        ({"m": {"input": "1", "output": "1", "cached": "1"}}, "is no mapping with 'input' and 'output'"),
        ({"m": {"input": 2.5, "output": "1"}}, "The 'input' of 'm' is no price"),
        ({"m": {"input": "1", "output": "ten"}}, "The 'output' of 'm' is no price"),
        ({"m": {"input": "1", "output": "-1"}}, "as text such as '2.50'"),
        ({"m": {"input": "1", "output": "NaN"}}, "is no price"),
        ({"m": {"input": "1", "output": "1e99"}}, "is no price"),
        ({"m": {"input": "1", "output": True}}, "is no price"),
        ({"m": {"input": "1", "output": "0.0000000001"}}, "no more than 9 decimals"),
    ],
)
def test_a_table_that_is_none_is_told_what_is_wrong(setting: object, sentence: str) -> None:
    with pytest.raises(PriceSettingError) as caught:
        _ = prices_of(setting)
    assert sentence in str(caught.value)


@pytest.fixture
def _priced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "current", lambda: prices_of(TABLE))


@pytest.mark.usefixtures("_priced")
async def test_each_request_carries_what_it_may_use(ask: Ask, calls: RecordedCalls) -> None:
    limits = {"max_tokens": 2000, "max_cost": Decimal("0.01")}
    output, server = await ask(says("Hold."), limits=limits, system="Be short.")
    assert output == {"text": "Hold."}
    (call,) = calls.made
    # Bytes, and what is around them.
    assert call.reserved.input_tokens > len("Be short.What now?")
    assert sent(server.requests[0])["max_completion_tokens"] == call.reserved.output_tokens
    assert call.reserved.cost is not None
    assert call.reserved.cost <= 10**7
    assert (call.end.spent.cost, calls.spent.tokens) == (67_500, 12)


async def test_what_a_provider_has_counted_is_not_estimated_again(ask: Ask, calls: RecordedCalls) -> None:
    answers = (wishes(("nothing", "{}"), tokens=(1000, 20)), says("Hold."))
    _ = await ask(*answers, prompt="x" * 5000, limits={"max_tokens": 20_000})
    first, _, second = calls.made
    assert first.reserved.input_tokens > 5000
    assert 1020 < second.reserved.input_tokens < 2000


async def test_a_long_prompt_is_refused_before_it_is_sent(ask: Ask, calls: RecordedCalls) -> None:
    with pytest.raises(BudgetExceeded):
        await ask(says("Hold."), prompt="x" * 5000, limits={"max_tokens": 4000})
    assert calls.made == []


async def test_the_schema_and_the_tools_count_too(ask: Ask, calls: RecordedCalls) -> None:
    schema = {"type": "object", "description": "x" * 5000}
    _ = await ask(hands_in("{}"), output_schema=schema)
    assert calls.made[0].reserved.input_tokens > 5000


async def test_an_answer_that_breaks_off_at_its_limit_fails_the_node(ask: Ask, calls: RecordedCalls) -> None:
    with pytest.raises(AgentLimitExceeded, match="Raise 'max_output_tokens'"):
        await ask(says("Hol", finish="length", tokens=(7, 5)), limits={"max_output_tokens": 5})
    assert len(calls.made) == 1


async def test_an_answer_that_breaks_off_where_nothing_is_said_is_not_taken_for_whole(ask: Ask) -> None:
    with pytest.raises(AgentLimitExceeded, match="State 'max_output_tokens'"):
        await ask(says("Hol", finish="length"))


async def test_an_answer_that_breaks_off_earlier_is_asked_for_again_with_more(ask: Ask, calls: RecordedCalls) -> None:
    # It may have 4096; of 1000 there is less.
    cut = says("Hol", finish="length", tokens=(7, 5))
    with pytest.raises(BudgetExceeded):
        await ask(cut, limits={"max_tokens": 1000})
    # What came back is more than the request was expected to take.
    first, *more = calls.made
    assert first.reserved.output_tokens < 1000
    assert all(call.reserved.output_tokens > first.reserved.output_tokens for call in more)


async def test_a_refused_request_leaves_everything_for_the_next_attempt(ask: Ask, calls: RecordedCalls) -> None:
    with pytest.raises(ModelBusy):
        await ask(fails(429), limits={"max_requests": 1})
    assert await ask(says("Hold."), limits={"max_requests": 1})
    with pytest.raises(BudgetExceeded):
        await ask(says("Hold."), limits={"max_requests": 1})


async def test_money_without_a_price_sends_nothing(ask: Ask, calls: RecordedCalls) -> None:
    with pytest.raises(NodeConfigurationError, match="add it to AGENT_PRICES"):
        await ask(says("Hold."), limits={"max_cost": 1})
    assert calls.made == []


async def test_without_a_record_a_model_that_never_ends_is_bounded_still(ask: Ask, calls: RecordedCalls) -> None:
    with pytest.raises(AgentLimitExceeded, match="called tools 3 times, which is the limit"):
        await ask(wishes(("nothing", "{}")), limits={"max_tool_calls": 3, "max_requests": 100})
    assert [call.opening.kind for call in calls.made] == ["model", "tool"] * 3 + ["model"]
