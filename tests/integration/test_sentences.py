"""What the page of an execution says of calls and of what they took."""

from decimal import Decimal

import pytest
from django.utils.translation import override

from executions_app.admin.sentences import budget_text, usage_text, with_sentences


def usage(requests=1, input_tokens=0, output_tokens=0, cost=None):
    return {"requests": requests, "input_tokens": input_tokens, "output_tokens": output_tokens, "cost": cost}


def call(**fields):
    ended = {"outcome": "succeeded", "reserved": None, "usage": usage(0), "duration_ms": Decimal("1400.5")}
    return {"number": 1, "kind": "model", "name": "small", **ended, **fields}


def told_of(*calls):
    attempt = {"number": 1, "measures": None, "calls": list(calls)}
    node = with_sentences({"type": "tool", "retry": None, "downstream": [], "attempts": [attempt], "usage": None})
    return [one["told"] for one in node["attempts"][0]["calls"]]


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (None, ""),
        (usage(1), "1 request"),
        (usage(1200, 1234567, 89), "1,200 requests · tokens: 1,234,567 in, 89 out"),
        (usage(2, 7, 0, Decimal("0.000000001")), "2 requests · tokens: 7 in, 0 out · cost 0.000000001"),
        (usage(2, 7, 0, Decimal("1234.500000000")), "2 requests · tokens: 7 in, 0 out · cost 1,234.5"),
        (usage(2, 7, 0, Decimal("100.000000000")), "2 requests · tokens: 7 in, 0 out · cost 100"),
        (usage(0, 0, 0, Decimal(0)), "0 requests · cost 0"),
    ],
)
def test_what_was_taken_has_all_its_digits_and_none_that_says_nothing(taken, text):
    assert usage_text(taken) == text


def test_a_call_tells_what_it_took_and_one_under_way_what_it_may_take():
    reserved = {"input_tokens": 2190, "output_tokens": 400, "cost": Decimal("0.0121")}
    under_way = {"outcome": "started", "duration_ms": None}
    assert told_of(
        call(usage=usage(1, 812, 64, Decimal("0.00267")), reserved=reserved),
        call(kind="tool", duration_ms=Decimal("210.1")),
        call(**under_way, reserved=reserved),
        call(**under_way),
    ) == [
        "tokens: 812 in, 64 out · cost 0.00267 · 1.4 s",
        "210 ms",
        "reserved: tokens: 2,190 in, 400 out, cost 0.0121",
        "",
    ]


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (None, "10 requests"),
        ({"max_requests": 1, "max_tokens": 4000, "max_output_tokens": 5}, "1 request · 4,000 tokens"),
        ({"max_cost": Decimal("0.50")}, "10 requests · cost 0.5"),
    ],
)
def test_an_agent_tells_what_it_may_take(limits, text):
    node = {"retry": None, "downstream": [], "attempts": [], "configuration": {"limits": limits} if limits else {}}
    assert with_sentences({**node, "type": "agent"})["budget"] == text
    assert with_sentences({**node, "type": "tool"})["budget"] == ""


def test_what_is_not_bounded_is_not_told():
    assert budget_text(None, None, None) == ""
    assert budget_text(None, 1_000_000, 3) == "1,000,000 tokens · cost 3"


def test_it_is_said_in_the_language_of_whoever_looks():
    with override("ko"):
        assert usage_text(usage(3, 1200, 40, Decimal("0.5"))) == "요청 3건 · 토큰: 입력 1,200, 출력 40 · 비용 0.5"
