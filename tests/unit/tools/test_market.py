import csv
import os
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from workflows_app.dag.types import JsonObject
from workflows_app.tools import ToolContext, market
from workflows_app.tools.errors import MissingPackage, NodeInputError
from workflows_app.tools.registry import registry


async def run(name: str, inputs: JsonObject, context: ToolContext) -> dict[str, object]:
    result = await registry.get(name).call(inputs, context)
    assert isinstance(result, dict)
    return result


@pytest.fixture
def prices_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put prices into a file and let the tools read it."""
    path = tmp_path / "prices.csv"

    def write(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(market, "data_path", lambda: path)
        return path

    return write


async def test_prices_are_the_closes_of_a_symbol_with_all_their_digits(context: ToolContext) -> None:
    result = await run("market.prices", {"symbol": "AAPL"}, context)
    assert list(result) == ["symbol", "closes", "dates"]
    assert result["symbol"] == "AAPL"
    assert (result["dates"][0], str(result["closes"][0])) == ("2000-03-01", "130.31")
    assert (result["dates"][-1], str(result["closes"][-1])) == ("2013-03-01", "430.47")
    assert str(result["closes"][1]) == "122.0"
    assert len(result["dates"]) == len(result["closes"]) == 3270


async def test_prices_end_with_the_day_until(context: ToolContext) -> None:
    for until in ("2000-03-02", "2000-03-02T00:00:00.000000Z", "2000-03-05"):
        result = await run("market.prices", {"symbol": "AAPL", "until": until}, context)
        assert result["dates"][-1] in ("2000-03-02", "2000-03-03")
        assert len(result["dates"]) == len(result["closes"]) == (3 if until == "2000-03-05" else 2)
    assert (await run("market.prices", {"symbol": "AAPL", "until": "1999-12-31"}, context))["closes"] == []


@pytest.mark.parametrize("until", ["soon", "2000-02-30", ""])
async def test_a_day_that_is_none_is_refused(context: ToolContext, until: str) -> None:
    with pytest.raises(NodeInputError, match="write it as YYYY-MM-DD"):
        await run("market.prices", {"symbol": "AAPL", "until": until}, context)


async def test_an_unknown_symbol_is_answered_with_the_known_ones(context: ToolContext) -> None:
    with pytest.raises(market.UnknownSymbol, match="prices of 'XYZ': the symbols are AAPL, FB, GOOG, IBM and MSFT"):
        await run("market.prices", {"symbol": "XYZ"}, context)


async def test_one_nodes_prices_are_not_anothers(context: ToolContext) -> None:
    first = await run("market.prices", {"symbol": "IBM"}, context)
    first["closes"].clear()
    assert (await run("market.prices", {"symbol": "IBM"}, context))["closes"]


async def test_prices_come_from_the_file_that_the_application_names(
    context: ToolContext, prices_in: Callable[[str], Path]
) -> None:
    prices_in("Date,Ticker,Open,Close\n2020-01-03,ACME,9,1.50\n2020-01-02,ACME,9,1.4\n")
    result = await run("market.prices", {"symbol": "ACME"}, context)
    assert result == {
        "symbol": "ACME", "closes": [Decimal("1.4"), Decimal("1.50")], "dates": ["2020-01-02", "2020-01-03"],
    }  # fmt: skip


async def test_a_file_that_changed_is_read_again_and_one_that_did_not_is_not(
    context: ToolContext, prices_in: Callable[[str], Path]
) -> None:
    path = prices_in("Ticker,Date,Close\nACME,2020-01-02,1\n")
    os.utime(path, ns=(1, 1))
    assert (await run("market.prices", {"symbol": "ACME"}, context))["closes"] == [1]
    path.write_text("Ticker,Date,Close\nACME,2020-01-02,2\n", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert (await run("market.prices", {"symbol": "ACME"}, context))["closes"] == [1]
    os.utime(path, ns=(2, 2))
    assert (await run("market.prices", {"symbol": "ACME"}, context))["closes"] == [2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Ticker,Date\n", "lack the column Close"),
        ("", "lack the column Ticker, Date and Close"),
        ("Ticker,Date,Close\nACME,2020-01-02,1\nACME,2020-01-03,much\n", r"Line 3 of prices\.csv is no price"),
        ("Ticker,Date,Close\nACME,today,1\n", r"Line 2 of prices\.csv is no price"),
        ("Ticker,Date,Close\nACME,2020-01-02,NaN\n", r"Line 2 of prices\.csv is no price"),
        ("Ticker,Date,Close\nACME,2020-01-02\n", r"Line 2 of prices\.csv is no price"),
    ],
)
async def test_a_file_that_holds_no_prices_is_refused(
    context: ToolContext, prices_in: Callable[[str], Path], text: str, told: str
) -> None:
    prices_in(text)
    with pytest.raises(market.PricesUnreadable, match=told):
        await run("market.prices", {"symbol": "ACME"}, context)


async def test_a_missing_file_is_named(context: ToolContext, prices_in: Callable[[str], Path]) -> None:
    prices_in("").unlink()
    with pytest.raises(market.PricesUnreadable, match=r"prices in prices\.csv cannot be read"):
        await run("market.prices", {"symbol": "ACME"}, context)


@pytest.mark.parametrize(
    ("symbol", "begins"), [("AAPL", "32.778"), ("GOOG", "67.525"), ("IBM", "57.187"), ("MSFT", "56.007")]
)
async def test_the_last_rsi_of_the_bundled_closes(context: ToolContext, symbol: str, begins: str) -> None:
    closes = (await run("market.prices", {"symbol": symbol}, context))["closes"]
    result = await run("market.rsi", {"closes": closes}, context)
    assert list(result) == ["value"]
    assert type(result["value"]) is float
    assert str(result["value"]).startswith(begins)
    # Unrounded: as many digits as a float has.
    assert len(str(result["value"])) > 12


async def test_the_rsi_is_wilders(context: ToolContext) -> None:
    closes = [Decimal(text) for text in ("44", "44.25", "44.5", "43.75", "44.65", "45.12", "45.61", "46.03", "45.83")]
    gain = loss = Decimal(0)
    for day in range(1, 5):
        change = closes[day] - closes[day - 1]
        gain, loss = gain + max(change, Decimal(0)) / 4, loss + max(-change, Decimal(0)) / 4
    for day in range(5, 9):
        change = closes[day] - closes[day - 1]
        gain, loss = (3 * gain + max(change, Decimal(0))) / 4, (3 * loss + max(-change, Decimal(0))) / 4
    result = await run("market.rsi", {"closes": closes, "period": 4}, context)
    assert result["value"] == pytest.approx(float(100 * gain / (gain + loss)), rel=1e-12)


async def test_the_rsi_says_how_many_closes_it_needs(context: ToolContext) -> None:
    with pytest.raises(market.TooFewCloses, match="over 14 days needs at least 15 closes, but there are 14"):
        await run("market.rsi", {"closes": [1] * 14}, context)
    assert (await run("market.rsi", {"closes": list(range(1, 16))}, context))["value"] == 100.0


@pytest.mark.parametrize("period", [1, 0, -3, 100_001])
async def test_the_rsi_refuses_a_period_that_it_cannot_take(context: ToolContext, period: int) -> None:
    with pytest.raises(NodeInputError, match=f"'period' of tool 'market.rsi' is {period}: use a number of days"):
        await run("market.rsi", {"closes": [1, 2, 3], "period": period}, context)


async def test_the_rsi_without_ta_lib_says_what_to_install(
    context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "talib", None)
    with pytest.raises(MissingPackage, match="Install the extra `trading`: `uv sync --extra trading`") as caught:
        await run("market.rsi", {"closes": list(range(20))}, context)
    assert not caught.value.retryable


def test_the_schemas_of_the_rsi() -> None:
    info = registry.catalogue()["market.rsi"]
    assert info.input_schema == {
        "type": "object",
        "properties": {
            "closes": {"type": "array", "items": {"type": "number"}},
            "period": {"type": "integer", "default": 14},
        },
        "required": ["closes"],
        "additionalProperties": False,
    }
    assert info.output_schema == {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]}


def test_the_schemas_of_the_prices() -> None:
    info = registry.catalogue()["market.prices"]
    assert info.input_schema["properties"] == {
        "symbol": {"type": "string"},
        "until": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    }
    assert info.output_schema["properties"]["closes"] == {"type": "array", "items": {"type": "number"}}


def test_the_bundled_prices_have_three_columns_and_their_attribution() -> None:
    data = Path(market.__file__).parent / "data"
    with (data / "closes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["Ticker", "Date", "Close"]
    assert {row["Ticker"] for row in rows} == {"AAPL", "FB", "GOOG", "IBM", "MSFT"}
    assert len(rows) == 12154
    assert "bokeh_sampledata" in (data / "README.md").read_text(encoding="utf-8")
    assert (data / "LICENSE.txt").read_text(encoding="utf-8").startswith("Copyright (c) Bokeh Contributors\n")
