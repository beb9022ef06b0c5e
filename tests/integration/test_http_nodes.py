"""Nodes with `http.request` in the engine: effects, retries, cancels, hostile servers, and what stays on record."""

import asyncio
import gzip
import json as standard_json
import logging
from decimal import Decimal

import pytest

from executions_app.checks import check_http, check_limits
from executions_app.conf import execution_settings
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt, NodeExecution, WorkflowExecution
from executions_app.queries import execution_json
from tests.eventually import eventually
from tests.http_server import json, plain, serving_in_thread
from tests.integration.conftest import document
from workflows_app.dag.types import Effect
from workflows_app.history import PRESENT, Version, content_of, document_from
from workflows_app.services.compile import agrees, compile_document
from workflows_app.services.toolbox import Toolbox
from workflows_app.tools.http import connections

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _loopback(settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "HTTP_ALLOWED_HOSTS": ["127.0.0.1"]}


def node(url, **inputs):
    """An HTTP node; `retry` and `effect` are the node's."""
    fields = {key: inputs.pop(key) for key in ("retry", "effect", "timeout_seconds") if key in inputs}
    return {"tool": "http.request", "inputs": {"url": url, **inputs}, **fields}


async def run(workflow, input_data=None):
    return await WorkflowExecutor().execute(workflow.id, input_data)


def run_against(answer, import_document, nodes, *edges, **fields):
    """Serve, run a document whose nodes are made from the server, and give the result and the server."""

    with serving_in_thread(answer) as server:
        made = {key: make(server) for key, make in nodes.items()}
        workflow = import_document(document(*edges, **made, **fields))
        return asyncio.run(run(workflow)), server


@pytest.mark.parametrize(
    ("inputs", "effect"),
    [
        ({}, "none"),
        ({"method": "GET"}, "none"),
        ({"method": "head"}, "none"),
        ({"method": "OPTIONS"}, "none"),
        ({"method": "POST"}, "at_most_once"),
        ({"method": "DELETE"}, "at_most_once"),
        ({"method": "${{ input.method }}"}, "at_most_once"),
        ("${{ input }}", "at_most_once"),
        (None, "at_most_once"),
    ],
)
def test_the_effect_of_a_node_follows_from_the_method_in_its_document(inputs, effect):
    call = {"tool": "http.request"}
    if inputs is not None:
        call["inputs"] = {"url": "http://a.example", **inputs} if isinstance(inputs, dict) else inputs
    plan = compile_document(document("t>a", a=call), Toolbox())
    assert plan.nodes[1].effect == effect
    assert agrees(plan, Toolbox())
    idempotent = compile_document(document("t>a", a={**call, "effect": "idempotent"}), Toolbox())
    assert (idempotent.nodes[1].effect, agrees(idempotent, Toolbox())) == (Effect.IDEMPOTENT, True)
    checkable = compile_document(document("t>a", a={**call, "effect": "checkable"}), Toolbox())
    assert not agrees(checkable, Toolbox())


def test_the_history_does_not_state_an_effect_that_follows_from_the_method(import_document):
    nodes = {"a": node("http://a.example"), "b": node("http://a.example", method="POST")}
    workflow = import_document(document("t>a", "a>b", "b>c", **nodes, c=node("http://a.example", effect="idempotent")))
    now = Version(key=PRESENT, number=1)
    assert [one.get("effect") for one in content_of(workflow, now)["nodes"]][1:3] == [None, "at_most_once"]
    assert [one.get("effect") for one in document_from(workflow, now)["nodes"]][1:3] == [None, None]


def test_retries_carry_the_same_key_and_wait_as_the_server_asks(import_document):
    async def answer(request, connection):
        connection.write(plain(503, retry_after="0") if len(told) < 2 else json("{}"))
        told.append(request.headers["idempotency-key"])

    told = []
    retry = {"max_retries": 3, "delay": 0, "retry_on": ["HttpServerError"]}
    made = {"a": lambda server: node(server.url, method="POST", effect="idempotent", retry=retry)}
    result, _ = run_against(answer, import_document, made, "t>a")
    assert (result.status, len(told), set(told)) == ("completed", 3, {f"{result.execution_id}:a"})


