"""docs/rates.md: its examples are executed as they stand."""

import asyncio
import re

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.models import ToolRate
from tests.architecture.source import ROOT
from tests.integration.buckets import surplus
from workflows_app.checks import check_tool_rates
from workflows_app.dag.yamltext import load
from workflows_app.tools.rates import Rate
from workflows_app.tools.registry import rate_of, registry

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "rates.md").read_text(encoding="utf-8")


def block(heading):
    (found,) = re.findall(rf"^```{heading}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def shop(tools):
    module = {"__name__": "shop.tools"}
    exec(block("python"), module)  # noqa: S102 - the page is ours


def test_the_tool_has_its_rate_and_the_settings_go_before_it(shop, settings):
    assert str(registry.get("shop.quote").rate) == str(rate_of("shop.quote")) == "10/s"
    values = {}
    exec(block("python settings"), values)  # noqa: S102
    settings.PASTETRADER = values["PASTETRADER"]
    assert check_tool_rates(None) == []
    assert str(rate_of("shop.quote")) == "4/s"
    assert rate_of("vendor.lookup") is None


def test_the_workflow_takes_its_turns(shop, import_document):
    result = asyncio.run(WorkflowExecutor().execute(import_document(load(block("yaml")).value).id))
    assert result.status == "completed"
    assert result.node_results["acme"].output_data == "12.50 for ACME"
    assert ToolRate.objects.get().tool == "shop.quote"


def test_the_promise_is_that_of_the_rate():
    assert "1 + rate * (seconds + 0.1)" in PAGE
    for text in ("10/s", "100/m", "5/h"):
        rate = Rate.parse(text)
        assert rate.capacity == pytest.approx(1 + rate.per_second * 0.1)
    assert "`10/s burst 10` makes up to 20 in its first second" in PAGE
    assert surplus([0] * 10 + [n / 10 for n in range(1, 11)], Rate.parse("10/s burst 10")) <= 1e-6
