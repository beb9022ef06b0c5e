"""Workflows as tools of a model: the protocol's own client, on a process of its own and on a real server."""

import contextlib
import json
import re
import subprocess
import sys
from decimal import Decimal

import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from executions_app.mcp.operations import OPERATIONS
from tests import databases
from tests.acceptance.conftest import ROOT, Shell
from tests.server import serving

pytestmark = [pytest.mark.timeout(120), pytest.mark.one_database]

FEE = """name: %s
variables: {rate: 0.1}
nodes:
  - {key: start, type: trigger}
  - {key: fee, type: adapter, output: {fee: "${{ input.amount * vars.rate }}"}}
edges:
  - {from: start, to: fee}
"""
NAP = """name: %s
nodes:
  - {key: start, type: trigger}
  - {key: nap, type: tool, tool: core.sleep, inputs: {seconds: 600}}
edges:
  - {from: start, to: nap}
"""
AMOUNT = "1234567890123456789012345.678"
GUIDE = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_workflows", "arguments": {}}}
ACCEPTS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class Site:
    """A server with users, and their tokens."""

    def __init__(self, server, shell):
        self.server, self.shell = server, shell
        self.url = f"{server.url}/mcp"
        script = "from django.contrib.auth.models import User;" + "".join(
            f"User.objects.create_user({name!r});" for name in ("ada", "emmy")
        )
        assert shell("shell", "-v", "0", "-c", script).code == 0
        self.ada, self.emmy = self.token("ada"), self.token("emmy")
        self.reader = self.token("ada", "--scopes", "read")

    def token(self, user, *options):
        return self.shell("create_token", user, *options).out.strip()

    @contextlib.asynccontextmanager
    async def client(self, token, mode="auto"):
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode) as client,
        ):
            yield client

    @contextlib.asynccontextmanager
    async def process(self, *options, log, token=None):
        """The command as a client of the protocol starts it."""
        environment = self.shell.environment | ({} if token is None else {"PASTETRADER_TOKEN": token})
        parameters = StdioServerParameters(
            command=sys.executable, args=["manage.py", "mcp_server", *options], env=environment, cwd=str(ROOT)
        )
        with log.open("w") as errors:
            async with Client(stdio_client(parameters, errlog=errors)) as client:
                yield client

    def post(self, content, token=None, **headers):
        sent = ACCEPTS | ({} if token is None else {"Authorization": f"Bearer {token}"}) | headers
        content = content if isinstance(content, str | bytes) else json.dumps(content)
        return httpx.post(self.url, content=content, headers=sent, timeout=30)

    def made(self, document):
        """The id of a new workflow of ada's."""
        answer = self.post(call("create_workflow", document=document), self.ada)
        return json.loads(message_in(answer.text))["result"]["structuredContent"]["id"]

    def create_over_api(self, document):
        headers = {"Authorization": f"Bearer {self.ada}", "Content-Type": "application/yaml"}
        return httpx.post(f"{self.server.api}/workflows", content=document, headers=headers)


