"""The page of one execution, and the JSON that keeps it true."""

import asyncio
import re
import uuid
from html.parser import HTMLParser

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, WorkflowExecution
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.models import AuditEntry, WorkflowShare

pytestmark = pytest.mark.django_db(transaction=True)

PERMISSIONS = ("view", "add", "change")
READ = ("live/", "graph/", "edges/", "tries/", "usage/", "data/", "log/", "log/download/", "node/a/")
EVIL = "</script><img src=x onerror=alert(1)>"
LONG = "12345678901234567890.123456789"


def page_of(execution, path=""):
    return reverse("admin:executions_app_workflowexecution_change", args=[execution.pk]) + path


def give(user, *words):
    names = [f"{word}_workflowexecution" for word in words]
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))


def staff(name, *words):
    user = get_user_model().objects.create_user(name, is_staff=True)
    give(user, *words)
    return user


def pages_of(user):
    client = Client(enforce_csrf_checks=False)
    client.force_login(user)
    return client


def json_of(response):
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]
    return jsontext.loads(response.content)


def run(workflow, **inputs):
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, inputs))
    return WorkflowExecution.objects.get(pk=result.execution_id)


@pytest.fixture
def ada(owner):
    owner.is_staff = True
    owner.save()
    give(owner, *PERMISSIONS)
    return pages_of(owner)


@pytest.fixture
def hello(import_document):
    return import_document(document("t>a", name="hello"))


@pytest.fixture
def broken(import_document):
    """`bad` fails after a retry, which leaves `b` and `c` out; `check` prefers `d` to `e`."""
    workflow = document(
        "t>bad",
        "bad>b",
        "b>c",
        "t>check",
        "check>d",
        "check>e",
        bad={
            "tool": "core.fail",
            "inputs": {"message": f"out of order {EVIL}", "type": "PriceError"},
            "retry": {"max_retries": 1, "delay": 0},
        },
        check={"type": "condition"},
        d={"type": "adapter", "output": {"amount": jsontext.number(LONG)}},
        e={"tool": "core.log", "inputs": {"message": "never"}},
        name="broken",
    )
    workflow["edges"][4]["condition"] = "1 < 2"
    workflow["edges"][5]["default"] = True
    return import_document(workflow)


# --- Who may look.


@pytest.mark.parametrize("path", ["", *READ])
def test_another_users_execution_does_not_exist(ada, hello, path):
    stranger = pages_of(staff("emmy", *PERMISSIONS))
    execution = run(hello)
    assert stranger.get(page_of(execution, path)).status_code == 404
    assert AuditEntry.objects.filter(actor_name="emmy", verb="refused").exists()
    assert stranger.get(page_of(WorkflowExecution(pk=uuid.uuid4()), path)).status_code == 404


@pytest.mark.parametrize("path", ["", *READ])
def test_staff_without_the_permission_to_view_executions_may_not_look(owner, hello, path):
    owner.is_staff = True
    owner.save()
    assert pages_of(owner).get(page_of(run(hello), path)).status_code == 403


@pytest.mark.parametrize("path", ["", *READ])
def test_who_is_not_staff_is_sent_to_the_login(owner, hello, path):
    execution = run(hello)
    for client in (Client(), pages_of(owner)):
        response = client.get(page_of(execution, path))
        assert response.status_code == 302
        assert "/admin/login/" in response["Location"]


@pytest.mark.parametrize("path", READ)
def test_what_is_read_takes_no_post(ada, hello, path):
    assert ada.post(page_of(run(hello), path)).status_code == 405


def test_the_page_itself_takes_no_form(ada, hello):
    execution = run(hello)
    assert ada.post(page_of(execution), {"status": "completed"}).status_code == 403


def test_a_superuser_sees_the_executions_of_all(ada, hello):
    root = pages_of(get_user_model().objects.create_superuser("root"))
    assert root.get(page_of(run(hello))).status_code == 200


# --- The page, before its scripts run.


def test_the_page_shows_every_node_with_its_state_in_words(ada, broken):
    page = ada.get(page_of(run(broken))).content.decode()
    rows = dict(re.findall(r'<tr data-key="(\w+)">.*?<td>.*?pt-status pt-(\w+)', page, re.DOTALL))
    assert rows == {
        "t": "completed", "bad": "failed", "b": "skipped", "c": "skipped", "check": "completed", "d": "completed",
        "e": "skipped",
    }  # fmt: skip
    assert "a node failed" in page
    assert "Node &#x27;bad&#x27; started, attempt 2." in page


