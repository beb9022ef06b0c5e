"""A first real automation, made in the admin alone: fetch over HTTP, filter, branch, post with a secret, look at it."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import logged_in, prepared
from tests.eventually import eventually
from tests.server import serving
from tests.spellings import spellings
from workflows_app.dag import jsontext

pytestmark = pytest.mark.timeout(180)

SECRET = "S3CR3T-7b1d-of+the/desk"
ORDERS = b'{"orders": [{"id": "a", "amount": 99.999999999999999999}, {"id": "b", "amount": 100.000000000000000001}]}'
DOCUMENT = """\
name: large-orders
nodes:
  - {key: start, type: trigger}
  - {key: orders, type: tool, tool: http.request, inputs: {url: "URL/orders"}}
  - {key: large, type: adapter, output: {orders: "${{ filter(nodes.orders.body.orders, item.amount > 100) }}"}}
  - {key: any, type: condition}
  - key: report
    type: tool
    tool: http.request
    inputs: {url: "URL/reports", method: POST, json: "${{ nodes.large }}", auth: {bearer: "${{ secrets.DESK_TOKEN }}"}}
  - {key: nothing, type: adapter, output: {note: no large orders}}
edges:
  - {from: start, to: orders}
  - {from: orders, to: large}
  - {from: large, to: any}
  - {from: any, to: report, condition: "len(orders) > 0"}
  - {from: any, to: nothing, default: true}
"""


# How many were closed.
OPEN_ALL = """() => {
    const closed = [...document.querySelectorAll("#pt-inspector details:not([open])")];
    for (const one of closed) one.open = true;
    return closed.length;
}"""


class Desk(BaseHTTPRequestHandler):
    """Has orders, and takes reports; it repeats what it was sent with."""

    reports: list[tuple[str, bytes]]

    def do_GET(self):
        self.answer(ORDERS)

    def do_POST(self):
        token = self.headers["Authorization"]
        self.reports.append((token, self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(f'{{"taken": true, "from": "{token}"}}'.encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def desk() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Its address, and the reports that it gets."""
    reports: list[tuple[str, bytes]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Desk", (Desk,), {"reports": reports})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", reports
        server.shutdown()


def make_secret(page, site):
    page.goto(f"{site.url}/admin/workflows_app/credential/add/")
    page.fill("#id_name", "DESK_TOKEN")
    page.fill("#id_value", SECRET)
    page.click("input[name=_save]")
    expect(page.locator(".messagelist .success")).to_contain_text("DESK_TOKEN")


def import_and_run(page, site, text):
    page.goto(f"{site.url}/admin/workflows_app/workflow/import/")
    page.fill("textarea", text)
    page.get_by_role("button", name="Import").click()
    page.get_by_role("link", name="Run…").click()
    page.locator("form button:has-text('Run'), form input[value=Run]").last.click()
    expect(page.locator("#pt-state")).to_have_text("completed")


def inspected(page, key):
    page.evaluate(f"location.hash = 'node={key}'")
    expect(page.locator("#pt-inspector-title")).to_contain_text(key)
    # What is opened may have more to open.
    _ = eventually(lambda: page.evaluate(OPEN_ALL) == 0)
    return page.locator("#pt-inspector")


def told_of(address, site):
    """All that the API tells of the execution of a page."""
    place = f"/executions/{address.partition('#')[0].split('/')[-3]}"
    return [jsontext.dumps(site.api("GET", f"{place}{part}")) for part in ("", "/nodes", "/logs", "/events")]


def look_at_all(page, site):
    """The inputs and outputs of all nodes in the inspector; answers all texts that were seen."""
    expect(inspected(page, "orders")).to_contain_text("99.999999999999999999")
    expect(inspected(page, "large")).to_contain_text("100.000000000000000001")
    shown = [inspected(page, "any").inner_text(), inspected(page, "report").inner_text()]
    assert "taken: true" in shown[1]
    assert "***" in shown[1]
    expect(inspected(page, "nothing")).to_contain_text("skipped")
    shown += [page.content(), *told_of(page.url, site)]
    page.goto(f"{site.url}/admin/workflows_app/credential/")
    page.get_by_role("link", name="DESK_TOKEN").click()
    return [*shown, page.content()]


def test_a_newcomer_fetches_filters_branches_and_posts_with_a_secret_that_nobody_sees(chromium, tmp_path):
    with desk() as (address, reports), prepared(tmp_path, []) as ready:
        environment = {**ready.environment, "HTTP_ALLOWED_HOSTS": address}
        with serving(tmp_path, environment) as server, contextlib.closing(ready.at(server.url)) as site:
            context = chromium.new_context(storage_state=logged_in(chromium, site))
            context.set_default_timeout(20_000)
            page = context.new_page()
            make_secret(page, site)
            import_and_run(page, site, DOCUMENT.replace("URL", f"http://{address}"))
            shown = look_at_all(page, site)
            context.close()
        assert reports == [(f"Bearer {SECRET}", b'{"orders":[{"id":"b","amount":100.000000000000000001}]}')]
        # The database with its log of writes, and what the server said.
        shown += [file.read_bytes().decode("latin-1") for file in tmp_path.iterdir() if file.is_file()]
        for spelling in spellings(SECRET):
            assert not any(spelling in text for text in shown), spelling
