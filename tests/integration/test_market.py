"""Market data from the settings to the record: the document's example, the sources, and what the checks say."""

import ast
import re
from pathlib import Path

import pytest
from django.core.checks import run_checks

from tests.architecture.source import ROOT
from tests.integration.runs import outputs, run_text
from workflows_app.dag import jsontext
from workflows_app.tools.market import sources
from workflows_app.tools.market.services import HttpSource
from workflows_app.tools.market.tables import CsvSource

TEXT = (ROOT / "docs" / "market.md").read_text(encoding="utf-8")
WORKFLOW = """name: closes
nodes:
  - {key: start, type: trigger}
  - {key: prices, type: tool, tool: market.prices, inputs: {symbol: ACME, until: "2020-01-03"}}
edges: [{from: start, to: prices}]
"""


def told(settings) -> list[str]:
    return [f"{found.id} {found.msg}" for found in run_checks() if found.id == "pastetrader.E001"]


@pytest.mark.django_db(transaction=True)
def test_the_example_of_the_document_gives_what_the_document_says(owner):
    (workflow,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (given,) = re.findall(r"With the input `(.*?)`", TEXT)
    (expected,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    result = run_text(workflow, owner, jsontext.loads(given))
    assert (result.status, result.error_message) == ("completed", None)
    assert result.output_data == jsontext.loads(expected)


def test_the_settings_of_the_document_name_sources():
    blocks = re.findall(r"```python\nPASTETRADER = (.*?)```", TEXT, re.DOTALL)
    found = [sources.source_of(ast.literal_eval(block)["MARKET_SOURCE"]) for block in blocks]
    assert [type(source) for source in found] == [CsvSource, HttpSource]


def test_the_table_of_keys_is_complete():
    (table,) = re.findall(r"(\| key \| default .*?)\n\n", TEXT, re.DOTALL)
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {"url", "items", "date", "open", "high", "low", "close", "volume", "bearer_env"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("setting", ["MARKET_SOURCE", "MARKET_DATA"])
def test_prices_come_from_the_file_of_the_setting_and_keep_their_digits(owner, settings, tmp_path, setting):
    path = tmp_path / "prices.csv"
    path.write_text("Ticker,Date,Close\nACME,2020-01-02,1.50\nACME,2020-01-06,2\n", encoding="utf-8")
    settings.PASTETRADER = {setting: str(path) if setting == "MARKET_DATA" else {"csv": path}}
    assert told(settings) == []
    result = run_text(WORKFLOW, owner)
    assert jsontext.dumps(outputs(result)["prices"]) == '{"symbol":"ACME","closes":[1.50],"dates":["2020-01-02"]}'


@pytest.mark.django_db(transaction=True)
def test_a_setting_that_names_no_source_fails_the_node_with_the_same_words(owner, settings):
    settings.PASTETRADER = {"MARKET_SOURCE": {"ftp": "prices"}}
    assert told(settings) == [
        "pastetrader.E001 PASTETRADER['MARKET_SOURCE'] names no source of prices. It is neither {\"csv\": path} nor "
        '{"http": {"url": ...}}.'
    ]
    result = run_text(WORKFLOW, owner)
    assert (result.status, "It is neither" in result.error_message) == ("failed", True)


def test_a_file_that_is_not_there_and_two_settings_at_once_are_told(settings, tmp_path: Path):
    settings.PASTETRADER = {"MARKET_SOURCE": {"csv": tmp_path / "gone.csv"}}
    assert told(settings) == [
        f"pastetrader.E001 PASTETRADER['MARKET_SOURCE'] is {tmp_path}/gone.csv, which is not a file."
    ]
    settings.PASTETRADER = {"MARKET_DATA": "gone.csv"}
    assert told(settings) == ["pastetrader.E001 PASTETRADER['MARKET_DATA'] is gone.csv, which is not a file."]
    settings.PASTETRADER = {"MARKET_DATA": "a.csv", "MARKET_SOURCE": {"csv": "b.csv"}}
    assert told(settings) == ["pastetrader.E001 PASTETRADER has both MARKET_SOURCE and MARKET_DATA."]