def test_what_workflows_say_is_text_on_the_page(ada, import_document):
    workflow = document("t>a", "a>b", name="evil", a={"name": EVIL, "inputs": {"x": EVIL}}, labels=[EVIL])
    workflow["nodes"][2] |= {"tool": "core.log", "inputs": {"message": EVIL}}
    execution = run(import_document(workflow), note=EVIL)
    page = ada.get(page_of(execution)).content.decode()
    assert EVIL not in page
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 4


class Forbidden(HTMLParser):
    """Collects what a strict security policy would block."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        inline = tag == "script" and "src" not in given and given.get("type") != "application/json"
        names = [name for name in given if name == "style" or name.startswith("on")]
        if inline or tag == "style" or names:
            self.found.append((tag, names))


def test_the_page_has_nothing_that_its_security_policy_forbids(ada, broken):
    response = ada.get(page_of(run(broken)))
    policy = response["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    parser = Forbidden()
    parser.feed(response.content.decode())
    assert parser.found == []
    parser.feed('<a onclick="x()" style="y"><script>z</script>')
    assert len(parser.found) == 2


def test_the_page_is_not_kept_by_browsers(ada, hello):
    assert "no-store" in ada.get(page_of(run(hello)))["Cache-Control"]


def test_the_page_asks_a_few_times_however_many_nodes_there_are(ada, import_document, django_assert_max_num_queries):
    wide = import_document(document(*(f"t>n{number}" for number in range(60)), name="wide"))
    execution = run(wide)
    with django_assert_max_num_queries(25):
        assert ada.get(page_of(execution)).status_code == 200


def test_the_page_outlives_its_workflow(ada, hello, owner):
    execution = start(StartRequest(target=hello, input={}, user=owner)).execution
    hello.delete()
    assert ada.get(page_of(execution)).status_code == 200


# --- The JSON.


def test_the_snapshot_is_the_sockets(ada, broken):
    execution = run(broken)
    live = json_of(ada.get(page_of(execution, "live/")))
    assert (live["seq"], live["execution"]["id"]) == (execution.last_seq, str(execution.pk))
    nodes = live["execution"]["nodes"]
    assert [node["key"] for node in nodes] == ["t", "bad", "b", "c", "check", "d", "e"]
    assert all("input" not in node and "output" not in node for node in nodes)


def test_the_graph_has_places_and_what_became_of_the_edges(ada, broken):
    graph = json_of(ada.get(page_of(run(broken), "graph/")))
    places = {node["key"]: (node["x"], node["y"]) for node in graph["nodes"]}
    assert len(set(places.values())) == 7
    assert [places[key][0] for key in ("t", "bad", "b", "c")] == [0, 1, 2, 3]
    taken = {(edge["from"], edge["to"]): (edge["taken"], edge["state"]) for edge in graph["edges"]}
    assert taken == {
        ("t", "bad"): (True, "taken"),
        ("bad", "b"): (False, "broken"),
        ("b", "c"): (False, "broken"),
        ("t", "check"): (True, "taken"),
        ("check", "d"): (True, "taken"),
        ("check", "e"): (False, "refused"),
    }
    assert [edge["condition"] for edge in graph["edges"]][4:] == ["1 < 2", None]
    assert graph["edges"][5]["default"] is True


def test_of_an_execution_that_waits_no_edge_is_decided(ada, hello, owner):
    execution = start(StartRequest(target=hello, input={}, user=owner)).execution
    assert json_of(ada.get(page_of(execution, "graph/")))["edges"][0]["taken"] is None
    assert json_of(ada.get(page_of(execution, "edges/"))) == {"seq": 1, "states": ["open"]}


def test_nodes_that_were_tried_more_than_once_have_their_tries(ada, broken):
    tries = json_of(ada.get(page_of(run(broken), "tries/")))["attempts"]
    assert {key: [(one["number"], one["outcome"]) for one in own] for key, own in tries.items()} == {
        "bad": [(1, "failed"), (2, "failed")]
    }


def test_a_node_tells_its_attempts_its_configuration_and_what_followed(ada, broken):
    execution = run(broken)
    node = json_of(ada.get(page_of(execution, "node/bad/")))
    assert [attempt["outcome"] for attempt in node["attempts"]] == ["failed", "failed"]
    assert "PriceError" in node["attempts"][0]["traceback"]
    assert node["configuration"]["tool"] == "core.fail"
    assert node["configuration"]["timeout_seconds"] == 300
    assert node["configuration"]["retry"]["max_retries"] == 1
    assert node["retry"] == {
        "used": 1,
        "max_retries": 1,
        "waits": [0],
        "jitter": None,
        "due_at": None,
        "told": ["1 of 1 retries used.", "Waits before the retries: 0.0 ms."],
    }
    assert node["downstream"] == [
        {
            "status": "skipped",
            "reason": "upstream_failed",
            "count": 2,
            "nodes": ["b", "c"],
            "told": "Nodes skipped because of this node: 2 (a node before it failed).",
        }
    ]
    assert (node["incoming"], node["outgoing"]) == (["t"], ["b"])
    assert json_of(ada.get(page_of(execution, "node/check/")))["details"]["taken"] == ["d"]
    assert ada.get(page_of(execution, "node/nobody/")).status_code == 404


def test_numbers_keep_their_digits(ada, broken):
    execution = run(broken)
    for path in ("node/d/", "data/"):
        assert f'"amount":{LONG}' in ada.get(page_of(execution, path)).content.decode()
    assert LONG in ada.get(page_of(execution)).content.decode()


# --- The log.


def entries(client, execution, query=""):
    found = json_of(client.get(page_of(execution, f"log/{query}")))
    return [entry["seq"] for entry in found["items"]], found["more"]


def test_the_log_begins_with_its_last_entries_and_goes_on_in_both_directions(ada, broken):
    execution = run(broken)
    last = execution.last_seq
    assert entries(ada, execution) == (list(range(1, last + 1)), False)
    assert entries(ada, execution, "?limit=3") == ([last - 2, last - 1, last], True)
    assert entries(ada, execution, f"?limit=3&before={last - 2}") == ([last - 5, last - 4, last - 3], True)
    assert entries(ada, execution, "?limit=2&after=1") == ([2, 3], True)
    assert entries(ada, execution, f"?after={last}") == ([], False)


def test_the_log_is_searched_by_the_server(ada, broken):
    execution = run(broken)

    def found(query):
        return [
            (row.event, row.node)
            for row in ExecutionLog.objects.filter(
                execution=execution, seq__in=entries(ada, execution, query)[0]
            ).order_by("seq")
        ]

    assert found("?level=error") == [("node.failed", "bad"), ("execution.failed", "")]
    assert found("?level=warning&node=bad") == [("node.retrying", "bad"), ("node.failed", "bad")]
    assert found("?node=bad&attempt=1") == [("node.running", "bad"), ("node.retrying", "bad")]
    assert found("?node=bad&attempt=2") == [("node.running", "bad"), ("node.failed", "bad")]
    assert found("?node=bad&attempt=3") == []
    assert {event for event, _ in found("?search=OUT+of+order")} == {"node.retrying", "node.failed", "execution.failed"}
    # In what is below the sentence, too.
    assert ("node.failed", "bad") in found("?search=traceback")
    assert found("?search=%25") == []


@pytest.mark.parametrize(
    "query",
    [
        "?level=loud",
        "?attempt=x",
        "?after=-1",
        "?limit=0",
        "?limit=9999999999999",
        "?after=1e3",
        "?search=%00",
        "?node=%00",
    ],
)
def test_nonsense_in_the_address_of_the_log_is_as_if_it_were_not_there(ada, hello, query):
    execution = run(hello)
    assert len(entries(ada, execution, query)[0]) == execution.last_seq


def test_a_node_with_an_impossible_key_does_not_exist(ada, hello):
    execution = run(hello)
    assert ada.get(page_of(execution, "node/a%00/")).status_code == 404
    assert ada.get(page_of(execution, "node/a/")).status_code == 200


def test_the_whole_log_can_be_taken_away(ada, broken):
    execution = run(broken)
    response = ada.get(page_of(execution, "log/download/"))
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="broken-{execution.pk}.log"'
    lines = b"".join(response.streaming_content).decode().splitlines()
    assert len([line for line in lines if not line.startswith("    ")]) == execution.last_seq
    assert any(line.startswith("    Traceback") for line in lines)


def test_the_log_is_streamed_by_an_asynchronous_server_too(ada, hello, owner):
    execution = run(hello)

    async def fetch():
        client = AsyncClient()
        await client.aforce_login(owner)
        try:
            response = await client.get(page_of(execution, "log/download/"))
            return b"".join([piece async for piece in response.streaming_content])
        finally:
            # That of the thread in which views run here.
            await sync_to_async(connections.close_all)()

    text = asyncio.run(fetch()).decode()
    assert text.count("\n") == execution.last_seq


# --- What is done.


def test_a_pending_execution_is_cancelled_with_a_reason(ada, hello, owner):
    execution = start(StartRequest(target=hello, input={}, user=owner)).execution
    assert b'action="cancel/"' in ada.get(page_of(execution)).content
    response = ada.post(page_of(execution, "cancel/"), {"why": "no longer needed"}, follow=True)
    assert response.redirect_chain == [(page_of(execution), 302)]
    page = response.content.decode()
    assert "The execution is cancelled." in page
    assert 'action="cancel/"' not in page
    execution.refresh_from_db()
    assert (execution.status, execution.cancel_reason) == ("cancelled", "no longer needed")
    assert AuditEntry.objects.get(verb="execution.cancel_requested").address == "127.0.0.1"


def test_a_script_is_told_in_json(ada, hello):
    execution = run(hello)
    answer = ada.post(page_of(execution, "cancel/"), headers={"Accept": "application/json"})
    assert json_of(answer) == {
        "message": f"Execution {execution.pk} has already ended: it is completed.",
        "level": "error",
    }


@pytest.mark.parametrize("begin", ["start", "failed"])
def test_an_execution_is_run_again(ada, broken, begin):
    execution = run(broken)
    response = ada.post(page_of(execution, "rerun/"), {"from": begin}, follow=True)
    again = WorkflowExecution.objects.get(rerun_of=execution)
    assert response.redirect_chain == [(page_of(again), 302)]
    page = response.content.decode()
    assert ("from what failed" in page, str(execution.pk) in page) == (begin == "failed", True)
    assert str(again.pk) in ada.get(page_of(execution)).content.decode()


def test_an_execution_that_has_not_ended_is_not_run_again(ada, hello, owner):
    execution = start(StartRequest(target=hello, input={}, user=owner)).execution
    response = ada.post(page_of(execution, "rerun/"), follow=True)
    assert "wait for its end" in response.content.decode()
    assert not WorkflowExecution.objects.filter(rerun_of=execution).exists()


def test_what_was_never_broken_is_not_run_again_from_a_failure(ada, hello):
    execution = run(hello)
    page = ada.get(page_of(execution)).content.decode()
    assert re.search(r'id="pt-from-failed"[^>]* hidden', page)
    response = ada.post(page_of(execution, "rerun/"), {"from": "failed"}, follow=True)
    assert "there is no failure to go on from" in response.content.decode()


@pytest.mark.parametrize(("path", "permission"), [("cancel/", "change"), ("rerun/", "add")])
def test_a_deed_needs_the_permission_of_django_and_the_rights_to_the_object(hello, owner, path, permission):
    execution = run(hello)
    group = Group.objects.create(name="viewers")
    WorkflowShare.objects.create(workflow=hello, group=group, role="viewer")
    viewer, watcher = staff("viewer", *PERMISSIONS), staff("watcher", "view")
    viewer.groups.add(group)
    watcher.groups.add(group)
    for user in (viewer, watcher):
        assert f'action="{path}"' not in pages_of(user).get(page_of(execution)).content.decode()
    assert pages_of(watcher).post(page_of(execution, path)).status_code == 403
    refused = pages_of(viewer).post(page_of(execution, path), follow=True)
    assert "Your role does not allow" in refused.content.decode()
    assert pages_of(staff("emmy", *PERMISSIONS)).post(page_of(execution, path)).status_code == 404
    assert WorkflowExecution.objects.count() == 1


@pytest.mark.parametrize("path", ["cancel/", "rerun/"])
def test_a_deed_is_a_post_of_this_site(owner, hello, path):
    execution = run(hello)
    owner.is_staff = True
    owner.save()
    give(owner, *PERMISSIONS)
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.get(page_of(execution, path)).status_code == 405
    assert client.post(page_of(execution, path)).status_code == 403
