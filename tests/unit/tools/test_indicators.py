"""The indicators, held against their textbook formulas."""

import sys
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject
from workflows_app.tools import ToolContext
from workflows_app.tools.errors import MissingPackage, NodeInputError
from workflows_app.tools.market.errors import TooFewCloses
from workflows_app.tools.registry import registry

CLOSES = [Decimal(100 + (number * 7919 % 101)) / 4 for number in range(60)]
HIGHS = [close + Decimal(number % 3) for number, close in enumerate(CLOSES, 1)]
LOWS = [close - Decimal(number % 5) for number, close in enumerate(CLOSES, 1)]
# The least that each needs, with these inputs.
NEEDS: dict[str, tuple[JsonObject, int]] = {
    "market.sma": ({"period": 5}, 5),
    "market.ema": ({"period": 5}, 5),
    "market.rsi": ({"period": 5}, 6),
    "market.atr": ({"period": 5}, 6),
    "market.macd": ({"fast": 3, "slow": 6, "signal": 4}, 9),
    "market.bollinger": ({"period": 5}, 5),
}


async def run(name: str, inputs: JsonObject, context: ToolContext) -> dict[str, object]:
    result = await registry.get(name).call(inputs, context)
    assert isinstance(result, dict)
    return result


def columns(name: str, count: int) -> JsonObject:
    found: JsonObject = {"closes": CLOSES[:count]}
    return found | ({"highs": HIGHS[:count], "lows": LOWS[:count]} if name == "market.atr" else {})


def ema(values: list[float], period: int) -> list[float | None]:
    line: list[float | None] = [None] * (period - 1) + [fmean(values[:period])]
    for value in values[period:]:
        line.append(line[-1] + (value - line[-1]) * 2 / (period + 1))
    return line


def wilder(values: list[float], period: int) -> list[float]:
    line = [fmean(values[:period])]
    for value in values[period:]:
        line.append((line[-1] * (period - 1) + value) / period)
    return line


def rsi(values: list[float], period: int) -> list[float | None]:
    changes = [later - earlier for earlier, later in pairwise(values)]
    gains = wilder([max(change, 0) for change in changes], period)
    losses = wilder([max(-change, 0) for change in changes], period)
    return [None] * period + [100 * gain / (gain + loss) for gain, loss in zip(gains, losses, strict=True)]


def atr(highs: list[float], lows: list[float], closes: list[float], period: int) -> list[float | None]:
    ranges = [
        max(high - low, abs(high - before), abs(low - before))
        for high, low, before in zip(highs[1:], lows[1:], closes, strict=False)
    ]
    return [None] * period + wilder(ranges, period)


def near(expected: list[float | None]) -> list[object]:
    return [None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9) for value in expected]


FLOATS = [float(close) for close in CLOSES]


async def test_the_simple_moving_average(context: ToolContext) -> None:
    found = await run("market.sma", {"closes": CLOSES, "period": 5, "series": True}, context)
    assert found["series"] == near([None] * 4 + [fmean(FLOATS[end - 5 : end]) for end in range(5, 61)])
    assert found["value"] == found["series"][-1]


async def test_the_exponential_moving_average(context: ToolContext) -> None:
    found = await run("market.ema", {"closes": CLOSES, "period": 5, "series": True}, context)
    assert found["series"] == near(ema(FLOATS, 5))


async def test_the_relative_strength_index_is_wilders(context: ToolContext) -> None:
    found = await run("market.rsi", {"closes": CLOSES, "period": 5, "series": True}, context)
    assert found["series"] == near(rsi(FLOATS, 5))


@pytest.mark.parametrize("period", [1, 5])
async def test_the_average_true_range_is_wilders(context: ToolContext, period: int) -> None:
    inputs = {"highs": HIGHS, "lows": LOWS, "closes": CLOSES, "period": period, "series": True}
    found = await run("market.atr", inputs, context)
    assert found["series"] == near(atr([*map(float, HIGHS)], [*map(float, LOWS)], FLOATS, period))


async def test_the_bollinger_bands(context: ToolContext) -> None:
    found = await run("market.bollinger", {"closes": CLOSES, "period": 5, "deviations": 1.5, "series": True}, context)
    windows = [FLOATS[end - 5 : end] for end in range(5, 61)]
    for line, sign in (("lower", -1), ("middle", 0), ("upper", 1)):
        expected = [None] * 4 + [fmean(window) + sign * 1.5 * pstdev(window) for window in windows]
        assert found["series"][line] == near(expected)
        assert found[line] == found["series"][line][-1]


async def test_the_moving_average_convergence_divergence(context: ToolContext) -> None:
    found = await run("market.macd", {"closes": CLOSES, "fast": 3, "slow": 6, "signal": 4, "series": True}, context)
    lines = found["series"]
    # Both averages begin where the slow one does: the fast one with the mean of the three prices before.
    fast = [None] * 3 + ema(FLOATS[3:], 3)
    line = [one - other for one, other in zip(fast[5:], ema(FLOATS, 6)[5:], strict=True)]
    signal = ema(line, 4)[3:]
    assert lines["macd"] == near([None] * 8 + line[3:])
    assert lines["signal"] == near([None] * 8 + signal)
    assert lines["histogram"] == near([None] * 8 + [one - two for one, two in zip(line[3:], signal, strict=True)])
    assert [found[name] for name in lines] == [values[-1] for values in lines.values()]


@pytest.mark.parametrize("name", NEEDS)
async def test_an_indicator_says_how_many_prices_it_needs(context: ToolContext, name: str) -> None:
    given, least = NEEDS[name]
    for count in (0, least - 1):
        with pytest.raises(
            TooFewCloses, match=f"'{name}' over .* days needs at least {least} closes, but there are {count}"
        ):
            await run(name, {**columns(name, count), **given}, context)
    found = await run(name, {**columns(name, least), **given, "series": True}, context)
    lines = found["series"]
    for line in lines.values() if isinstance(lines, dict) else [lines]:
        # Aligned to the input, null where undefined: here all days but the last.
        assert [value is None for value in line] == [True] * (least - 1) + [False]


