"""The page of one execution, as somebody sees and uses it."""

import json
import random
import re
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import findings
from tests.browser.workflows import EVIL, LONG

# A browser takes its time where others have the processors.
pytestmark = pytest.mark.timeout(180)

TABS = ("graph", "timeline", "table", "log", "data", "events")
STATES = """() => Object.fromEntries([...document.querySelectorAll('.pt-node')].map(
    node => [node.dataset.key, node.getAttribute('class').replace('pt-node pt-', '')]))"""
FRAMES = """() => new Promise(done => {
    let frames = 0, begun = performance.now();
    const next = now => {
        frames += 1;
        now - begun < 3000 ? requestAnimationFrame(next) : done(frames / (now - begun) * 1000) };
    requestAnimationFrame(next) })"""


def look(page, address, tab=""):
    page.goto(f"{address}#{tab}" if tab else address)
    expect(page.locator("#pt-tabs")).to_be_visible()


MIXED_ENDS = {
    "start": "completed", "prices": "completed", "flaky": "completed", "broken": "failed", "after_broken": "skipped",
    "check": "completed", "buy": "completed", "hold": "skipped", "talk": "completed",
}  # fmt: skip


def test_an_execution_is_watched_to_its_end_without_a_reload(page, site):
    look(page, site.start("mixed"), "graph")
    expect(page.locator("#pt-connection")).to_have_text("live")
    expect(page.locator(".pt-node[data-key=prices]")).to_have_class("pt-node pt-running")
    expect(page.locator("#pt-state")).to_have_text("failed")
    expect(page.locator("#pt-connection")).to_have_text("final")
    assert page.evaluate(STATES) == MIXED_ENDS
    expect(page.locator("#pt-error")).to_contain_text(EVIL)
    expect(page.locator(".pt-edge-taken")).to_have_count(6)
    expect(page.locator(".pt-edge-refused")).to_have_count(1)
    expect(page.locator(".pt-edge-broken")).to_have_count(1)
    counts = dict(re.findall(r"(\w+)\s+(\d+)", page.inner_text("#pt-counts")))
    assert counts == {word: str(count) for word, count in Counter(MIXED_ENDS.values()).items()}
    page.click("#tab-table")
    assert page.locator("#pt-table tbody tr").count() == 9
    expect(page.locator("#pt-table tr[data-key=flaky]")).to_contain_text("completed")
    page.click("#tab-log")
    expect(page.locator("#pt-log li").last).to_contain_text("Execution failed")


def test_without_a_socket_the_page_asks_every_few_seconds(page, site):
    page.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011))
    look(page, site.start("mixed"), "graph")
    expect(page.locator("#pt-connection")).to_have_text("looking every few seconds")
    expect(page.locator("#pt-state")).to_have_text("failed")
    assert page.evaluate(STATES) == MIXED_ENDS


def test_a_picture_that_could_not_be_fetched_is_fetched_when_the_server_is_heard_again(open_context, site):
    page = open_context(viewport={"width": 1280, "height": 900}).new_page()
    page.route("**/change/graph/", lambda route: route.abort())
    sockets = []
    page.route_web_socket("**/ws/**", lambda socket: sockets.append(socket.connect_to_server() and socket))
    page.goto(f"{site.start('sleepy')}#graph")
    expect(page.locator("#pt-trouble")).to_be_visible()
    assert page.locator(".pt-node").count() == 0
    expect(page.locator("#pt-connection")).to_have_text("live")
    page.unroute("**/change/graph/")
    sockets[-1].close(code=1012)
    expect(page.locator(".pt-node")).to_have_count(3)
    expect(page.locator("#pt-trouble")).to_be_hidden()
    assert set(open_context.troubles) == {"Failed to load resource: net::ERR_FAILED"}
    open_context.troubles.clear()


def test_whoever_may_no_longer_watch_is_told(page, site):
    page.route_web_socket("**/ws/**", lambda socket: socket.close(code=4403))
    look(page, site.start("sleepy"))
    expect(page.locator("#pt-trouble")).to_have_text("You may no longer watch this execution.")
    expect(page.locator("#pt-connection")).to_have_text("no longer updated")


