"""What a node writes, and the calls that it makes, as somebody watches them on the page of the execution."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import findings
from tests.browser.test_execution_page import look
from tests.browser.workflows import EVIL
from tests.eventually import eventually

pytestmark = pytest.mark.timeout(180)


class Writing:
    """An execution whose node writes what a test has it write."""

    def __init__(self, site, path):
        self.path = path
        self.text = ""
        self("")
        self.address = site.start("writes", path=str(path))

    def __call__(self, more):
        self.text += more
        new = self.path.with_suffix(".new")
        new.write_text(self.text)
        new.rename(self.path)


@pytest.fixture
def writes(site, tmp_path):
    """Ends with the test."""
    one = Writing(site, tmp_path / "text")
    yield one
    one(" THE END.")


def call(number, **fields):
    """A call as the server tells it."""
    nothing = {"effect": "none", "arguments": None, "result": None, "error": None, "told": "", "outcome": "succeeded"}
    return {"number": number, "kind": "tool", "name": "market.prices", **nothing, **fields}


CALLS = [
    call(1, kind="model", name="small-2026", told="tokens: 812 in, 64 out · cost 0.00267 · 1.4 s"),
    call(2, arguments={"symbol": "AAPL", "note": EVIL}, result={"close": [182.5, 183]}, told="210 ms"),
    call(3, name="crm.mail", effect="at_most_once", outcome="failed", error={"type": "Timeout", "message": EVIL}),
    call(4, name="crm.mail", effect="at_most_once", outcome="refused", error={"type": "NotAllowed", "message": "No."}),
    call(5, kind="model", name="small-2026", outcome="abandoned", told="tokens: 1,902 in, 400 out"),
    call(6, kind="model", name="small-2026", outcome="started", told="reserved: tokens: 2,190 in, 400 out"),
]


def with_calls(page, calls):
    """The server's answer about the node has these calls, whatever they are when it is asked."""

    def answer(route):
        node = json.loads(route.fetch().text())
        for attempt in node["attempts"]:
            attempt["calls"] = calls
        node["usage"] = "3 requests · tokens: 2,714 in, 464 out · cost 0.00801"
        route.fulfill(body=json.dumps(node), content_type="application/json")

    page.route("**/change/node/report/", answer)


def test_the_text_grows_while_it_is_written_and_is_the_same_after_a_reload(page, site, writes):
    look(page, writes.address, "table&node=report")
    expect(page.locator("#pt-inspector")).to_be_visible()
    expect(page.locator("#pt-text")).to_be_hidden()
    said = page.locator("#pt-text pre")
    row = page.locator("#pt-table tr[data-key=report]")
    writes(f"Shares of {EVIL} rose.\n")
    expect(said).to_have_text(re.compile("rose"))
    assert said.evaluate("pre => pre.textContent") == writes.text
    first = said.evaluate_handle("pre => pre.firstChild")
    writes("They fell")
    expect(said).to_have_text(re.compile("They fell$"))
    writes(" again")
    expect(said).to_have_text(re.compile("They fell again$"))
    # What is read aloud is what is new.
    assert said.evaluate("(pre, first) => pre.firstChild === first && pre.childNodes.length > 2", first)
    expect(row).to_contain_text("They fell again")
    expect(row.get_by_role("progressbar")).to_have_count(0)
    page.reload()
    expect(said).to_have_text(re.compile("They fell again$"))
    expect(row).to_contain_text("They fell again")
    writes(" today")
    expect(said).to_have_text(re.compile("They fell again today$"))
    assert said.evaluate("pre => pre.textContent") == writes.text
    writes(".\nTHE END.")
    expect(row).to_contain_text("completed")
    expect(row).not_to_contain_text("THE END")
    expect(said).to_have_text(re.compile("THE END.$"))
    page.reload()
    expect(said).to_have_text(re.compile("THE END.$"))
    assert said.evaluate("pre => pre.textContent") == writes.text
    assert page.locator("img[src=x]").count() == 0