@pytest.fixture(scope="module")
def site(migrated, tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("mcp")
    with databases.new(f"test_{worker_id}_mcp", folder, copy_of=migrated) as url:
        shell = Shell(folder, url)
        with serving(folder, shell.environment) as server:
            yield Site(server, shell)


def given(result):
    """What a call gave, with all its digits; the text for models and the structure for programs say the same."""
    assert not result.is_error, result.content[0].text
    assert json.loads(result.content[0].text) == result.structured_content
    return json.loads(result.content[0].text, parse_float=Decimal)


def refusal(result):
    assert result.is_error
    assert result.structured_content is None
    return json.loads(result.content[0].text)


async def a_whole_tour(client, name):
    """Everything that the tools do, in the order in which a model would call them."""
    checked = given(await client.call_tool("validate_workflow", {"document": FEE % name}))
    assert (checked["is_valid"], checked["topology"]["levels"]) == (True, [["start"], ["fee"]])
    created = given(await client.call_tool("create_workflow", {"document": FEE % name}))
    listed = given(await client.call_tool("list_workflows", {"search": name}))
    assert [row["id"] for row in listed["items"]] == [created["id"]]
    shown = given(await client.call_tool("get_workflow", {"workflow": created["id"]}))
    assert shown["document"]["variables"] == {"rate": Decimal("0.1")}
    order = {"workflow": created["id"], "input": {"amount": 7}, "wait": 30, "idempotency_key": "k", "labels": ["tour"]}
    ran = given(await client.call_tool("run_workflow", order))
    assert (ran["status"], ran["output"]["fee"]["fee"], ran["labels"]) == ("completed", Decimal("0.7"), ["tour"])
    assert given(await client.call_tool("run_workflow", order))["id"] == ran["id"]
    told = []

    async def tell(progress, _total, message):
        told.append((progress, message))

    again = given(await client.call_tool("rerun_execution", {"execution": ran["id"], "from": "start"}))
    assert again["rerun_of"] == ran["id"]
    watched = given(await client.call_tool("watch_execution", {"execution": again["id"]}, progress_callback=tell))
    assert (watched["has_ended"], watched["execution"]["status"]) == (True, "completed")
    assert [entry["seq"] for entry in watched["journal"]] == list(range(1, watched["seq"] + 1))
    assert told == [(entry["seq"], entry["message"]) for entry in watched["journal"]]
    looked = given(await client.call_tool("get_execution", {"execution": again["id"], "journal_after": 2}))
    assert [node["status"] for node in looked["nodes"]] == ["completed", "completed"]
    assert looked["journal"] == watched["journal"][2:]
    assert looked["node"] is None
    key = looked["nodes"][1]["key"]
    node = given(await client.call_tool("get_execution", {"execution": again["id"], "node": key}))["node"]
    assert (node["key"], node["attempts"][0]["calls"], node["usage"]) == (key, [], None)
    gone = refusal(await client.call_tool("get_execution", {"execution": again["id"], "node": "none"}))
    assert gone["code"] == "not_found"
    found = given(await client.call_tool("list_executions", {"workflow": created["id"], "status": ["completed"]}))
    assert [row["id"] for row in found["items"]] == [again["id"], ran["id"]]
    tools = given(await client.call_tool("list_tools", {}))
    assert "market.rsi" in {tool["name"] for tool in tools["items"]}
    await a_run_is_cancelled(client, f"{name}-nap")


async def a_run_is_cancelled(client, name):
    nap = given(await client.call_tool("create_workflow", {"document": NAP % name}))
    running = given(await client.call_tool("run_workflow", {"workflow": nap["id"]}))["id"]
    early = given(await client.call_tool("watch_execution", {"execution": running, "seconds": 0.1}))
    assert early["has_ended"] is False
    given(await client.call_tool("cancel_execution", {"execution": running}))
    late = given(await client.call_tool("watch_execution", {"execution": running, "after": early["seq"]}))
    assert (late["has_ended"], late["execution"]["status"]) == (True, "cancelled")
    # Watching again goes on where it stopped, without a gap.
    assert late["journal"][0]["seq"] == early["seq"] + 1
    refused = refusal(await client.call_tool("rerun_execution", {"execution": running, "from": "nowhere"}))
    assert (refused["status"], refused["code"], refused["errors"][0]["field"]) == (422, "invalid_request", "from")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_makes_runs_watches_and_cancels_workflows_over_http(site, mode):
    async with site.client(site.ada, mode) as client:
        await a_whole_tour(client, f"http-{mode}")


async def test_a_client_makes_runs_watches_and_cancels_workflows_over_a_process_of_its_own(site, tmp_path):
    async with site.process("--user", "ada", log=tmp_path / "log") as client:
        await a_whole_tour(client, "stdio")
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("transport", ["http", "http-legacy", "stdio"])
async def test_no_digit_is_lost_on_the_way_in_and_out(site, tmp_path, transport):
    """With messages as they are on the wire: the client's own package reads numbers as floats, too."""
    workflow = site.made(FEE % f"digits-{transport}")
    order = json.dumps(call("run_workflow", workflow=workflow, wait=30, input={"amount": 0}))
    order = order.replace('"amount": 0', f'"amount": {AMOUNT}')
    if transport == "stdio":
        answer = wire(site, [order], "--user", "ada")[0]
    elif transport == "http":
        answer = site.post(modern(order), site.ada, **MODERN | {"Mcp-Method": "tools/call", "Mcp-Name": "run_workflow"})
        answer = message_in(answer.text)
    else:
        answer = message_in(site.post(order, site.ada).text)
    result = json.loads(answer, parse_float=str)["result"]
    for shown in (result["structuredContent"], json.loads(result["content"][0]["text"], parse_float=str)):
        assert shown["input"]["amount"] == AMOUNT
        assert shown["output"]["fee"]["fee"] == "123456789012345678901234.5678"


def call(name, **arguments):
    return {**CALL, "params": {"name": name, "arguments": arguments}}


MODERN = {"MCP-Protocol-Version": "2026-07-28"}


def modern(text):
    """A message of the protocol's newest version, in which each says by itself what others agree on at the start."""
    meta = (
        '"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", '
        '"io.modelcontextprotocol/clientCapabilities": {}}, "name"'
    )
    return text.replace('"name"', meta, 1)


def message_in(body):
    """The last message of an answer, which is one or a stream of them."""
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith(("data: {", "{"))]
    return lines[-1]