def test_messages_that_are_lost_and_sockets_that_break_leave_no_trace(page, site):
    chance = random.Random(7)
    dropped = Counter()

    def between(socket):
        server = socket.connect_to_server()

        def pass_on(message):
            word = chance.random()
            if '"events"' in message and word < 0.4:
                dropped["lost"] += 1
            elif '"events"' in message and word < 0.5 and dropped["cut"] < 20:
                dropped["cut"] += 1
                socket.close(code=1012)
            else:
                socket.send(message)

        server.on_message(pass_on)

    page.route_web_socket("**/ws/**", between)
    address = site.start("many")
    look(page, address, "graph")
    expect(page.locator("#pt-state")).to_have_text("completed", timeout=30_000)
    assert dropped["lost"] > 2
    assert page.evaluate(STATES) == {node["key"]: node["status"] for node in site.record(address)["nodes"]}


def test_a_node_is_inspected(page, site):
    look(page, site.ended("mixed"), "graph")
    page.click(".pt-node[data-key=broken]")
    panel = page.locator("#pt-inspector")
    expect(panel).to_contain_text("QuotaError")
    expect(panel).to_contain_text("Nodes skipped because of this node: 1 (a node before it failed).")
    panel.get_by_text("Traceback").first.click()
    expect(panel).to_contain_text("Traceback (most recent call last)")
    assert "node=broken" in page.url
    panel.get_by_role("link", name="after_broken").first.click()
    expect(panel).to_contain_text("It began at broken.")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.click(".pt-node[data-key=buy]")
    expect(panel).to_contain_text(LONG)
    button = panel.get_by_role("button", name="Copy the path nodes.buy.amount")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button.click()
    assert page.evaluate("navigator.clipboard.readText()") == "nodes.buy.amount"


def test_an_execution_is_cancelled_and_run_again(page, site):
    look(page, site.start("sleepy"), "graph")
    expect(page.locator(".pt-node[data-key=nap]")).to_have_class("pt-node pt-running")
    page.click("#pt-cancel summary")
    page.fill("#pt-why", "wrong share")
    page.click("#pt-cancel button")
    expect(page.locator("#pt-state")).to_have_text("cancelled")
    expect(page.locator("#pt-cancel")).to_be_hidden()
    page.click("#tab-log")
    expect(page.locator("#pt-log")).to_contain_text("by ada: wrong share")
    before = page.url
    page.click("#pt-rerun summary")
    page.click("#pt-from-failed")
    expect(page.locator(".messagelist")).to_contain_text("from what failed")
    assert page.url.split("#")[0] != before.split("#")[0]
    expect(page.locator("#pt-state")).to_have_text("running")
    page.click("#pt-cancel summary")
    page.click("#pt-cancel button")
    expect(page.locator("#pt-state")).to_have_text("cancelled")