@pytest.mark.parametrize(
    ("status", "retry_on", "requests"),
    [(404, [], 1), (429, [], 3), (500, [], 3), (429, ["HttpServerError"], 1), (500, ["HttpError"], 3)],
)
def test_a_retry_policy_knows_the_errors_by_their_names(import_document, status, retry_on, requests):
    retry = {"max_retries": 2, "delay": 0, "retry_on": retry_on}
    made = {"a": lambda server: node(server.url, retry=retry)}
    result, server = run_against(plain(status), import_document, made, "t>a")
    assert (result.status, len(server.requests)) == ("failed", requests)
    assert result.node_results["a"].error["code"] == "http_status"


async def _breaks(_request, connection):
    connection.close()


@pytest.mark.parametrize(
    ("method", "effect", "requests"), [("GET", None, 3), ("POST", None, 1), ("POST", "idempotent", 3)]
)
def test_a_broken_connection_is_tried_again_unless_it_may_have_had_an_effect(import_document, method, effect, requests):
    fields = {"effect": effect} if effect else {}
    made = {"a": lambda server: node(server.url, method=method, retry={"max_retries": 2, "delay": 0}, **fields)}
    result, server = run_against(_breaks, import_document, made, "t>a")
    assert (result.status, len(server.requests)) == ("failed", requests)
    error = result.node_results["a"].error
    assert (error["type"], "outcome is unknown" in error["message"]) == ("HttpBroken", requests == 1)


async def _silent(_request, _connection):
    await asyncio.Event().wait()


def test_a_cancel_in_the_middle_of_a_request_closes_its_connection(import_document):
    async def cancelled():
        running = asyncio.ensure_future(run(workflow))
        loop.append(asyncio.get_running_loop())
        calls.append(running)
        with pytest.raises(asyncio.CancelledError):
            await running

    async def answer(_request, _connection):
        # A cancel of the awaiting task is the user's.
        loop[0].call_soon_threadsafe(calls[0].cancel)
        await asyncio.Event().wait()

    loop, calls = [], []
    with serving_in_thread(answer) as server:
        workflow = import_document(document("t>a", a=node(server.url)))
        asyncio.run(cancelled())
        eventually(lambda: server.ended == 1)
        result = execution_json(WorkflowExecution.objects.get())
    assert (result["status"], result["nodes"][1]["status"]) == ("cancelled", "cancelled")


def test_the_time_limit_of_the_node_holds_too(import_document):
    made = {"a": lambda server: node(server.url, timeout_seconds=Decimal("0.1"))}
    result, _ = run_against(_silent, import_document, made, "t>a")
    assert (result.node_results["a"].status, result.node_results["a"].reason) == ("failed", "timeout")


def test_200_nodes_share_connections_and_none_is_left_when_the_loop_ends(import_document, figure):
    async def answer(request, connection):
        connection.write(json(f'{{"path": "{request.target}"}}'))

    keys = [f"n{number}" for number in range(200)]
    made = {key: lambda server, key=key: node(f"{server.url}/{key}") for key in keys}
    edges = [f"t>{key}" for key in keys]
    result, server = run_against(answer, import_document, made, *edges, settings={"max_parallel_nodes": 200})
    assert result.status == "completed"
    assert {key: result.node_results[key].output_data["body"]["path"] for key in keys} == {
        key: f"/{key}" for key in keys
    }
    assert server.connections <= execution_settings().http.connections
    assert list(connections._pools) == []
    figure(f"HTTP: 200 nodes in parallel, connections {server.connections}")


BOMB = gzip.compress(bytes(8 * 1024**2))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (plain(200, BOMB, content_encoding="gzip"), "HttpTooLarge"),
        (json("[" * 100_000), "HttpResponseError"),
        (json("1" * 5000), "HttpResponseError"),
        (json(r'{"a": "\u0000"}'), "HttpResponseError"),
        (json(r'"\ud800"'), "HttpResponseError"),
        (plain(200, b"a\0b", content_type="text/plain"), "HttpResponseError"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "HttpTooLarge"),
        (b"nonsense\r\n\r\n", "HttpBroken"),
    ],
)
def test_a_hostile_server_fails_its_node_and_the_run_ends(import_document, answer, error):
    result, _ = run_against(answer, import_document, {"a": lambda server: node(server.url)}, "t>a", "t>b")
    assert (result.status, result.node_results["a"].error["type"]) == ("failed", error)
    assert result.node_results["b"].status == "completed"


