"""Executions over the API: accepted, run by an engine beside it, looked at, cancelled."""

import asyncio
import json
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import AsyncClient

from executions_app.dispatch import runner
from executions_app.dispatch.worker import Worker
from executions_app.models import WorkflowExecution
from tests.eventually import eventually
from tests.integration.api import program_of
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.dag.jsontext import MAX_DEPTH
from workflows_app.models import AuditEntry, Workflow
from workflows_app.services.documents import Source, document_of, save
from workflows_app.services.tokens import create_token
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.errors import Permanent

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = Decimal("1234567890123456789012345.678")
SHAPE = {
    "id", "workflow", "status", "reason", "labels", "rerun_of", "trigger_type", "scheduling", "input", "output",
    "error", "seq", "queue", "priority", "due_at", "created_at", "started_at", "ended_at", "duration_ms",
}  # fmt: skip


@pytest.fixture
def ada(owner):
    return program_of(owner)


@pytest.fixture
def engine():
    """An engine in a thread of its own, as inside a server."""
    worker, ready = Worker(4), threading.Event()
    loop = asyncio.new_event_loop()

    def serve():
        loop.call_soon(ready.set)
        loop.run_until_complete(worker.serve())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    yield worker
    loop.call_soon_threadsafe(worker.stop)
    thread.join()


def run(execution_id):
    asyncio.run(runner.run(WorkflowExecution.objects.get(pk=execution_id).pk))


def address_of(workflow):
    return f"/workflows/{workflow.pk}"


def test_an_execution_is_accepted_with_a_place_and_stays_pending_until_an_engine_takes_it(ada, import_document):
    workflow = import_document(document("t>a", labels=["demo"]))
    response = ada.post(f"{address_of(workflow)}/execute", {"input": {"x": AMOUNT}, "labels": ["mine"]})
    assert response.status_code == 202
    assert response.data.keys() == SHAPE | {"nodes", "usage"}
    assert (response.data["status"], response.data["input"]) == ("pending", {"x": AMOUNT})
    assert response.data["labels"] == ["demo", "mine"]
    assert response.data["workflow"] == {"id": str(workflow.pk), "name": "test", "version": 1}
    run(response.data["id"])
    done = ada.get(response["Location"])
    assert (done.data["status"], done.data["output"]["t"]) == ("completed", {"x": AMOUNT})
    assert b'"x":1234567890123456789012345.678' in done.content
    assert {node["key"]: node["status"] for node in done.data["nodes"]} == {"t": "completed", "a": "completed"}
    assert "output" in done.data["nodes"][0]
    entry = AuditEntry.objects.get(verb="execution.started")
    assert (entry.object_id, entry.address) == (response.data["id"], "127.0.0.1")


def test_who_waits_gets_the_end(ada, import_document, engine):
    workflow = import_document(document("t>a"))
    response = ada.post(f"{address_of(workflow)}/execute?wait=30")
    assert (response.status_code, response.data["status"]) == (200, "completed")


def test_who_waits_too_short_gets_what_there_is(ada, import_document):
    workflow = import_document(document("t>a"))
    response = ada.post(f"{address_of(workflow)}/execute?wait=0.05")
    assert (response.status_code, response.data["status"]) == (202, "pending")


@pytest.fixture
def place_and_token(owner, import_document):
    return f"/api/v1{address_of(import_document(document('t>a')))}/execute?wait=30", create_token("ada")


async def test_many_wait_at_once_without_holding_each_other_up(place_and_token, engine):
    """As in a server, where requests share one event loop."""
    place, token = place_and_token
    headers, post = {"Authorization": f"Bearer {token}"}, AsyncClient().post
    try:
        responses = await asyncio.gather(*(post(place, {}, "application/json", headers=headers) for _ in range(8)))
    finally:
        await sync_to_async(connections.close_all)()
    assert [response.status_code for response in responses] == [200] * 8
    assert len({response.json()["id"] for response in responses}) == 8


