"""What scripts write into the page of an execution is Korean, too, but for data and the journal."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.timeout(180)

# The page's own texts: those of the summary, of the tools over each view, of nodes, and the headings of the inspector.
SAID = (
    "#pt-state, #pt-reason, #pt-elapsed, #pt-connection, #pt-counts, #pt-tabs, .pt-facts dt, .pt-tools, .pt-word, "
    "#pt-table thead, #pt-table .pt-status, #pt-inspector h3, #pt-inspector .pt-tools, #pt-announce"
)
READ_ALOUD = "#pt-canvas [aria-label], #pt-canvas [title], .pt-tools button[aria-label]"
# SVG has no inner text.
VISIBLE = """found => found.filter(one => one.checkVisibility()).map(one => one.innerText ?? one.textContent)"""
WORD = re.compile("[A-Za-z]{2,}")
# Units, keys, and the levels of the log as its entries have them.
KNOWN = {"ms", "Enter", "JSON", "debug", "info", "warning", "error"}


def english_on(page, names):
    texts = page.locator(SAID).evaluate_all(VISIBLE) + [
        element.get_attribute("aria-label") or element.get_attribute("title") or ""
        for element in page.locator(READ_ALOUD).all()
    ]
    assert len(texts) > 15
    return set(WORD.findall(" ".join(texts))) - KNOWN - names


def test_every_view_of_an_execution_speaks_korean(open_context, site):
    page = open_context(viewport={"width": 1280, "height": 900}, locale="ko-KR").new_page()
    address = site.ended("mixed")
    nodes = site.api("GET", f"/executions/{address.split('/')[-3]}")["nodes"]
    names = {word for node in nodes for text in (node["key"], node["name"]) for word in WORD.findall(text)}
    page.goto(f"{address}#graph&node=flaky")
    expect(page.locator("#pt-connection")).to_have_text("최종 결과")
    expect(page.locator("#pt-inspector h3:visible").first).to_be_visible()
    for tab in ("graph", "timeline", "table", "log", "data", "events"):
        page.click(f"#tab-{tab}")
        assert (tab, english_on(page, names)) == (tab, set())


def test_english_on_that_page_is_found(open_context, site):
    page = open_context(viewport={"width": 1280, "height": 900}, locale="en-US").new_page()
    page.goto(f"{site.ended('mixed')}#graph&node=flaky")
    expect(page.locator("#pt-inspector h3:visible").first).to_be_visible()
    assert {"completed", "Timeline", "Attempts"} <= english_on(page, set())