def test_what_a_request_holds_is_in_no_error_no_journal_and_no_log(import_document, caplog):
    caplog.set_level(logging.DEBUG)
    made = {
        "a": lambda server: node(
            f"{server.url}/?key=CANARY",
            headers={"X-Key": "CANARY"},
            query={"q": "CANARY"},
            auth={"bearer": "CANARY"},
            json={"x": "CANARY"},
            method="POST",
        ),
        "b": lambda server: node(f"http://CANARY:CANARY@127.0.0.1:{server.port}/"),
        "c": lambda server: node(server.url, auth={"bearer": "CANARY\n"}),
    }
    result, server = run_against(plain(500, b"CANARY", x_echo="CANARY"), import_document, made, "t>a", "t>b", "t>c")
    assert (result.status, len(server.requests)) == ("failed", 1)
    rows = list(ExecutionLog.objects.values("message", "data", "event"))
    rows += NodeAttempt.objects.values("error", "traceback")
    rows += NodeExecution.objects.values("error_message", "error", "traceback", "output")
    assert len(rows) > 10
    assert "CANARY" not in standard_json.dumps(rows, default=str)
    assert [record for record in caplog.records if "CANARY" in record.getMessage()] == []
    assert [record for record in caplog.records if record.name.startswith(("httpcore", "httpx"))] == []


def test_without_the_setting_the_loopback_is_out_of_reach(import_document, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "HTTP_ALLOWED_HOSTS": []}
    result, server = run_against(plain(), import_document, {"a": lambda server: node(server.url)}, "t>a")
    assert (result.node_results["a"].error["code"], server.connections) == ("http_forbidden", 0)


def test_the_settings_arrive(settings):
    settings.PASTETRADER = {
        "HTTP_ALLOWED_HOSTS": ["intranet.example:8443"], "HTTP_TIMEOUT_SECONDS": 5, "HTTP_CONNECT_SECONDS": 2,
        "HTTP_RESPONSE_BYTES": 10, "HTTP_HEADERS": 11, "HTTP_HEADER_BYTES": 12, "HTTP_JSON_DEPTH": 13,
        "HTTP_CONNECTIONS": 14,
    }  # fmt: skip
    assert [*check_limits(None), *check_http(None)] == []
    chosen = execution_settings().http
    assert [(entry.name, entry.port) for entry in chosen.allowed] == [("intranet.example", 8443)]
    assert (chosen.total_seconds, chosen.connect_seconds, chosen.response_bytes) == (5, 2, 10)
    assert (chosen.header_count, chosen.header_bytes, chosen.json_depth, chosen.connections) == (11, 12, 13, 14)


@pytest.mark.parametrize(
    ("configured", "ids"),
    [
        ({}, []),
        ({"HTTP_ALLOWED_HOSTS": ["a.example", "10.0.0.0/8"]}, []),
        ({"HTTP_ALLOWED_HOSTS": ["*", "http://a"]}, ["pastetrader.E010", "pastetrader.E010"]),
        ({"HTTP_ALLOWED_HOSTS": "a.example"}, ["pastetrader.E010"]),
        ({"HTTP_ALLOWED_HOSTS": None}, ["pastetrader.E010"]),
        ({"HTTP_ALLOWED_HOSTS": [1]}, ["pastetrader.E010"]),
        ({"HTTP_CA_FILE": "/nowhere.pem"}, ["pastetrader.E011"]),
        ({"HTTP_JSON_DEPTH": 201}, ["pastetrader.E006"]),
    ],
)
def test_settings_that_mean_nothing_are_told_by_the_checks(settings, configured, ids):
    settings.PASTETRADER = configured
    assert [found.id for found in check_http(None)] == ids