def test_nothing_of_a_text_is_lost_with_messages_and_sockets(page, site, writes):
    lost = []

    def between(socket):
        server = socket.connect_to_server()

        def pass_on(message):
            if '"delta"' in message and len(lost) < 6:
                lost.append(message)
                if len(lost) % 3 == 0:
                    socket.close(code=1012)
            else:
                socket.send(message)

        server.on_message(pass_on)

    page.route_web_socket("**/ws/**", between)
    look(page, writes.address, "table&node=report")
    expect(page.locator("#pt-connection")).to_have_text("live")
    logs = f"/executions/{writes.address.split('/')[-3]}/logs"
    for number in range(12):
        writes(f"Line {number}.\n")
        # Each line is an entry of its own.
        _ = eventually(lambda: f"Line {number}." in str(site.api("GET", logs, params={"limit": 200})["items"]))  # noqa: B023
    said = page.locator("#pt-text pre")
    expect(said).to_contain_text("Line 11.")
    assert said.evaluate("pre => pre.textContent") == writes.text
    assert len(lost) == 6


def test_without_a_socket_the_text_is_there_all_the_same(page, site, writes):
    page.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011))
    look(page, writes.address, "table&node=report")
    writes("Shares rose.")
    expect(page.locator("#pt-text pre")).to_have_text("Shares rose.")
    writes(" Then they fell.")
    expect(page.locator("#pt-text pre")).to_have_text("Shares rose. Then they fell.")


def test_whoever_reads_further_up_is_left_there(page, site, writes):
    look(page, writes.address, "table&node=report")
    said = page.locator("#pt-text pre")
    writes("".join(f"Line {number}\n" for number in range(100)))
    expect(said).to_contain_text("Line 99")
    at_end = "pre => pre.scrollTop + pre.clientHeight > pre.scrollHeight - 8"
    assert said.evaluate(at_end)
    writes("".join(f"Line {number}\n" for number in range(100, 120)))
    expect(said).to_contain_text("Line 119")
    assert said.evaluate(at_end)
    said.evaluate("pre => { pre.scrollTop = 100 }")
    writes("Line 120\n")
    expect(said).to_contain_text("Line 120")
    assert said.evaluate("pre => pre.scrollTop") == 100


def test_the_calls_of_an_attempt_are_listed_and_what_was_opened_stays_open(page, site, writes):
    calls = CALLS[:2]
    with_calls(page, calls)
    look(page, writes.address, "table&node=report")
    listed = page.locator(".pt-calls > li")
    expect(listed).to_have_count(2)
    expect(page.locator("#pt-inspector .pt-facts")).to_contain_text("3 requests · tokens: 2,714 in")
    expect(listed.nth(0)).to_contain_text("Model small-2026 succeeded tokens: 812 in, 64 out · cost 0.00267 · 1.4 s")
    arguments = page.locator("#pt-call-1-2-arguments")
    page.keyboard.press("Tab")
    arguments.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(arguments).to_contain_text("AAPL")
    calls += CALLS[2:]
    # The end of the attempt has the page ask again.
    writes("THE END.")
    expect(listed).to_have_count(6)
    expect(arguments).to_have_attribute("open", "")
    expect(page.locator("#pt-call-1-2-arguments-name")).to_be_focused()
    expect(listed.nth(2)).to_contain_text("Tool crm.mail failed at_most_once")
    expect(listed.nth(2)).to_contain_text(EVIL)
    expect(listed.nth(3)).to_contain_text("refused")
    expect(listed.nth(5)).to_contain_text("reserved")
    shapes = [one.get_attribute("href").rpartition("#")[2] for one in page.locator(".pt-calls > li > svg use").all()]
    assert shapes == ["completed", "completed", "failed", "cancelled", "failed", "running"]
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_while_a_node_writes(open_context, site, writes, scheme, width):
    page = open_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    ).new_page()
    with_calls(page, CALLS)
    look(page, writes.address, "table&node=report")
    writes("".join(f"Line {number} of what is said about shares and their prices.\n" for number in range(50)))
    expect(page.locator("#pt-text pre")).to_contain_text("Line 49")
    page.locator("#pt-call-1-2-arguments summary").first.click()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