def test_the_same_key_brings_back_the_same_execution(ada, owner, import_document):
    path = f"{address_of(import_document(document('t>a')))}/execute"
    first = ada.post(path, {"input": {"a": 1}}, Idempotency_Key="k")
    again = ada.post(path, {"input": {"a": 1}}, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.data["id"] == again.data["id"]
    other = ada.post(path, {"input": {"a": 2}}, Idempotency_Key="k")
    assert (other.status_code, other.data["code"]) == (409, "idempotency_conflict")
    run(first.data["id"])
    assert ada.post(path, {"input": {"a": 1}}, Idempotency_Key="k").status_code == 200
    assert ada.post(path, {"input": {"a": 1}}).data["id"] != first.data["id"]
    for key in ("", "k" * 256):
        assert ada.post(path, {"input": {"a": 1}}, Idempotency_Key=key).status_code == 422
    assert WorkflowExecution.objects.count() == 2


def test_what_cannot_run_is_refused_and_leaves_nothing(ada, import_document):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    workflow = import_document(document("t>a", input_schema=schema, settings={"allow_concurrent": False}))
    path = f"{address_of(workflow)}/execute"
    missing = ada.post(path)
    assert (missing.status_code, missing.data["code"]) == (422, "invalid_input")
    assert missing.data["errors"][0]["message"]
    for body in ({"input": []}, {"input": {"n": 1}, "status": "completed"}, {"labels": [1]}, {"started_by": 1}):
        assert ada.post(path, body).status_code == 422
    for query in ("wait=61", "wait=-1", "wait=nan", "wait=x"):
        assert ada.post(f"{path}?{query}", {"input": {"n": 1}}).status_code == 422
    assert ada.post(path, text='{"input": {"n": 1}}', kind="text/plain").status_code == 415
    assert not WorkflowExecution.objects.exists()
    assert ada.post(path, {"input": {"n": 1}}).status_code == 202
    second = ada.post(path, {"input": {"n": 1}})
    assert (second.status_code, second.data["code"]) == (409, "already_running")
    ada.patch(address_of(workflow), {"is_active": False}, If_Match=1)
    inactive = ada.post(path, {"input": {"n": 1}})
    assert (inactive.status_code, inactive.data["code"]) == (409, "inactive_workflow")


def test_a_pending_execution_is_cancelled_at_once_and_an_ended_one_not_at_all(ada, import_document):
    execution_id = ada.post(f"{address_of(import_document(document('t>a')))}/execute").data["id"]
    response = ada.post(f"/executions/{execution_id}/cancel")
    assert (response.status_code, response.data["status"], response.data["reason"]) == (202, "cancelled", "user")
    assert response.data.keys() == SHAPE
    assert AuditEntry.objects.filter(verb="execution.cancel_requested").count() == 1
    other = ada.post(f"{address_of(Workflow.objects.get())}/execute").data["id"]
    run(other)
    late = ada.post(f"/executions/{other}/cancel")
    assert (late.status_code, late.data["code"]) == (409, "already_finished")


def test_an_execution_runs_again_from_the_start_or_from_what_failed(ada, import_document):
    bad = {"tool": "core.fail", "inputs": {}}
    path = address_of(import_document(document("t>a", "a>bad", bad=bad)))
    failed = ada.post(f"{path}/execute").data["id"]
    refused = ada.post(f"/executions/{failed}/rerun")
    assert (refused.status_code, refused.data["code"]) == (409, "not_finished")
    run(failed)
    response = ada.post(f"/executions/{failed}/rerun", {"from": "failed"})
    again = response.data["id"]
    assert (response.status_code, response.data["rerun_of"]) == (202, failed)
    assert response.headers["Location"].endswith(f"/executions/{again}")
    run(again)
    nodes = ada.get(f"/executions/{again}/nodes").data["items"]
    assert {node["key"]: len(node["attempts"]) for node in nodes} == {"t": 0, "a": 0, "bad": 1}
    entry = AuditEntry.objects.get(verb="execution.rerun")
    assert (entry.object_id, entry.data) == (again, {"rerun_of": failed, "from": "failed"})
    assert ada.post(f"/executions/{failed}/rerun", {"from": "nowhere"}).status_code == 422
    assert ada.post(f"/executions/{failed}/rerun").status_code == 202


def test_a_running_execution_ends_soon_after_its_cancel(ada, import_document, engine):
    slow = {"tool": "core.sleep", "inputs": {"seconds": 60}}
    execution_id = ada.post(f"{address_of(import_document(document('t>a', a=slow)))}/execute").data["id"]
    eventually(lambda: ada.get(f"/executions/{execution_id}/nodes?status=running").data["items"])
    assert ada.post(f"/executions/{execution_id}/cancel").status_code == 202
    eventually(lambda: ada.get(f"/executions/{execution_id}").data["status"] == "cancelled")


def test_lists_are_filtered_and_come_newest_first_in_pages(ada, import_document):
    first = import_document(document("t>a", name="first"))
    second = import_document(document("t>a", name="second"))
    ids = []
    for number in range(6):
        workflow = second if number % 3 == 0 else first
        labels = {"labels": [f"l{number % 2}"]}
        ids.append(ada.post(f"{address_of(workflow)}/execute", labels).data["id"])
    run(ids[0])
    ids.reverse()

    def found(query, path="/executions"):
        return [item["id"] for item in ada.get(f"{path}?{query}").data["items"]]

    assert found("") == ids
    assert found("status=completed") == [ids[5]]
    assert found("status=completed&status=pending") == ids
    assert found("workflow=second") == [ids[2], ids[5]]
    assert found(f"workflow={second.pk}") == [ids[2], ids[5]]
    assert found("", f"{address_of(second)}/executions") == [ids[2], ids[5]]
    assert found("label=l1") == ids[0::2]
    assert found("label=l") == []
    assert found("trigger_type=manual") == ids
    assert found("trigger_type=schedule") == []
    third = WorkflowExecution.objects.get(pk=ids[3]).created_at
    assert found(f"since={third.isoformat().replace('+00:00', 'Z')}") == ids[:4]
    assert found(f"until={third.isoformat().replace('+00:00', 'Z')}") == ids[4:]
    assert found(f"since={(third + timedelta(hours=2)).replace(tzinfo=None).isoformat()}%2B02:00") == ids[:4]
    assert "nodes" not in ada.get("/executions").data["items"][0]
    for wrong in ("status=skipped", "since=yesterday", "until=0001-01-01T00:00:00%2B14:00", "limit=1000"):
        assert ada.get(f"/executions?{wrong}").status_code == 422

    seen, cursor = [], ""
    while cursor is not None:
        page = ada.get(f"/executions?limit=4{cursor and f'&cursor={cursor}'}").data
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
    assert seen == ids


def test_nodes_tell_their_attempts_and_why_they_ran_or_did_not(ada, import_document):
    fails = {"tool": "core.fail", "inputs": {"message": "no", "times": 1}, "retry": {"max_retries": 1, "delay": 0}}
    spec = document("t>c", "c>a", "c>b", a=fails, c={"type": "condition"}, name="branches")
    spec["edges"][1]["condition"] = "amount > 0.1"
    spec["edges"][2]["default"] = True
    path = address_of(import_document(spec))
    execution_id = ada.post(f"{path}/execute", {"input": {"amount": AMOUNT}}).data["id"]
    run(execution_id)
    nodes = ada.get(f"/executions/{execution_id}/nodes").data["items"]
    assert [node["key"] for node in nodes] == ["t", "c", "a", "b"]
    retried = nodes[2]
    assert [attempt["outcome"] for attempt in retried["attempts"]] == ["failed", "succeeded"]
    assert (retried["retry_count"], retried["output"]) == (1, {"attempt": 2})
    condition = ada.get(f"/executions/{execution_id}/nodes/c").data
    assert condition["details"]["taken"] == ["a"]
    assert condition["details"]["evaluations"][0]["result"] is True
    assert condition["input"] == condition["output"] == {"amount": AMOUNT}
    skipped = ada.get(f"/executions/{execution_id}/nodes?status=skipped&status=failed").data["items"]
    assert [(node["key"], node["reason"], node["attempts"]) for node in skipped] == [("b", "not_taken", [])]
    assert ada.get(f"/executions/{execution_id}/nodes/z").data["code"] == "not_found"
    page = ada.get(f"/executions/{execution_id}/nodes?limit=3").data
    assert [
        node["key"] for node in ada.get(f"/executions/{execution_id}/nodes?cursor={page['next']}").data["items"]
    ] == ["b"]


def test_tracebacks_are_for_the_staff_of_the_server(ada, owner, import_document):
    fails = {"tool": "core.fail", "inputs": {"message": "no"}}
    execution_id = ada.post(f"{address_of(import_document(document('t>a', a=fails)))}/execute").data["id"]
    run(execution_id)
    paths = [f"/executions/{execution_id}/nodes/a", f"/executions/{execution_id}/nodes?status=failed"]
    for path in paths:
        assert b"Traceback" not in ada.get(path).content
    owner.is_staff = True
    owner.save()
    for path in paths:
        assert b"Traceback" in ada.get(path).content


def test_another_users_executions_are_in_no_list_and_no_filter(ada, import_document):
    workflow = import_document(document("t>a", labels=["secret"]))
    execution_id = ada.post(f"{address_of(workflow)}/execute", Idempotency_Key="k").data["id"]
    _ = ada.post(f"{address_of(workflow)}/execute")
    cursor = ada.get("/executions?limit=1").data["next"]
    eve = program_of(get_user_model().objects.create_user("eve"))
    for query in ("", f"workflow={workflow.pk}", "workflow=test", "label=secret", f"cursor={cursor}", "status=pending"):
        assert eve.get(f"/executions?{query}").data == {"items": [], "next": None}
    assert eve.post(f"{address_of(workflow)}/execute", Idempotency_Key="k").status_code == 404
    source = Source(document=document_of(workflow), line_of=lambda _path: None)
    own, _ = save(source, get_user_model().objects.get(username="eve"))
    assert eve.post(f"{address_of(own)}/execute", Idempotency_Key="k").data["id"] != execution_id


def test_data_as_deep_as_the_codec_takes_goes_through_every_answer(ada, import_document):
    deep = {"x": 1}
    # The input is one level of the body.
    for _ in range(MAX_DEPTH - 2):
        deep = {"x": deep}
    workflow = import_document(document("t>a"))
    sent = ada.client.post(
        f"/api/v1{address_of(workflow)}/execute",
        jsontext.dumps({"input": deep}),
        content_type="application/json",
        headers=ada.headers,
    )
    assert (sent.status_code, json.loads(sent.content)["input"]) == (202, deep)
    run(sent.json()["id"])
    for path, found in [
        ("", lambda answer: answer["input"]),
        ("/nodes/t", lambda answer: answer["output"]),
        ("/nodes", lambda answer: answer["items"][0]["output"]),
    ]:
        response = ada.client.get(f"/api/v1/executions/{sent.json()['id']}{path}", headers=ada.headers)
        assert (response.status_code, found(json.loads(response.content))) == (200, deep)


def test_a_list_costs_as_many_queries_however_long_it_is(ada, import_document, django_assert_max_num_queries):
    workflow = import_document(document("t>a"))
    for number in range(12):
        ada.post(f"{address_of(workflow)}/execute")
        ada.post("/workflows", document("t>a", name=f"w{number}"))
    for path in ("/executions", "/workflows", f"{address_of(workflow)}/nodes"):
        ada.get(path)
        with django_assert_max_num_queries(3):
            ada.get(path)


def test_the_journal_is_read_by_people_and_by_programs(ada, import_document):
    fails = {"tool": "core.fail", "inputs": {"message": "no"}}
    path = address_of(import_document(document("t>a", "t>b", a=fails)))
    execution_id = ada.post(f"{path}/execute").data["id"]
    run(execution_id)
    events = ada.get(f"/executions/{execution_id}/events").data["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0].keys() == {"seq", "event", "node", "at", "data"}
    assert [event["event"] for event in events][:: len(events) - 1] == ["execution.pending", "execution.failed"]
    after = ada.get(f"/executions/{execution_id}/events?after=3&limit=2").data
    assert [event["seq"] for event in after["items"]] == [4, 5]
    rest = ada.get(f"/executions/{execution_id}/events?after=3&cursor={after['next']}").data
    assert [event["seq"] for event in rest["items"]] == list(range(6, len(events) + 1))
    logs = ada.get(f"/executions/{execution_id}/logs").data["items"]
    assert [log["seq"] for log in logs] == [event["seq"] for event in events]
    assert all(log["message"] for log in logs)
    grave = ada.get(f"/executions/{execution_id}/logs?level=error").data["items"]
    assert {log["level"] for log in grave} == {"error"}
    of_b = ada.get(f"/executions/{execution_id}/logs?node=b&level=info").data["items"]
    assert [log["event"] for log in of_b] == ["node.running", "node.completed"]
    for wrong in ("after=-1", f"after={10**30}", "level=loud", "cursor=WzFlOTldCg", "cursor=WzEwMDAwMDAwMDAwMDBd"):
        assert ada.get(f"/executions/{execution_id}/logs?{wrong}").status_code == 422


def test_statistics_are_counted_by_the_database(ada, import_document):
    fails = {"tool": "core.fail", "inputs": {"message": "no"}}
    path = address_of(import_document(document("t>a", "t>b", b=fails)))
    assert ada.get(f"{path}/statistics").data == {
        "counts": dict.fromkeys(["pending", "running", "completed", "failed", "cancelled"], 0),
        "duration_ms": {"p50": None, "p95": None, "p99": None},
        "failures_by_node": {},
        "usage": None,
    }
    ids = [ada.post(f"{path}/execute").data["id"] for _ in range(20)]
    for number, execution_id in enumerate(ids[1:], 1):
        run(execution_id)
        row = WorkflowExecution.objects.filter(pk=execution_id)
        # Between the start and the end of the row lies what the test says, not what the machine took.
        row.update(ended_at=row.get().started_at + timedelta(milliseconds=number))
    found = ada.get(f"{path}/statistics").data
    assert found["counts"] == {"pending": 1, "running": 0, "completed": 0, "failed": 19, "cancelled": 0}
    assert found["duration_ms"] == {"p50": 10, "p95": 19, "p99": 19}
    assert found["failures_by_node"] == {"b": 19}


def test_tools_are_listed_with_their_schemas(ada):
    listed = {item["name"]: item for item in ada.get("/tools").data["items"]}
    assert {"core.set", "core.sleep", "market.rsi"} <= set(listed)
    assert list(listed) == sorted(listed)
    sleep = ada.get("/tools/core.sleep")
    assert sleep.data == listed["core.sleep"]
    assert sleep.data["effect"] == "none"
    assert "seconds" in sleep.data["input_schema"]["properties"]
    assert ada.get("/tools/core.nothing").data["code"] == "not_found"


def test_a_tool_is_tried_outside_of_any_execution(ada, tools):
    @tool("test.doubles", effect="none")
    async def doubles(amount: Decimal, context: ToolContext) -> Decimal:
        context.log("doubling", amount=amount)
        return amount * 2

    @tool("test.breaks")
    def breaks():
        raise Permanent("It broke.")

    @tool("test.bytes")
    def bytes_():
        return b"x"

    good = ada.post("/tools/test.doubles/test", {"inputs": {"amount": AMOUNT}})
    assert (good.status_code, good.data["output"], good.data["error"]) == (200, AMOUNT * 2, None)
    assert good.data["logs"] == [{"level": "info", "message": "doubling", "data": {"amount": AMOUNT}}]
    assert good.data["duration_ms"] >= 0
    errors = {
        "breaks": ("permanent", {}),
        "bytes": ("invalid_output", {}),
        "doubles": ("invalid_input", {"amount": "much"}),
    }
    for name, (code, inputs) in errors.items():
        bad = ada.post(f"/tools/test.{name}/test", {"inputs": inputs})
        assert (bad.status_code, bad.data["output"], bad.data["error"]["code"]) == (200, None, code)
    assert ada.post("/tools/test.nothing/test", {}).status_code == 404
    assert ada.post("/tools/test.breaks/test", {"input": {}}).status_code == 422
    assert not WorkflowExecution.objects.exists()
    assert AuditEntry.objects.filter(verb="tool.tried", object_id="test.breaks").count() == 1


def test_a_ticket_is_shown_once_and_lasts_half_a_minute(ada):
    response = ada.post("/tickets")
    assert (response.status_code, response.data["expires_in"]) == (201, 30)
    assert len(response.data["ticket"]) >= 43
    assert ada.post("/tickets").data["ticket"] != response.data["ticket"]


def test_an_execution_with_many_nodes_is_shown_without_their_data(ada, import_document):
    wide = document(*(f"t>n{number}" for number in range(1000)))
    response = ada.post(f"{address_of(import_document(wide))}/execute")
    assert len(response.data["nodes"]) == 1001
    assert "input" not in response.data["nodes"][0]
    assert "output" in ada.get(f"/executions/{response.data['id']}/nodes?limit=1").data["items"][0]
