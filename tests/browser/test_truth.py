"""The page never lies: whatever happens to sockets and servers, it comes to show what the database has."""

import contextlib
import random
import re
from collections import Counter

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import logged_in, prepared
from tests.browser.test_execution_page import STATES, look
from tests.browser.workflows import chance
from tests.server import serving

pytestmark = pytest.mark.timeout(240)
DROPS = 20
SHOWN = """() => Object.fromEntries([...document.querySelectorAll('#pt-table tbody tr')].map(
    row => [row.dataset.key, [...row.querySelectorAll('.pt-status')].map(mark => mark.textContent.trim())[0]]))"""


def test_after_hundreds_of_events_dropped_connections_and_a_dead_server_the_page_is_the_record(
    tmp_path, chromium, figure
):
    seed = random.SystemRandom().randrange(10**6)
    workflow = tmp_path / "chance.yaml"
    workflow.write_text(chance("chance", 260, seed), encoding="utf-8")
    counted = Counter()
    with prepared(tmp_path, [workflow]) as new_site:
        with contextlib.ExitStack() as first:
            server = first.enter_context(serving(tmp_path, new_site.environment))
            port = int(server.url.rpartition(":")[2])
            site = new_site.at(server.url)
            context = chromium.new_context(
                storage_state=logged_in(chromium, site), viewport={"width": 1280, "height": 900}
            )
            page = context.new_page()
            page.route_web_socket("**/ws/**", lambda socket: cut(socket, counted))
            address = site.start("chance")
            look(page, address, "graph")
            expect(page.locator("#pt-counts")).to_contain_text(re.compile(r"completed \d\d"), timeout=60_000)
            server.process.kill()
            server.process.wait()
            expect(page.locator("#pt-connection")).not_to_have_text("live", timeout=20_000)
        with serving(tmp_path, new_site.environment, port=port):
            expect(page.locator("#pt-connection")).to_have_text("final", timeout=120_000)
            record = site.record(address)
            wanted = {node["key"]: node["status"] for node in record["nodes"]}
            assert page.evaluate(STATES) == wanted
            page.click("#tab-table")
            assert page.evaluate(SHOWN) == wanted
            counts = {word: int(number) for word, number in re.findall(r"(\w+)\s+(\d+)", page.inner_text("#pt-counts"))}
            assert counts == Counter(wanted.values())
            expect(page.locator("#pt-state")).to_have_text(record["status"])
            context.close()
        site.close()
    assert record["seq"] > 500
    assert counted["cut"] >= DROPS
    assert counted["events"] > 100
    figure(
        f"page beside record, seed {seed}: events={record['seq']} connections dropped={counted['cut']} "
        f"servers killed=1 differences=0"
    )


def cut(socket, counted):
    """Pass on what comes, and break the connection again and again."""
    server = socket.connect_to_server()
    heard = Counter()

    def pass_on(message):
        if '"events"' in message:
            counted["events"] += 1
            heard["events"] += 1
            if heard["events"] >= 5 and counted["cut"] < DROPS:
                counted["cut"] += 1
                socket.close(code=1012)
                return
        socket.send(message)

    server.on_message(pass_on)