def wire(site, lines, *options, token=None):
    """What the process answers to lines, after the handshake."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    opening = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
    environment = site.shell.environment | ({} if token is None else {"PASTETRADER_TOKEN": token})
    process = subprocess.Popen(
        site.shell.command("mcp_server", *options),
        env=environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    answers = []
    with process:
        for line in (opening, *lines):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answers.append(process.stdout.readline())
        process.stdin.close()
        # What was printed is what was asked for, and nothing besides.
        assert process.stdout.read() == ""
    assert process.returncode == 0
    return answers[1:]


@pytest.mark.parametrize("transport", ["auto", "legacy", "stdio"])
async def test_a_large_result_arrives_whole_whatever_is_in_it(site, tmp_path, transport):
    workflow = site.made(FEE % f"large-{transport}")
    hostile = '{"jsontext":"x"}\r\n\r\ndata: {\u2028\u0085"\\' + '\\"é\N{SNAKE}' * 40_000
    order = {"workflow": workflow, "input": {"amount": 1, "text": hostile, "jsontext": {"jsontext": "y"}}, "wait": 30}
    options = ("--user", "ada", "--no-engine")
    connected = (
        site.process(*options, log=tmp_path / "log") if transport == "stdio" else site.client(site.ada, transport)
    )
    async with connected as client:
        ran = given(await client.call_tool("run_workflow", order))
    assert (ran["status"], ran["input"]) == ("completed", order["input"])


@pytest.mark.parametrize("over", ["http", "stdio"])
async def test_a_token_that_may_only_read_is_refused_all_else(site, tmp_path, over):
    workflow = site.made(FEE % f"scopes-{over}")
    connected = site.client(site.reader) if over == "http" else site.process(log=tmp_path / "log", token=site.reader)
    async with connected as client:
        assert given(await client.call_tool("get_workflow", {"workflow": workflow}))["id"] == workflow
        for name, arguments in (
            ("create_workflow", {"document": FEE % "other"}),
            ("run_workflow", {"workflow": workflow}),
            ("cancel_execution", {"execution": workflow}),
            ("rerun_execution", {"execution": workflow}),
        ):
            refused = refusal(await client.call_tool(name, arguments))
            assert (refused["status"], refused["code"]) == (403, "insufficient_scope"), name


async def test_the_workflow_and_the_runs_of_another_user_do_not_exist(site):
    async with site.client(site.ada) as ada, site.client(site.emmy) as emmy:
        workflow = given(await ada.call_tool("create_workflow", {"document": FEE % "private"}))["id"]
        execution = given(
            await ada.call_tool("run_workflow", {"workflow": workflow, "input": {"amount": 1}, "wait": 30})
        )["id"]
        for name in ("get_workflow", "run_workflow"):
            assert refusal(await emmy.call_tool(name, {"workflow": workflow}))["code"] == "not_found", name
        for name in ("get_execution", "watch_execution", "cancel_execution", "rerun_execution"):
            refused = refusal(await emmy.call_tool(name, {"execution": execution}))
            assert (refused["status"], refused["code"]) == (404, "not_found"), name
        for name in ("list_workflows", "list_executions"):
            assert given(await emmy.call_tool(name, {}))["items"] == []


async def test_a_refusal_says_what_the_api_says(site):
    bad = {"document": FEE.replace("from: start", "from: nobody") % "bad"}
    async with site.client(site.ada) as client:
        refused = refusal(await client.call_tool("create_workflow", bad))
        assert given(await client.call_tool("validate_workflow", bad))["errors"] == refused["errors"]
        garbage = given(await client.call_tool("validate_workflow", {"document": "{"}))
        assert garbage["is_valid"] is False
        unfit = refusal(await client.call_tool("run_workflow", {"workflow": "x", "wait": 61, "force": True}))
        with pytest.raises(MCPError, match="no such tool"):
            await client.call_tool("drop_everything", {})
    assert refused == site.create_over_api(bad["document"]).json()
    assert {error["field"] for error in unfit["errors"]} == {"wait", "force"}


def test_who_has_no_good_token_is_told_so_before_anything_is_read(site):
    for headers in ({}, {"Authorization": "Bearer pt_no_such"}, {"Authorization": "Basic YTph"}):
        answer = site.post("{", **headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert site.post(CALL, site.ada).status_code == 200


def test_a_page_of_another_site_is_refused_even_with_a_token(site):
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "file://localhost", "http://[", ""):
        answer = site.post(CALL, site.ada, Origin=origin)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin"), origin
    for origin in (site.server.url, "http://localhost:6274"):
        assert site.post(CALL, site.ada, Origin=origin).status_code == 200, origin


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "NaN", '{"a": "\\u0000"}', b"\xff\xfe", '"\\ud800"'])
def test_a_body_that_is_no_json_is_refused(site, body):
    answer = site.post(body, site.ada)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "1",
        "{}",
        json.dumps([CALL, CALL]),
        json.dumps({**CALL, "params": {"name": "list_workflows", "arguments": []}}),
        json.dumps({**CALL, "params": 7}),
        json.dumps({**CALL, "method": "tools/explode"}),
    ],
)
def test_a_message_that_is_none_of_the_protocol_is_refused_and_does_no_harm(site, body):
    answer = site.post(body, site.ada)
    assert answer.status_code < 500
    assert "error" in json.loads(message_in(answer.text))
    assert "Traceback" not in site.server.log.read_text()


def test_a_body_is_no_longer_than_the_api_takes(site):
    many = call("list_workflows", search="a" * (1024 * 1024))
    refused = json.loads(message_in(site.post(many, site.ada).text))["result"]
    assert json.loads(refused["content"][0]["text"])["code"] == "body_too_large"
    answer = site.post("a" * (16 * 1024 * 1024 + 1), site.ada)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    headers = {**ACCEPTS, "Authorization": f"Bearer {site.ada}"}
    answer = httpx.post(site.url, content=iter([b"{}"]), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (411, "length_required")
    answer = site.post(CALL, site.ada, **{"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_there_is_nothing_but_posted_calls(site):
    headers = {"Authorization": f"Bearer {site.ada}"}
    for method in ("GET", "DELETE", "PUT", "OPTIONS"):
        answer = httpx.request(method, site.url, headers=headers)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST"), method
    for path in ("/mcp/", "/mcp/x", "//mcp", "/MCP", "/mcp;x", "/mcp%2f"):
        assert httpx.post(f"{site.server.url}{path}", json=CALL, headers=headers).status_code == 404, path


def test_garbage_on_standard_input_is_answered_and_the_next_call_works(site):
    answers = [json.loads(line) for line in wire(site, ["{", "NaN", json.dumps(CALL)], "--user", "ada")]
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32700, -32700, None]
    assert answers[2]["result"]["isError"] is False


@pytest.mark.parametrize(
    ("options", "token", "sentence"),
    [
        ((), None, "Say for whom it acts"),
        (("--user", "ada"), "pt_x", "not with both"),
        (("--user", "nobody"), None, "nobody"),
        ((), "pt_x", "is no good"),
    ],
)
def test_the_command_says_for_whom_it_can_not_act(site, options, token, sentence):
    done = subprocess.run(
        site.shell.command("mcp_server", *options),
        env=site.shell.environment | ({} if token is None else {"PASTETRADER_TOKEN": token}),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_no_other_command_loads_the_protocol(site):
    script = (
        "import sys, pastetrader.asgi;"
        "sys.exit(bool({name.partition('.')[0] for name in sys.modules} & {'mcp', 'starlette'}))"
    )
    assert site.shell("shell", "-v", "0", "-c", script).code == 0


WITHOUT = "import sys; sys.modules['mcp'] = None;"


def test_without_its_package_there_is_nothing_at_the_address_and_the_command_says_what_to_install(site):
    script = f"{WITHOUT} import pastetrader.asgi; from executions_app import routing; sys.exit(bool(routing._mcp()))"
    assert site.shell("shell", "-v", "0", "-c", script).code == 0
    start = "from django.core.management import execute_from_command_line as run;"
    start += "run(['manage.py', 'mcp_server', '--user', 'ada'])"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + start],
        env=site.shell.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "uv sync --extra mcp" in done.stderr


def test_a_process_that_is_told_to_end_ends_in_order(site):
    process = subprocess.Popen(
        site.shell.command("mcp_server", "--user", "ada", "--no-engine"),
        env=site.shell.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        process.stdin.write("{}\n{\n")
        process.stdin.flush()
        assert "-32700" in process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


def documented():
    """The blocks of JSON of the guide."""
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", GUIDE, re.M | re.S)]


async def test_the_configuration_of_the_guide_starts_a_server(site, tmp_path):
    (here, with_token, elsewhere, problem) = documented()
    told = here["mcpServers"]["pastetrader"]["args"]
    async with site.process(*told[told.index("mcp_server") + 1 :], log=tmp_path / "log") as client:
        listed = await client.list_tools()
        assert refusal(await client.call_tool("get_execution", {"execution": "7"})) == problem
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", GUIDE, re.MULTILINE)
    assert rows == [row_of(tool) for tool in listed.tools]
    assert with_token["servers"]["pastetrader"]["args"] == told[:-2]
    assert list(with_token["servers"]["pastetrader"]["env"]) == ["PASTETRADER_TOKEN"]
    assert elsewhere["mcpServers"]["pastetrader"]["url"].endswith("/mcp")


def row_of(tool):
    """What the guide's table says of a tool; its scope is in the product's own table."""
    hints = tool.annotations
    kind = "reads" if hints.read_only_hint else "acts" if hints.destructive_hint else "adds"
    once = ", once" if hints.idempotent_hint and not hints.read_only_hint else ""
    names = ", ".join(f"`{name}`" for name in tool.input_schema.get("properties", {}))
    return (tool.name, str(OPERATIONS[tool.name].scope), names, kind + once)
