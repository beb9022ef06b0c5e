"""What a team does all day, from the login to the last node: with a mouse, on a phone, in the dark, in Korean."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, findings
from tests.eventually import eventually

pytestmark = pytest.mark.timeout(180)

ADMIN = "/admin/"
WORKFLOWS = "/admin/workflows_app/workflow/"
EXECUTIONS = "/admin/executions_app/workflowexecution/"
AGENTS = "/admin/workflows_app/agent/"
TOOLS = "/admin/workflows_app/configuredtool/"
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
    "korean": {"viewport": {"width": 1280, "height": 900}, "locale": "ko-KR"},
}


def agent_of(site):
    """The name of an agent of the site, which is made once; workflows name it."""
    if not site.api("GET", "/agents")["items"]:
        schema = {"type": "object", "properties": {"mood": {"enum": ["neutral", "good", "bad"]}}, "required": ["mood"]}
        fields = {
            "name": "analyst",
            "description": "Judges shares by what it is given.",
            "provider": "default",
            "model": "default",
            "system": "You judge shares by what you are given, and by nothing else.",
            "tools": ["market.prices", "market.rsi"],
            "output_schema": schema,
            "limits": {"max_requests": 5, "max_tokens": 4000},
        }
        _ = site.api("POST", "/agents", json=fields)
        node = {"key": "judge", "type": "agent", "agent": "analyst"}
        trigger = {"key": "start", "type": "trigger"}
        edges = [{"from": "start", "to": "judge"}]
        _ = site.api("POST", "/workflows", json={"name": "moods", "nodes": [trigger, node], "edges": edges})
    return "analyst"


def pages_of(site, execution):
    """Every page that a person has, by name."""
    workflow = site.api("GET", "/workflows", params={"search": "rsi-screen"})["items"][0]["id"]
    own = f"{WORKFLOWS}{workflow}/"
    return {
        "dashboard": ADMIN,
        "workflows": WORKFLOWS,
        "import": f"{WORKFLOWS}import/",
        "workflow": f"{own}change/",
        "nodes": f"{own}nodes/",
        "document": f"{own}document/",
        "versions": f"{own}versions/",
        "history": f"{own}history/",
        "settings": f"{own}settings/",
        "run": f"{own}run/",
        "executions": EXECUTIONS,
        "execution": execution.removeprefix(site.url),
        "tools": TOOLS,
        "tool": f"{TOOLS}tool/market.rsi/",
        "new tool": f"{TOOLS}add/",
        "agents": AGENTS,
        "agent": f"{AGENTS}agent/{agent_of(site)}/",
        "new agent": f"{AGENTS}add/",
        "system": f"{EXECUTIONS}system/",
        "tokens": "/admin/workflows_app/apitoken/",
        "new token": "/admin/workflows_app/apitoken/add/",
        "secrets": "/admin/workflows_app/credential/",
        "new secret": "/admin/workflows_app/credential/add/",
        "audit": "/admin/workflows_app/auditentry/",
        "password": "/admin/password_change/",
    }


def test_a_newcomer_logs_in_runs_watches_inspects_and_cancels(open_context, chromium, site):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    troubles = []
    context.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.goto(f"{site.url}/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    expect(page.locator("#pt-dashboard")).to_be_visible()

    # Run it from the list, with the action.
    page.click("#pt-dashboard >> text=Workflows")
    page.locator("tr", has=page.get_by_role("link", name="rsi-screen", exact=True)).locator(".action-select").check()
    page.select_option("select[name=action]", "run_selected")
    page.click(".actions button")
    page.locator(".messagelist a").first.click()
    expect(page.locator("#pt-state")).to_have_text("completed")
    expect(page.locator("#pt-connection")).to_have_text("final")
    page.keyboard.press("/")
    page.keyboard.type("aapl_rsi")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#pt-inspector")).to_contain_text(re.compile(r"value:\s*32\.778"))

    # One that takes long: watched, and cancelled without a reload.
    page.goto(f"{site.url}{WORKFLOWS}")
    page.get_by_role("link", name="slow", exact=True).click()
    page.get_by_role("link", name="Run…").click()
    page.locator("form button:has-text('Run'), form input[value=Run]").last.click()
    expect(page.locator(".pt-node[data-key=warm_up]")).to_have_class(re.compile("pt-running"))
    page.evaluate("window.isTheSamePage = true")
    page.locator("summary, button", has_text="Cancel").first.click()
    page.locator("form[action$='cancel/'] button, form[action$='cancel/'] input[type=submit]").last.click()
    expect(page.locator("#pt-state")).to_have_text("cancelled")
    assert page.evaluate("window.isTheSamePage") is True
    page.click("#tab-table")
    rows = page.locator("#pt-table tbody tr")
    expect(rows.filter(has_text="warm_up").or_(rows.filter(has_text="Warm up")).first).to_contain_text("cancelled")
    assert troubles == []
    context.close()


def test_the_list_lives_is_filtered_and_cancels_several(open_context, site):
    page = open_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{site.url}{EXECUTIONS}?status=running")
    expect(page.locator("#pt-live")).to_have_text("Live")
    addresses = [site.start("sleepy") for _ in range(2)]
    page.get_by_role("button", name=re.compile("new execution")).click()
    for address in addresses:
        expect(page.locator(f"a[href='{address.removeprefix(site.url)}']")).to_be_visible()
        page.locator("tr", has=page.locator(f"a[href='{address.removeprefix(site.url)}']")).locator(
            ".action-select"
        ).check()
    page.select_option("select[name=action]", label="Cancel selected executions")
    page.click(".actions button")
    expect(page.locator("#content-main table tbody tr")).to_have_count(2)
    page.locator("#content-main form [type=submit]").first.click()
    expect(page.locator(".messagelist")).to_contain_text("2 of 2 executions")
    for address in addresses:
        eventually(lambda address=address: site.record(address)["status"] == "cancelled")
    # They leave the list of what runs when the page is asked again; in the list of all they are shown as they are.
    page.goto(f"{site.url}{EXECUTIONS}?status=cancelled")
    for address in addresses:
        expect(page.locator(f"a[href='{address.removeprefix(site.url)}']")).to_be_visible()


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_anything_that_axe_or_the_console_complains_of(open_context, site, look):
    page = open_context(**LOOKS[look], reduced_motion="reduce").new_page()
    for name, path in pages_of(site, site.ended("mixed")).items():
        answer = page.goto(f"{site.url}{path}")
        assert answer is not None
        assert (name, answer.status) == (name, 200)
        page.wait_for_load_state("networkidle")
        assert (name, findings(page)) == (name, [])
        assert (name, page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")) == (name, True)
        assert page.evaluate("document.documentElement.lang") == ("ko" if look == "korean" else "en")
