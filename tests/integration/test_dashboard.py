"""The dashboard at the admin's index: what runs, failed and waits, how workflows do, and where to begin."""

import asyncio
import re
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from executions_app.executor import WorkflowExecutor
from executions_app.models import ownership, querysets
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from tests.integration.staff import LIST, SYSTEM, VIEW, browser, staff, superuser, text_of, told
from workflows_app.models import AuditEntry, Workflow
from workflows_app.services.demo import load_demo

pytestmark = pytest.mark.django_db(transaction=True)

DEMO = sorted(path.stem for path in Path("demo").glob("*.yaml"))
OFFER = "Load the demo"
BOARD = f"{LIST}dashboard/"
FAILING = {"tool": "core.fail", "inputs": {"message": "it broke"}}


@pytest.fixture
def demo(settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "DEMO": "demo"}


@pytest.fixture
def running():
    """Has an engine take an execution and stop before its first node; it is failed in the end."""
    taken = []

    def take(execution):
        claim = ownership.claim(execution.pk, "an engine", 60)
        taken.append(claim)
        return execution

    yield take
    for claim in taken:
        querysets.fail_run(claim.execution_id, claim.fence, {"code": "x", "message": "x", "type": "x", "node": None})


def pending(workflow):
    return start(StartRequest(target=workflow, input={})).execution


def run(workflow):
    return asyncio.run(WorkflowExecutor().execute(workflow.id))


def number(response, card):
    found = re.search(
        rf'id="pt-board-{card}".*?<p class="pt-number"><a [^>]*>([^<]*)<', response.content.decode(), re.S
    )
    assert found is not None
    return found[1]


def test_it_counts_what_runs_failed_and_waits(import_document, running):
    alpha = import_document(document("t>a", name="alpha"))
    broken = import_document(document("t>a", name="broken", a=FAILING))
    running(pending(alpha))
    pending(alpha)
    pending(alpha)
    run(broken)
    response = browser(superuser()).get("/admin/")
    assert [number(response, card) for card in ("running", "failed", "waiting")] == ["1", "1", "2"]
    page = text_of(response)
    assert "a: it broke" in page
    assert "The first one has waited for" in page
    assert f"{LIST}?status=failed&amp;since=24h" in response.content.decode()


def test_the_last_ten_runs_of_a_workflow_stand_in_their_order_with_what_became_of_them(import_document):
    alpha = import_document(document("t>a", name="alpha"))
    for _ in range(11):
        run(alpha)
    waiting = pending(alpha)
    page = browser(superuser()).get(BOARD).content.decode()
    bars = re.findall(r'<li><a class="pt-(\w+)" href="([^"]*)">.*?<title>([^<]*)<', page)
    assert [bar[0] for bar in bars] == [*["completed"] * 9, "pending"]
    assert str(waiting.pk) in bars[-1][1]
    assert all(title.startswith("completed, ") for _, _, title in bars[:-1])
    assert "9 of 9" in page


def test_staff_sees_what_is_shared_and_nothing_of_others(import_document):
    alpha = import_document(document("t>a", name="alpha"))
    secret = import_document(document("t>a", name="secret", a=FAILING))
    run(alpha)
    run(secret)
    page = text_of(browser(staff("bob", VIEW, shared=alpha)).get("/admin/"))
    assert "alpha" in page
    assert "secret" not in page
    assert "it broke" not in page
    assert "System" not in page


def test_who_may_not_view_executions_has_the_index_without_a_dashboard(import_document):
    run(import_document(document("t>a", name="alpha")))
    for client in (browser(staff("eve")), browser(staff("fay", "view_workflow"))):
        page = client.get("/admin/")
        assert page.status_code == 200
        assert b"pt-dashboard" not in page.content
        assert "alpha" not in text_of(client.get(BOARD))


def test_the_index_of_an_app_has_no_dashboard():
    client = browser(superuser())
    assert b"pt-dashboard" in client.get("/admin/").content
    assert b"pt-dashboard" not in client.get("/admin/executions_app/").content


def test_the_system_page_is_linked_for_who_may_see_it():
    link = f'href="{LIST}system/"'
    assert link in browser(staff("bob", VIEW, SYSTEM)).get(BOARD).content.decode()
    assert link not in browser(staff("eve", VIEW)).get(BOARD).content.decode()


def test_who_has_nothing_is_led_to_the_demo_and_it_is_loaded_once(demo):
    bob = staff("bob", VIEW, "add_workflow")
    client = browser(bob)
    assert OFFER in client.get("/admin/").content.decode()
    answer = client.post(f"{LIST}demo/", follow=True)
    assert told(answer) == [f"The {len(DEMO)} workflows of the demo are yours now: run one of them."]
    assert sorted(Workflow.objects.values_list("name", flat=True)) == DEMO
    assert set(Workflow.objects.values_list("owner", flat=True)) == {bob.pk}
    assert AuditEntry.objects.filter(verb="workflow.created", address="127.0.0.1").count() == len(DEMO)
    assert OFFER not in answer.content.decode()
    assert "No workflow has run yet." in text_of(answer)
    assert told(client.post(f"{LIST}demo/", follow=True)) == ["You have all workflows of the demo already."]


def test_what_the_owner_made_of_a_demo_workflow_stays(demo, owner, import_document):
    mine = import_document(document("t>mine", name="hello"))
    assert sorted(made.name for made in load_demo(owner)) == sorted(set(DEMO) - {"hello"})
    assert [node.key for node in mine.nodes.all()] == ["t", "mine"]


def test_the_demo_is_loaded_by_post_alone_and_by_who_may_add_workflows(demo):
    assert browser(superuser()).get(f"{LIST}demo/").status_code == 405
    viewer = browser(staff("bob", VIEW))
    assert OFFER not in viewer.get("/admin/").content.decode()
    assert viewer.post(f"{LIST}demo/").status_code == 403
    assert not Workflow.objects.exists()


def test_a_site_without_a_demo_offers_none(settings):
    settings.PASTETRADER = {"ENGINE_IN_ASGI": False}
    client = browser(superuser())
    assert OFFER not in client.get("/admin/").content.decode()
    assert client.post(f"{LIST}demo/").status_code == 403


def test_a_demo_that_is_not_valid_leaves_nothing(settings, tmp_path):
    for name, text in {
        "a.yaml": Path("demo/hello.yaml").read_text(),
        "b.yaml": "name: b\nnodes: []\nedges: []",
    }.items():
        (tmp_path / name).write_text(text)
    settings.PASTETRADER = {**settings.PASTETRADER, "DEMO": tmp_path}
    (sentence,) = told(browser(superuser()).post(f"{LIST}demo/", follow=True))
    assert sentence.startswith("The demo was not loaded. The definition has 1 problem")
    assert not Workflow.objects.exists()


def test_more_workflows_and_runs_are_no_more_queries(import_document, running):
    client = browser(superuser())
    counts = []
    for size in (1, 6):
        for n in range(size):
            alpha = import_document(document("t>a", name=f"alpha-{size}-{n}"))
            run(import_document(document("t>a", name=f"broken-{size}-{n}", a=FAILING)))
            run(alpha)
            running(pending(alpha))
            pending(alpha)
        with CaptureQueriesContext(connection) as sent:
            client.get(BOARD)
        counts.append(len(sent))
    # The counts beside the few that are shown come with the first that is not.
    assert counts[1] - counts[0] <= 1
    assert counts[1] <= 20
