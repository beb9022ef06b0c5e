"""A model that is asked over HTTP, watched while it answers."""

import asyncio
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import findings, logged_in, prepared
from tests.browser.test_execution_page import look
from tests.eventually import eventually
from tests.http_server import serving_in_thread
from tests.model_server import begin_stream, event, give, says, wishes
from tests.server import ROOT, serving

pytestmark = pytest.mark.timeout(240)

TEXT = "".join(
    f"Day {day}: Apple has risen, and its RSI says that many have bought it lately.\n" for day in range(1, 13)
)
# More pieces than there are.
ALL = 10_000
ANALYST = """
name: analyst
settings: {budget: {max_requests: 5, max_tokens: 200000}}
nodes:
  - {key: start, type: trigger}
  - key: words
    type: agent
    provider: default
    model: default
    prompt: What of Apple?
    tools: [market.prices]
    limits: {max_output_tokens: 500}
edges:
  - {from: start, to: words}
"""


class Model:
    """Says so much of its text as a test allows, piece by piece; before that it wants what the test says."""

    def __init__(self):
        self.wanted = []
        self.allowed = self.asked = 0

    async def answer(self, request, connection):
        self.asked += 1
        if self.wanted:
            return give(connection, request, self.wanted.pop())
        begin_stream(connection)
        for number, piece in enumerate(says(TEXT, tokens=(812, 64)).events):
            while number >= self.allowed:  # noqa: ASYNC110 - the test is in another thread
                await asyncio.sleep(0.02)
            connection.write(event(piece))
        connection.write(event(b""))
        return None


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A site whose agents ask a model, and that model."""
    folder, model = tmp_path_factory.mktemp("asking"), Model()
    (folder / "analyst.yaml").write_text(ANALYST, encoding="utf-8")
    workflows = [ROOT / "demo" / "rsi-report.yaml", folder / "analyst.yaml"]
    with serving_in_thread(model.answer) as service, prepared(folder, workflows) as ready:
        url = f"{service.url}/v1"
        asks = {**ready.environment, "AGENT_PROVIDER": f"openai:small-2026@{url}", "OPENAI_API_KEY": "sk-of-a-test"}
        with serving(folder, asks) as server:
            site = ready.at(server.url)
            yield site, model
            # Whatever a test found: nobody waits for the rest.
            model.allowed = ALL
            site.close()


@pytest.fixture
def site(asking):
    return asking[0]


@pytest.fixture
def model(asking):
    _, model = asking
    model.allowed = model.asked = 0
    return model


@pytest.fixture(scope="module")
def session(asking, chromium):
    return logged_in(chromium, asking[0])


def test_the_page_shows_what_a_real_service_streams(page, site, model):
    address = site.start("rsi-report", symbol="AAPL")
    look(page, address, "table&node=words")
    said, row = page.locator("#pt-text pre"), page.locator("#pt-table tr[data-key=words]")
    # The first agent of a process waits for its libraries.
    _ = eventually(lambda: model.asked, seconds=60)
    for allowed, day in ((40, 1), (60, 3), (90, 5)):
        model.allowed = allowed
        # The end is held back: it might be the beginning of a secret.
        expect(said).to_contain_text(f"Day {day}: Apple has risen")
        so_far = said.evaluate("pre => pre.textContent")
        assert TEXT.startswith(so_far)
        assert len(so_far) < 8 * allowed
    expect(row).to_contain_text(re.compile(r"Day \d"))
    page.reload()
    expect(said).to_contain_text(so_far.strip())
    assert TEXT.startswith(said.evaluate("pre => pre.textContent"))
    model.allowed = ALL
    expect(page.locator("#pt-state")).to_have_text("completed")
    assert said.evaluate("pre => pre.textContent") == TEXT
    expect(page.locator(".pt-calls > li")).to_have_count(1)
    expect(page.locator(".pt-calls > li")).to_contain_text(
        re.compile(r"Model small-2026 succeeded\s+tokens: 812 in, 64 out")
    )
    for place in ("#pt-usage", "#pt-inspector .pt-facts"):
        expect(page.locator(place)).to_contain_text("1 request · tokens: 812 in, 64 out")
    assert findings(page) == []
    page.reload()
    expect(said).to_contain_text("Day 12")
    assert said.evaluate("pre => pre.textContent") == TEXT
    expect(page.locator("#pt-usage")).to_have_text("1 request · tokens: 812 in, 64 out")
    assert site.record(address)["usage"] == {
        "requests": 1, "input_tokens": 812, "output_tokens": 64, "cost": None
    }  # fmt: skip


def test_the_calls_of_a_models_tools_are_seen_as_they_come(page, site, model):
    arguments = '{"symbol": "AAPL"}'
    model.wanted = [wishes(("market_prices", arguments), text="Let me look at its prices.", tokens=(100, 20))]
    address = site.start("analyst")
    look(page, address, "graph&node=words")
    said, calls = page.locator("#pt-text pre"), page.locator(".pt-calls > li")
    _ = eventually(lambda: model.asked == 2, seconds=60)
    model.allowed = 60
    expect(said).to_contain_text("Day 1: Apple has")
    expect(calls).to_have_count(3)
    expect(calls.nth(0)).to_contain_text("Model small-2026 succeeded")
    expect(calls.nth(1)).to_contain_text("Tool market.prices succeeded")
    expect(calls.nth(2)).to_contain_text(re.compile("Model small-2026 under way.*reserved: tokens"))
    calls.nth(1).get_by_text("Arguments").click()
    expect(calls.nth(1)).to_contain_text("AAPL")
    model.allowed = ALL
    expect(page.locator("#pt-state")).to_have_text("completed")
    assert said.evaluate("pre => pre.textContent") == f"Let me look at its prices.\n\n{TEXT}"
    expect(calls.nth(2)).to_contain_text("tokens: 812 in, 64 out")
    expect(calls.nth(1)).to_contain_text("AAPL")
    expect(page.locator("#pt-usage")).to_have_text("2 requests · tokens: 912 in, 84 out")
    expect(page.locator("#pt-budget")).to_have_text("5 requests · 200,000 tokens")
    expect(page.locator("#pt-inspector .pt-facts")).to_contain_text("10 requests")
    assert findings(page) == []