def test_everything_can_be_done_with_the_keyboard(page, site):
    look(page, site.ended("mixed"), "graph")
    press = page.keyboard.press
    expect(page.locator(".pt-node").first).to_be_attached()
    press("/")
    page.keyboard.type("prices")
    press("Enter")
    expect(page.locator(".pt-node[data-key=prices]")).to_be_focused()
    press("ArrowRight")
    expect(page.locator(".pt-node[data-key=check]")).to_be_focused()
    label = page.locator(".pt-node[data-key=check]").get_attribute("aria-label")
    assert re.fullmatch(r"check, condition, completed, [\d.]+ ms", label)
    press("Enter")
    expect(page.locator("#pt-inspector")).to_contain_text("What was decided")
    press("Escape")
    expect(page.locator(".pt-node[data-key=check]")).to_be_focused()
    press("f")
    expect(page.locator("#pt-inspector")).to_contain_text("QuotaError")
    press("Escape")
    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next failure")
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press("4")
    expect(page.get_by_role("tab", name="Log")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Log").focus()
    press("ArrowRight")
    expect(page.get_by_role("tab", name="Data")).to_be_focused()
    expect(page.locator("#panel-data")).to_be_visible()


def test_the_log_is_filtered_searched_linked_and_downloaded(page, site):
    look(page, site.ended("mixed"), "log")
    entries = page.locator("#pt-log li")
    expect(entries.first).to_contain_text("was accepted")
    page.select_option("#pt-log-level", "error")
    expect(entries).to_have_count(2)
    page.select_option("#pt-log-level", "debug")
    page.fill("#pt-log-node", "flaky")
    page.fill("#pt-log-attempt", "2")
    page.press("#pt-log-attempt", "Enter")
    expect(entries).to_have_count(2)
    page.fill("#pt-log-node", "")
    page.fill("#pt-log-attempt", "")
    page.fill("#pt-log-search", "chose another path")
    page.press("#pt-log-search", "Enter")
    expect(entries).to_have_count(1)
    link = entries.first.locator("a.pt-seq").get_attribute("href")
    page.goto("about:blank")
    page.goto(f"{site.ended('mixed')}{link}")
    expect(page.locator("#pt-log li.pt-marked")).to_contain_text("chose another path")
    with page.expect_download() as download:
        page.click("text=Download all")
    text = download.value.path().read_text()
    assert download.value.suggested_filename.startswith("mixed-")
    assert "was accepted" in text.splitlines()[0]
    assert "QuotaError" in text


def test_views_are_as_they_were_left(page, site):
    look(page, site.ended("mixed"))
    page.click("#tab-timeline")
    page.select_option("#pt-timeline-order", "duration")
    page.goto("about:blank")
    look(page, site.ended("mixed"))
    expect(page.locator("#panel-timeline")).to_be_visible()
    expect(page.locator(".pt-row-label").first).to_contain_text("prices")
    expect(page.locator(".pt-bar-wait")).to_have_count(1)


def test_data_keeps_its_digits_and_is_never_markup(page, site):
    for tab in TABS:
        look(page, site.ended("mixed"), tab)
        expect(page.locator(f"#panel-{tab}")).to_be_visible()
        page.wait_for_load_state("networkidle")
    look(page, site.ended("mixed"), "data")
    expect(page.locator("#pt-data")).to_contain_text(LONG)
    expect(page.locator("#pt-data")).to_contain_text(EVIL)
    assert page.locator("img[src=x]").count() == 0


def test_without_scripts_there_is_a_table_and_the_log(open_context, site):
    page = open_context(java_script_enabled=False).new_page()
    page.goto(site.ended("mixed"))
    expect(page.locator("#pt-table tbody tr")).to_have_count(9)
    expect(page.locator("#panel-log")).to_contain_text("was accepted")
    expect(page.locator("#panel-data")).to_contain_text(LONG)
    expect(page.locator("#pt-tabs")).to_be_hidden()
    page.click("#pt-rerun summary")
    expect(page.get_by_role("button", name="From the start")).to_be_visible()


@pytest.fixture
def steps(site, tmp_path):
    """An execution whose node says of its progress what a test has it say; it ends with the test."""
    path = tmp_path / "steps"

    def say(text):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(path)

    say("0.25 Loading prices")
    say.address = site.start("steps", path=str(path))
    yield say
    say("1 Loaded")


def test_the_progress_of_a_node_moves_in_the_table_and_beside_it_also_after_a_reload(page, site, steps):
    look(page, steps.address, "table&node=load")
    bar = page.get_by_role("progressbar", name="load")
    row, beside = page.locator("#pt-table tr[data-key=load]"), page.locator("#pt-inspector")
    for part, said in ((row, "Loading prices"), (beside, "Loading prices")):
        expect(part).to_contain_text(said)
    expect(bar).to_have_count(2)
    tree = page.locator("#pt-inspector .pt-copy-all").first
    tree.focus()
    steps("0.7 Loading volumes")
    expect(row).to_contain_text("Loading volumes")
    expect(beside).to_contain_text("Loading volumes")
    assert [one.evaluate("bar => bar.value") for one in bar.all()] == [0.7, 0.7]
    # Who is in the inspector by keyboard stays there.
    expect(tree).to_be_focused()
    page.reload()
    expect(row).to_contain_text("Loading volumes")
    steps("1 Loaded")
    expect(row).to_contain_text("completed")
    expect(bar).to_have_count(0)


def test_without_scripts_the_table_says_how_far_a_node_is(open_context, site, steps):
    page = open_context(java_script_enabled=False).new_page()
    page.goto(steps.address)
    expect(page.locator("#pt-table tr[data-key=load]")).to_contain_text("Loading prices")
    assert page.get_by_role("progressbar", name="load").get_attribute("value") == "0.25"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_while_a_node_is_at_work(open_context, site, steps, scheme, width):
    page = open_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    ).new_page()
    look(page, steps.address, "table&node=load")
    expect(page.get_by_role("progressbar")).to_have_count(2)
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_table_comes_first_and_the_graph_goes_down(open_context, site):
    page = open_context(viewport={"width": 390, "height": 800}, has_touch=True).new_page()
    look(page, site.ended("mixed"))
    expect(page.locator("#panel-table")).to_be_visible()
    page.click("#tab-graph")
    expect(page.locator("#pt-turn")).to_have_attribute("aria-pressed", "true")
    for tab in TABS:
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(open_context, site, scheme, width):
    page = open_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    ).new_page()
    look(page, site.ended("mixed"))
    for tab in TABS:
        page.click(f"#tab-{tab}")
        page.wait_for_load_state("networkidle")
        assert findings(page) == [], tab
    look(page, site.ended("mixed"), "graph&node=broken")
    expect(page.locator("#pt-inspector")).to_contain_text("QuotaError")
    assert findings(page) == []


