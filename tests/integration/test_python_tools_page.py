"""docs/python-tools.md: its examples are executed as they stand."""

import asyncio
import re
import sys
import tomllib
from datetime import date, datetime, time  # noqa: F401 - the page's expressions use them
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Address  # noqa: F401
from pathlib import PurePath  # noqa: F401
from typing import NamedTuple
from uuid import UUID  # noqa: F401

import pytest
from pydantic import BaseModel, Field
from pydantic.dataclasses import dataclass

from executions_app.executor import WorkflowExecutor
from tests.architecture.source import ROOT
from tests.unit.distributions import install
from workflows_app import plugins
from workflows_app.dag import jsontext
from workflows_app.dag.types import NodeType
from workflows_app.dag.yamltext import load
from workflows_app.processors import registry as processors
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools.registry import registry

PAGE = (ROOT / "docs" / "python-tools.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = re.findall(
    r"^\| (`.+`.*) \| (.*`.+`) \|$", PAGE[PAGE.index("## What it may return") : PAGE.index("## A workflow")], re.M
)
ENTRY_POINTS = "[pastetrader.tools]\nshop = shop_tools\n[pastetrader.processors]\nagent = shop_agents:ShopAgent\n"


class Side(StrEnum):
    BUY = "buy"


class Pair(NamedTuple):
    name: str
    value: int


@dataclass
class Bar:
    day: date
    close: Decimal


class Order(BaseModel, populate_by_name=True):
    symbol: str
    price: Decimal = Field(alias="unitPrice")


def blocks(language, name=""):
    return [text for written, called, text in BLOCKS if (written, called) == (language, name)]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The page's distribution, installed and loaded."""
    monkeypatch.syspath_prepend(str(tmp_path))
    kept = dict(PROCESSORS)
    install(
        tmp_path, "shop", entry_points=ENTRY_POINTS,
        shop_tools="\n".join(blocks("python")), shop_agents="\n".join(blocks("python", "shop_agents")),
    )  # fmt: skip
    with registry.scoped():
        plugins.load()
        yield
    for kind, processor in kept.items():
        processors.replace(kind, processor)
    for name in ("shop_tools", "shop_agents"):
        sys.modules.pop(name, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [0, 1])
def test_the_workflows_of_the_page_give_what_it_says(import_document, shop, settings, number):
    values = {}
    exec(blocks("python", "settings")[0], values)  # noqa: S102 - the page is ours
    settings.PASTETRADER = {**settings.PASTETRADER, **values["PASTETRADER"]}
    workflow = import_document(load(blocks("yaml")[number]).value)
    result = asyncio.run(WorkflowExecutor().execute(workflow.id))
    assert result.status == "completed", result.error_message
    assert result.output_data == jsontext.loads(blocks("json")[number])


def test_the_page_has_the_entry_points_that_are_loaded(shop):
    assert plugins.problems == []
    (text,) = blocks("toml")
    declared = tomllib.loads(text)["project"]["entry-points"]
    assert declared == {
        "pastetrader.tools": {"shop": "shop_tools"},
        "pastetrader.processors": {"agent": "shop_agents:ShopAgent"},
    }
    assert {"shop.total", "shop.order"} <= {tool.name for tool in registry}
    assert type(PROCESSORS[NodeType.AGENT]).__name__ == "ShopAgent"


@pytest.mark.parametrize(("returned", "written"), ROWS)
def test_a_row_of_the_table_of_results_is_true(returned, written):
    values = re.findall(r"`([^`]+)`", returned.partition(" of a")[0])
    texts = re.findall(r"`([^`]+)`", written)
    assert [jsontext.dumps(eval(value)) for value in values] == texts  # noqa: S307 - the page is ours


def test_the_table_of_results_was_found():
    assert len(ROWS) > 10
