"""Rates of tools: how they are written, and which one holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.tools import rates, tool
from workflows_app.tools.errors import ToolDefinitionError
from workflows_app.tools.rates import MOST, Rate, RateError, rates_of
from workflows_app.tools.registry import rate_of, registry


@pytest.mark.parametrize(
    ("text", "per_second", "capacity", "sentence"),
    [
        ("10/s", 10, 2, "at most 10 calls of 'a.b' a second"),
        ("1000/s", 1000, 101, "at most 1000 calls of 'a.b' a second"),
        ("60/m", 1, 1.1, "at most 60 calls of 'a.b' a minute"),
        ("1/h", 1 / 3600, 1 + 0.1 / 3600, "at most 1 call of 'a.b' an hour"),
        ("10/s burst 1", 10, 1, "at most 10 calls of 'a.b' a second"),
        ("5/h burst 5", 5 / 3600, 5, "at most 5 calls of 'a.b' an hour"),
    ],
)
def test_a_rate_is_calls_a_period_and_what_may_be_called_at_once(text, per_second, capacity, sentence):
    rate = Rate.parse(text)
    assert (rate.per_second, rate.capacity) == pytest.approx((per_second, capacity))
    assert rate.sentence("a.b") == sentence


@given(st.integers(1, MOST), st.sampled_from("smh"), st.none() | st.integers(1, MOST))
def test_what_a_rate_says_of_itself_is_how_it_is_written(calls, period, burst):
    rate = Rate(calls=calls, period=period, burst=burst)
    assert Rate.parse(str(rate)) == rate
    assert rate.capacity >= 1


@pytest.mark.parametrize(
    "text",
    ["", "10", "10/", "/s", "0/s", "-1/s", "1.5/s", "10/d", "10 / s", "10/s burst", "10/s burst 0", "1000001/s",
     "9999999/s", "1/s burst 1000001", "\u0661/s", "10/s\n", "x" * 1000],
)  # fmt: skip
def test_what_is_no_rate_is_refused_in_a_sentence(text):
    with pytest.raises(RateError, match=r"^'.*(is no rate: write|is more than).*\.$") as refused:
        _ = Rate.parse(text)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        (["a.b"], "no names of tools"),
        ({"a.b": 10}, "'a.b': 10"),
        ({1: "10/s"}, "1: '10/s'"),
        ({"a.b": "often"}, "For 'a.b': 'often' is no rate"),
    ],
)
def test_a_setting_that_is_none_is_refused_by_its_name(setting, problem):
    with pytest.raises(RateError, match=problem):
        _ = rates_of(setting)


@pytest.fixture
def said(monkeypatch):
    """What the settings say."""
    found: dict[str, Rate | None] = {}
    monkeypatch.setattr(rates, "current", lambda: found)
    with registry.scoped():
        yield found


def test_a_tool_has_the_rate_of_its_maker_unless_the_settings_say_another_one_or_none(said):
    @tool("rated.own", rate="10/s")
    def own() -> None: ...

    @tool("rated.none")
    def none() -> None: ...

    assert rate_of("rated.own") == registry.get("rated.own").rate == Rate.parse("10/s")
    assert rate_of("rated.none") is None
    said |= {"rated.own": None, "rated.none": Rate.parse("5/m"), "of.the_site": Rate.parse("1/h")}
    assert rate_of("rated.own") is None
    assert str(rate_of("rated.none")) == "5/m"
    # It has no entry in the registry.
    assert str(rate_of("of.the_site")) == "1/h"
    assert rate_of("unknown.tool") is None


def test_a_tool_with_a_rate_that_is_none_is_not_registered(said):
    with pytest.raises(ToolDefinitionError, match=r"The rate of tool 'rated.wrong' is wrong: 'often' is no rate"):
        tool("rated.wrong", rate="often")(lambda: None)
    assert "rated.wrong" not in registry