class PlayedSocket:
    """Plays the run of a finished execution again: faster, and without an engine beside it."""

    def __init__(self, page, address):
        self.page = page
        self.sockets = []
        self.seq = 1
        page.route("**/change/live/", self._as_if_it_had_just_begun)
        page.route_web_socket("**/ws/**", lambda socket: self.sockets.append(socket))
        look(page, address, "graph")
        expect(page.locator(".pt-node").first).to_be_attached()
        self.changes = self._changes(
            page.evaluate("[...document.querySelectorAll('.pt-node')].map(node => node.dataset.key)")
        )

    def _as_if_it_had_just_begun(self, route):
        snapshot = json.loads(route.fetch().text())
        execution = snapshot["execution"]
        execution |= {"status": "running", "ended_at": None, "started_at": moment(), "seq": 1}
        for node in execution["nodes"]:
            node |= {"status": "pending", "started_at": None, "ended_at": None}
        route.fulfill(body=json.dumps({**snapshot, "seq": 1}), content_type="application/json")

    def _changes(self, keys):
        for place, key in enumerate(keys):
            yield key, "running", {"attempt": 1}
            if place >= 20:
                yield keys[place - 20], "completed", {"status": "completed"}

    def send(self, count):
        items = []
        for _ in range(count):
            key, word, data = next(self.changes)
            self.seq += 1
            items.append({"seq": self.seq, "event": f"node.{word}", "node": key, "at": moment(), "data": data})
        self.sockets[-1].send(json.dumps({"v": 1, "type": "events", "items": items}))


def moment():
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_a_thousand_nodes_at_two_hundred_changes_a_second_move(page, site, figure):
    played = PlayedSocket(page, site.ended("thousand"))
    begun = time.perf_counter()
    played.send(10)
    expect(page.locator(".pt-node.pt-running").first).to_be_attached()
    page.evaluate(f"window.frames_ = ({FRAMES})(); 0")
    begun = time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - begun) < 3:
        due = int(passed * 200) - sent
        if due >= 10:
            played.send(due)
            sent += due
        page.wait_for_timeout(20)
    assert sent > 500
    frames = page.evaluate("window.frames_")
    # How many there are depends on who else has the processors; a page that froze would have hardly any.
    assert frames > 5
    expect(page.locator("#pt-counts")).to_contain_text(re.compile(r"running 2[01]"))
    figure(f"execution page, 1000 nodes, 200 changes a second: {frames:.0f} frames a second")


def test_a_thousand_nodes_are_there_soon(page, site, figure):
    address = site.ended("thousand")
    begun = time.perf_counter()
    look(page, address, "graph")
    expect(page.locator(".pt-node").last).to_be_attached()
    figure(f"execution page, 1000 nodes: drawn after {time.perf_counter() - begun:.1f} s")
    page.click("#tab-timeline")
    assert page.locator(".pt-row").count() < 100
    page.evaluate("document.getElementById('pt-timeline').scrollTop = 20000")
    expect(page.locator(".pt-row").first).not_to_have_attribute("aria-posinset", "1")
    page.click("#tab-table")
    page.fill("#pt-table-find", "n24_39")
    expect(page.locator("#pt-table tbody tr")).to_have_count(1)
