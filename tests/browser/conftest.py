"""A browser that looks at a real server: Debian's Chromium, driven by Playwright, and daphne with its engine."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.workflows import STEPS_TOOL, WRITES_TOOL, write_all
from tests.eventually import eventually
from tests.server import ROOT, serving
from tests.unit.distributions import install

CHROMIUM = Path("/usr/bin/chromium")
# What a browser of its own would ask other hosts for.
ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PASSWORD = "of a test"
# Browsers ask for it by themselves.
FAVICON = re.compile(r"/favicon\.ico$")


# Playwright's event loop runs as long as this: no test of another module may find it running.
@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.exists():
        sentence = "There is no Chromium: `apt-get install chromium` brings it."
        if os.environ.get("CI"):
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


class Site:
    """A running server with the demo workflows and those of these tests; what ada asks of its API."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._api = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self._ended: dict[str, str] = {}

    def api(self, method: str, path: str, **options: Any) -> Any:
        response = self._api.request(method, path, **options)
        assert response.is_success, response.text
        return response.json()

    def start(self, name: str, **data: Any) -> str:
        """Start a workflow on this input; the address of the execution's page."""
        found = self.api("GET", "/workflows", params={"search": name})["items"]
        id_ = next(workflow["id"] for workflow in found if workflow["name"] == name)
        execution = self.api("POST", f"/workflows/{id_}/execute", json={"input": data})
        return f"{self.url}/admin/executions_app/workflowexecution/{execution['id']}/change/"

    def ended(self, name: str) -> str:
        """The address of a finished execution of a workflow, which is run once."""
        if name not in self._ended:
            address = self.start(name)
            _ = eventually(lambda: self.record(address)["ended_at"], seconds=40)
            self._ended[name] = address
        return self._ended[name]

    def record(self, address: str) -> Any:
        """The execution of a page, as the API has it."""
        return self.api("GET", f"/executions/{address.split('/')[-3]}")

    def close(self) -> None:
        self._api.close()


@dataclass(frozen=True)
class Prepared:
    """A database in which ada, a superuser, has workflows, before there is a server."""

    environment: Mapping[str, str]
    token: str

    def at(self, url: str) -> Site:
        return Site(url, self.token)


@contextlib.contextmanager
def prepared(folder: Path, workflows: Sequence[Path]) -> Iterator[Prepared]:
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "pastetrader.settings",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "SECRET_KEY": "of a test",
        "REDIS_URL": "",
        # Where tools are installed that only these tests have.
        "PYTHONPATH": str(folder),
    }

    def command(*arguments: str) -> str:
        words = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("migrate", "--verbosity", "0")
    command("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@localhost")
    if workflows:
        command("import_workflow", *map(str, workflows))
    yield Prepared(environment=environment, token=command("create_token", "ada").strip())


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A server with the demo workflows and those of these tests."""
    folder = tmp_path_factory.mktemp("site")
    tools = {"site_steps": STEPS_TOOL, "site_writes": WRITES_TOOL}
    named = "\n".join(f"{module} = {module}" for module in tools)
    install(folder, "site", entry_points=f"[pastetrader.tools]\n{named}", **tools)
    workflows = [*sorted((ROOT / "demo").glob("*.yaml")), *write_all(folder)]
    with prepared(folder, workflows) as ready, serving(folder, ready.environment) as server:
        site = ready.at(server.url)
        yield site
        site.close()


def findings(page: Page) -> list[str]:
    """What axe has against a page."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:160]} {node['failureSummary']}" for one in found for node in one["nodes"]]


def logged_in(chromium: Browser, site: Site) -> Any:
    """The cookies of ada, who has logged in."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/admin/login/")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url("**/admin/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="module")
def session(site, chromium):
    return logged_in(chromium, site)


@pytest.fixture
def open_context(chromium, session):
    """Makes a window in which ada is logged in; nothing in it may fail or be blocked, unless a test expects it."""
    contexts = []
    troubles: list[str] = []

    def hear(message):
        if message.type == "error" and not FAVICON.search(message.location["url"]):
            troubles.append(message.text)

    def open_(**options):
        context = chromium.new_context(storage_state=session, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.on("console", hear)
        context.on("weberror", lambda error: troubles.append(str(error.error)))
        context.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        return context

    open_.troubles = troubles
    yield open_
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def page(open_context):
    return open_context(viewport={"width": 1280, "height": 900}).new_page()
