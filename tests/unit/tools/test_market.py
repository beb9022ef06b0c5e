import csv
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from workflows_app import tools
from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject
from workflows_app.tools import ToolContext
from workflows_app.tools.errors import NodeInputError
from workflows_app.tools.market import sources
from workflows_app.tools.market.errors import PricesUnreadable, UnknownSymbol
from workflows_app.tools.market.tables import CsvSource
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
        monkeypatch.setattr(sources, "current", lambda: CsvSource(path=path))
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


@pytest.mark.parametrize("until", ["soon", "2000-02-30", ""])
async def test_a_day_that_is_none_is_refused(context: ToolContext, until: str) -> None:
    with pytest.raises(NodeInputError, match="write it as YYYY-MM-DD"):
        await run("market.prices", {"symbol": "AAPL", "until": until}, context)


async def test_an_unknown_symbol_is_answered_with_the_known_ones(context: ToolContext) -> None:
    with pytest.raises(UnknownSymbol, match="prices of 'XYZ': the symbols are AAPL, FB, GOOG, IBM and MSFT"):
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
        "opens": [9, 9],
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
        ("Ticker,Date,Close\nACME,2020-01-02,1_0\n", r"Line 2 of prices\.csv is no price"),
        ("Ticker,Date,Close,High\nACME,2020-01-02,1,\n", "needs an ISO date and a number for High and Close"),
        ("Ticker,Date,Close\nA,2020-01-02,1\nA,2020-01-02,2\n", r"has two lines for 'A' on 2020-01-02: remove one"),
    ],
)
async def test_a_file_that_holds_no_prices_is_refused(
    context: ToolContext, prices_in: Callable[[str], Path], text: str, told: str
) -> None:
    prices_in(text)
    with pytest.raises(PricesUnreadable, match=told):
        await run("market.prices", {"symbol": "ACME"}, context)


async def test_a_missing_file_is_named(context: ToolContext, prices_in: Callable[[str], Path]) -> None:
    prices_in("").unlink()
    with pytest.raises(PricesUnreadable, match=r"prices in prices\.csv cannot be read"):
        await run("market.prices", {"symbol": "ACME"}, context)


async def test_prices_begin_with_the_day_since(context: ToolContext, prices_in: Callable[[str], Path]) -> None:
    prices_in("Ticker,Date,Close\nACME,2020-01-02,2\nACME,2020-01-03,3\nACME,2020-01-06,6\n")
    for since, until, closes in (
        ("2020-01-03", None, [3, 6]), ("2020-01-04", None, [6]), ("2020-01-07", None, []), (None, "2020-01-05", [2, 3]),
        ("2020-01-03", "2020-01-03", [3]), ("2020-01-04T09:00:00Z", "2020-01-05", []),
    ):  # fmt: skip
        result = await run("market.prices", {"symbol": "ACME", "since": since, "until": until}, context)
        assert (result["closes"], len(result["dates"])) == (closes, len(closes))
    with pytest.raises(NodeInputError, match=r"'since' of tool 'market\.prices' is after 'until'"):
        await run("market.prices", {"symbol": "ACME", "since": "2020-01-04", "until": "2020-01-03"}, context)


async def test_a_file_with_whole_bars_gives_every_column(
    context: ToolContext, prices_in: Callable[[str], Path]
) -> None:
    prices_in("Ticker,Date,Open,High,Low,Close,Volume,Adj Close\nACME,2020-01-02,1.10,2,.5,1.50,100,x\n")
    result = await run("market.prices", {"symbol": "ACME"}, context)
    assert jsontext.dumps(result) == (
        '{"symbol":"ACME","closes":[1.50],"dates":["2020-01-02"],'
        '"opens":[1.10],"highs":[2],"lows":[0.5],"volumes":[100]}'
    )


async def test_a_symbol_without_prices_up_to_the_day_is_not_known_on_it(context: ToolContext) -> None:
    with pytest.raises(UnknownSymbol, match="no prices of 'FB' up to 2003-01-02: the symbols are AAPL, IBM and MSFT"):
        await run("market.prices", {"symbol": "FB", "until": "2003-01-02"}, context)
    with pytest.raises(UnknownSymbol, match="no prices of 'XYZ' up to 2003-01-02: the symbols are AAPL, IBM and MSFT"):
        await run("market.prices", {"symbol": "XYZ", "until": "2003-01-02"}, context)


async def test_of_many_symbols_some_are_named(context: ToolContext, prices_in: Callable[[str], Path]) -> None:
    prices_in("Ticker,Date,Close\n" + "".join(f"S{number:03},2020-01-02,1\n" for number in range(500)))
    with pytest.raises(UnknownSymbol, match="S008, S009 and 490 more"):
        await run("market.prices", {"symbol": "XYZ"}, context)


def test_the_schemas_of_the_prices() -> None:
    info = registry.catalogue()["market.prices"]
    assert info.input_schema["properties"] == {
        "symbol": {"type": "string"},
        "until": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "since": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    }
    assert info.output_schema["required"] == ["symbol", "closes", "dates"]
    assert info.output_schema["properties"]["closes"] == {"type": "array", "items": {"type": "number"}}


def test_the_bundled_prices_have_three_columns_and_their_attribution() -> None:
    data = Path(tools.__file__).parent / "data"
    with (data / "closes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["Ticker", "Date", "Close"]
    assert {row["Ticker"] for row in rows} == {"AAPL", "FB", "GOOG", "IBM", "MSFT"}
    assert len(rows) == 12154
    assert "bokeh_sampledata" in (data / "README.md").read_text(encoding="utf-8")
    assert (data / "LICENSE.txt").read_text(encoding="utf-8").startswith("Copyright (c) Bokeh Contributors\n")