@pytest.mark.parametrize("name", NEEDS)
async def test_the_series_is_only_there_when_it_is_asked_for(context: ToolContext, name: str) -> None:
    given, _ = NEEDS[name]
    plain = await run(name, {**columns(name, 60), **given}, context)
    whole = await run(name, {**columns(name, 60), **given, "series": True}, context)
    assert plain == {key: value for key, value in whole.items() if key != "series"}
    assert all(type(value) is float for value in plain.values())


@pytest.mark.parametrize("name", NEEDS)
async def test_the_last_value_depends_on_no_later_price(context: ToolContext, name: str) -> None:
    given, _ = NEEDS[name]
    whole = await run(name, {**columns(name, 60), **given, "series": True}, context)
    for count in (20, 40):
        early = await run(name, {**columns(name, count), **given, "series": True}, context)
        lines, longer = early["series"], whole["series"]
        pairs = [(lines[key], longer[key]) for key in lines] if isinstance(lines, dict) else [(lines, longer)]
        assert all(line == later[:count] for line, later in pairs)


@pytest.mark.parametrize(("name", "period"), [(name, "period") for name in NEEDS if name != "market.macd"] + [
    ("market.macd", "signal"), ("market.macd", "fast"),
])  # fmt: skip
async def test_a_period_that_cannot_be_is_refused(context: ToolContext, name: str, period: str) -> None:
    shortest = 1 if name == "market.atr" else 2
    for days in (shortest - 1, -3):
        told = f"'{period}' of tool '{name}' is {days}: use a number of days from {shortest} to 100000"
        with pytest.raises(NodeInputError, match=told):
            await run(name, {**columns(name, 60), period: days}, context)
    if period == "period":
        with pytest.raises(NodeInputError, match="use a number of days"):
            await run(name, {**columns(name, 60), period: 100_001}, context)


async def test_the_fast_average_is_faster_than_the_slow_one(context: ToolContext) -> None:
    for fast in (26, 27):
        with pytest.raises(NodeInputError, match=f"'fast' of tool 'market.macd' is {fast}: it must be less than"):
            await run("market.macd", {"closes": CLOSES, "fast": fast}, context)


@pytest.mark.parametrize("deviations", [0, -1, 101, 1e300])
async def test_bands_have_some_width(context: ToolContext, deviations: float) -> None:
    with pytest.raises(NodeInputError, match=r"'deviations' of tool 'market.bollinger' is .*: use a number above 0"):
        await run("market.bollinger", {"closes": CLOSES, "deviations": deviations}, context)


async def test_columns_of_different_days_are_refused(context: ToolContext) -> None:
    with pytest.raises(NodeInputError, match="there are 60 highs, 59 lows and 60 closes"):
        await run("market.atr", {"highs": HIGHS, "lows": LOWS[1:], "closes": CLOSES}, context)


@pytest.mark.parametrize("name", ["market.sma", "market.bollinger"])
async def test_prices_beyond_floats_are_told_and_do_not_leave_as_infinity(context: ToolContext, name: str) -> None:
    with pytest.raises(NodeInputError, match=f"The prices that tool '{name}' got are too large"):
        await run(name, {"closes": [Decimal("1e308")] * 30, "period": 5}, context)


async def test_a_series_leaves_as_json(context: ToolContext) -> None:
    found = await run("market.sma", {"closes": [1, 2, Decimal("2.5")], "period": 2, "series": True}, context)
    assert jsontext.dumps(found) == '{"value":2.25,"series":[null,1.5,2.25]}'


@pytest.mark.parametrize(
    ("symbol", "begins"), [("AAPL", "32.778"), ("GOOG", "67.525"), ("IBM", "57.187"), ("MSFT", "56.007")]
)
async def test_the_last_rsi_of_the_bundled_closes(context: ToolContext, symbol: str, begins: str) -> None:
    closes = (await run("market.prices", {"symbol": symbol}, context))["closes"]
    result = await run("market.rsi", {"closes": closes}, context)
    assert list(result) == ["value"]
    assert str(result["value"]).startswith(begins)
    # Unrounded: as many digits as a float has.
    assert len(str(result["value"])) > 12


@pytest.mark.parametrize("name", NEEDS)
async def test_without_ta_lib_a_tool_says_what_to_install(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, "talib", None)
    with pytest.raises(MissingPackage, match="Install the extra `trading`: `uv sync --extra trading`") as caught:
        await run(name, columns(name, 60), context)
    assert not caught.value.retryable


def test_the_schemas_of_the_rsi() -> None:
    info = registry.catalogue()["market.rsi"]
    assert info.input_schema == {
        "type": "object",
        "properties": {
            "closes": {"type": "array", "items": {"type": "number"}},
            "period": {"type": "integer", "default": 14},
            "series": {"type": "boolean", "default": False},
        },
        "required": ["closes"],
        "additionalProperties": False,
    }
    assert info.output_schema["properties"]["value"] == {"type": "number"}
    assert info.output_schema["required"] == ["value"]


@pytest.mark.parametrize("name", [*NEEDS, "market.prices"])
def test_a_tool_of_the_family_describes_itself(name: str) -> None:
    tool = registry.get(name)
    assert tool.effect == "none"
    assert tool.description.endswith(".")
    schema = tool.info.input_schema
    described = {key for key, value in schema["properties"].items() if "default" in value}
    assert described | set(schema["required"]) == set(schema["properties"])
