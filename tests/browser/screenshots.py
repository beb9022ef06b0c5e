"""`python -m tests.browser.screenshots`: a picture of every page, of a real site that has been used a little."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, Site, logged_in, prepared
from tests.browser.test_admin import LOOKS, pages_of
from tests.eventually import eventually
from tests.server import ROOT, serving

IMAGES = ROOT / "docs" / "images"
# Views of the page of an execution.
VIEWS = {
    **{f"execution-{tab}": f"#{tab}" for tab in ("graph", "timeline", "table", "log", "data", "events")},
    "execution-inspector": "#graph&node=busy_service",
}
# One that has failed belongs into every picture.
ORDERS = """
name: place-orders
description: Orders for what the screen has found, where the exchange is open
labels: [demo]
nodes:
  - {key: start, type: trigger}
  - {key: prices, type: tool, tool: market.prices, inputs: {symbol: AAPL}}
  - {key: order, type: tool, tool: core.fail, inputs: {message: The exchange is closed, type: ExchangeClosed}}
  - {key: confirm, type: adapter, output: {placed: true}}
edges:
  - {from: start, to: prices}
  - {from: prices, to: order}
  - {from: order, to: confirm}
"""
# Besides the whole in the light: these pages also look like that.
ALSO = {
    "dark": ("dashboard", "workflow", "execution-graph", "executions", "tool"),
    "phone": ("dashboard", "workflows", "tools", "tool", "run", "execution-table", "execution-graph", "executions"),
    "korean": ("dashboard", "workflows", "run", "execution-graph", "executions", "system", "tools", "tool"),
}


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in IMAGES.glob("*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        orders = folder / "orders.yaml"
        _ = orders.write_text(ORDERS, encoding="utf-8")
        workflows = [*sorted((ROOT / "demo").glob("*.yaml")), orders]
        with prepared(folder, workflows) as ready, serving(folder, ready.environment) as server:
            site = ready.at(server.url)
            _make_some(site)
            execution = _run_some(site)
            pages = {name.replace(" ", "-"): path for name, path in pages_of(site, execution).items()}
            execution = pages.pop("execution")
            pages |= {name: f"{execution}{view}" for name, view in VIEWS.items()}
            state = logged_in(browser, site)
            for look, options in LOOKS.items():
                context = browser.new_context(storage_state=state, reduced_motion="reduce", **options)
                page = context.new_page()
                for name, path in pages.items():
                    if look == "light" or name in ALSO[look]:
                        _take(page, site, path, name if look == "light" else f"{name}-{look}")
                context.close()
            site.close()
        browser.close()
    _ = sys.stdout.write(f"{len(list(IMAGES.glob('*.png')))} pictures are in {IMAGES.relative_to(ROOT)}\n")


def _make_some(site: Site) -> None:
    """A secret, and a tool of the site that uses it."""
    _ = site.api("POST", "/credentials", json={"name": "DESK_TOKEN", "value": "of-the-desk-42"})
    order = {
        "url": "https://desk.example/quotes/${{ input.symbol }}",
        "auth": {"bearer": "${{ secrets.DESK_TOKEN }}"},
    }
    tool = {"name": "desk.quote", "kind": "http.request", "description": "The desk's quote of a share"}
    _ = site.api("POST", "/tools", json={**tool, "configuration": order})


def _run_some(site: Site) -> str:
    """The page of a run of `slow`, that was hurried; before it others ran, and one still does."""
    for name in ("rsi-screen", "hello", "diamond", "place-orders", "fan-out", "rsi-screen", "place-orders", "hello"):
        address = site.start(name)
        _ = eventually(lambda address=address: site.record(address)["ended_at"], seconds=40)
    slow = site.api("GET", "/workflows", params={"search": "slow"})["items"][0]["id"]
    again = site.api("POST", f"/workflows/{slow}/execute", json={"input": {"pace": 0.1}})["id"]
    address = f"{site.url}/admin/executions_app/workflowexecution/{again}/change/"
    _ = eventually(lambda: site.record(address)["ended_at"], seconds=60)
    _ = site.start("slow")
    return address


def _take(page: Page, site: Site, path: str, name: str) -> None:
    # Two addresses that differ in their fragment are the same page to a browser.
    _ = page.goto("about:blank")
    _ = page.goto(f"{site.url}{path}")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)
    _ = page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
