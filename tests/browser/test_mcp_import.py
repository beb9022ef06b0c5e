"""The page that imports tools of an MCP server: narrow, and dark."""

import json

import pytest
from playwright.sync_api import expect

from tests import bare_mcp
from tests.browser.conftest import findings, prepared
from tests.server import serving

SETTINGS = """from pastetrader.settings import *

PASTETRADER = {**PASTETRADER, "MCP_SERVERS": %r}
"""
TOOLS = "/admin/workflows_app/configuredtool/"


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """The file that has the server's tools."""
    return tmp_path_factory.mktemp("listed") / "tools.json"


@pytest.fixture(scope="module")
def site(tmp_path_factory, listed):
    folder = tmp_path_factory.mktemp("mcp")
    _ = (folder / "own_settings.py").write_text(SETTINGS % {"crm": bare_mcp.entry("text('')", str(listed))})
    with (
        prepared(folder, []) as ready,
        serving(folder, {**ready.environment, "DJANGO_SETTINGS_MODULE": "own_settings"}) as server,
    ):
        site = ready.at(server.url)
        yield site
        site.close()


def test_tools_are_looked_at_and_imported(open_context, site, listed):
    description = "Finds a customer by number, and says whatever there is to say about it."
    told = {**bare_mcp.TOOL, "description": description, "annotations": {"readOnlyHint": True}}
    _ = listed.write_text(json.dumps([{**told, "name": name} for name in ("find_customer", "other")]))
    page = open_context(viewport={"width": 390, "height": 844}, color_scheme="dark").new_page()
    page.goto(f"{site.url}{TOOLS}")
    page.locator(f"a[href='{TOOLS}mcp/']").click()
    page.locator("button[name=look]").press("Enter")
    chosen = page.locator("input[name=tool]")
    expect(chosen).to_have_count(2)
    expect(chosen.first).to_be_checked()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    chosen.nth(1).uncheck()
    page.locator("button[name=import]").press("Enter")
    expect(page.locator("#pt-found")).to_have_text("What was done")
    expect(chosen).to_have_count(0)
    assert findings(page) == []
    page.locator("#content-main table a").click()
    expect(page.locator("h1")).to_contain_text("crm.find_customer")
