"""MCP servers that are addresses: one made with the package, and others that answer what they should not."""

import asyncio
import json as standard_json

import pytest

from tests import bare_mcp, mcp_server
from tests.http_server import json, plain, serving
from workflows_app.dag import jsontext
from workflows_app.tools.errors import NodeConfigurationError
from workflows_app.tools.mcp import sessions
from workflows_app.tools.mcp.errors import McpRefused, McpServerFailed, McpToolError

TOKEN = "tok-3n-0f-the-site"
AMOUNT = "1234567890123456789012345.6780"


@pytest.mark.parametrize("generation", ["auto", "legacy"])
@pytest.mark.parametrize("options", [{}, {"stateless_http": True}, {"json_response": True}], ids=str)
async def test_a_server_made_with_the_package_is_called_and_gets_the_token(
    site, call, monkeypatch, options, generation
):
    monkeypatch.setattr(sessions, "MODE", generation)
    monkeypatch.setenv("CRM_TOKEN", TOKEN)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with mcp_server.serving(mcp_server.server(), TOKEN, **options) as served:
        site(crm={"url": served.url, "token_env": "CRM_TOKEN"}, nobody={"url": served.url})
        assert await call({"number": 7}, tool="findCustomer", server="crm") == {"number": 7, "name": "Emmy"}
        assert await call({"name": "ada"}, tool="greet", server="crm") == {"text": "Hello, ada!"}
        with pytest.raises(McpToolError):
            await call({"number": 8}, tool="findCustomer", server="crm")
        sent = served.headers[0]
        assert (sent["authorization"], sent["user-agent"]) == (f"Bearer {TOKEN}", "PasteTrader")
        # The control: without the token it lets nobody in.
        with pytest.raises(McpRefused, match="answered 401: its token is missing") as refused:
            await call(server="nobody")
        assert not refused.value.outcome_unknown
        await closed()


async def closed():
    """The connections are closed before their server is."""
    await asyncio.gather(*(kept.close() for door in sessions.sessions()._idle.values() for kept, _ in door))


def answers(call_answer, *, tools=None):
    """A server that does the rest as it should; `call_answer` gives what comes for a call."""

    async def answer(request, connection):
        if request.method != "POST":
            connection.write(plain(405))
            return
        message = standard_json.loads(request.body)
        match message["method"]:
            case "initialize":
                info = {"name": "bare", "version": "1"}
                version = message["params"]["protocolVersion"]
                result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
            case "tools/list":
                result = {"tools": tools or [bare_mcp.TOOL]}
            case "tools/call":
                await call_answer(message["id"], request, connection)
                return
            case "server/discover":
                error = {"code": -32601, "message": "No."}
                connection.write(json(standard_json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error})))
                return
            case _:
                connection.write(plain(202))
                return
        connection.write(json(standard_json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})))

    return answer


def bytes_of(make):
    async def answer(number, request, connection):
        connection.write(make(number, request))

    return answer


def event(text, **headers):
    return plain(200, text.encode(), content_type="text/event-stream", **headers)


@pytest.mark.parametrize("how", ["json", "event", "event in two lines"])
async def test_numbers_keep_their_digits_in_both_directions(site, call, how):
    bodies = []

    def make(number, request):
        bodies.append(request.body)
        result = f'{{"content": [], "structuredContent": {{"n": {AMOUNT}}}}}'
        if how == "json":
            return json(f'{{"jsonrpc": "2.0", "id": {number}, "result": {result}}}')
        gap = "\r\ndata: " if how == "event in two lines" else ""
        return event(f': hello\r\ndata: {{"jsonrpc": "2.0", "id": {number},{gap} "result": {result}}}\r\n\r\n')

    async with serving(answers(bytes_of(make))) as server:
        site(bare={"url": server.url})
        assert jsontext.dumps(await call(jsontext.loads(f'{{"n": {AMOUNT}}}'))) == f'{{"n":{AMOUNT}}}'
        assert f'"arguments":{{"n":{AMOUNT}}}'.encode() in bodies[0]
        await closed()


RESULT = '{"jsonrpc": "2.0", "id": %d, "result": {"content": []}}'


@pytest.mark.parametrize(
    ("make", "kind", "told", "is_unknown"),
    [
        (lambda number, _: plain(500), McpServerFailed, "answered 500", True),
        (lambda number, _: plain(503, b"x" * 100), McpServerFailed, "answered 503", True),
        (lambda number, _: plain(429), McpServerFailed, "answered 429", False),
        (lambda number, _: plain(403), McpRefused, "answered 403", False),
        (lambda number, _: plain(302, location="http://127.0.0.1:9/elsewhere"), McpRefused, "answered 302", False),
        (lambda number, _: plain(307, location="/elsewhere"), McpRefused, "answered 307", False),
        (lambda number, _: plain(202), McpServerFailed, "sent no answer", True),
        (lambda number, _: json("{"), McpServerFailed, "sent a message that is no JSON", True),
        (lambda number, _: json('{"a": 1}'), McpServerFailed, "sent what is no message", True),
        (lambda number, _: plain(200, b"<html>", content_type="text/html"), McpServerFailed, "sent no answer", True),
        (lambda number, _: json(RESULT % number + " " * 70_000), McpServerFailed, "sent more than 65536 bytes", True),
        (lambda number, _: event(": hello\n\n" * 10_000), McpServerFailed, "sent more than 65536 bytes", True),
        (lambda number, _: event("data: {\n\n"), McpServerFailed, "sent a message that is no JSON", True),
        (lambda number, _: event(": bye\n\n"), McpServerFailed, "sent no answer", True),
        (
            lambda number, _: json(RESULT % number, content_encoding="gzip"),
            McpServerFailed,
            "compresses its answers",
            True,
        ),
        (
            lambda number, _: b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n12",
            McpServerFailed,
            "broke the connection",
            True,
        ),
        (lambda number, _: b"What?\r\n\r\n", McpServerFailed, "broke the connection", True),
    ],
)
async def test_a_server_that_does_not_keep_to_the_protocol_fails_its_call(site, call, make, kind, told, is_unknown):
    async def answer(number, request, connection):
        connection.write(make(number, request))
        if request.body and not make(number, request).startswith(b"HTTP/1.1 200 Answer"):
            connection.close()

    async with serving(answers(answer)) as server:
        site(bare={"url": server.url})
        async with asyncio.timeout(20):
            with pytest.raises(kind, match=told) as failed:
                await call()
        assert failed.value.outcome_unknown == is_unknown
        # Nothing is followed and nothing is sent again.
        calls = [request for request in server.requests if b"tools/call" in request.body]
        assert [request.target for request in calls] == ["/"]


async def test_a_server_that_hangs_is_let_go(site, call):
    async def answer(number, request, connection):
        pass

    async with serving(answers(answer)) as server:
        site(bare={"url": server.url})
        calling = asyncio.ensure_future(call())
        await server.until(lambda server: any(b"tools/call" in request.body for request in server.requests))
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await server.until(lambda server: server.ended == server.connections)


async def test_a_session_that_the_server_has_forgotten_is_opened_anew(site, call):
    calls = []

    def make(number, request):
        calls.append(number)
        return plain(404) if len(calls) == 2 else json(RESULT % number)

    async with serving(answers(bytes_of(make))) as server:
        site(bare={"url": server.url})
        assert [await call(), await call()] == [{"text": ""}] * 2
        assert len(calls) == 3
        await closed()


async def test_a_server_that_asks_to_wait_is_given_the_time(site, call):
    async with serving(answers(bytes_of(lambda number, _: plain(429, retry_after="30")))) as server:
        site(bare={"url": server.url})
        with pytest.raises(McpServerFailed, match="answered 429") as failed:
            await call()
        assert failed.value.retry_after == 30


async def test_nobody_at_an_address_is_a_failure_of_which_nothing_is_unknown(site, call):
    async with serving(answers(bytes_of(lambda number, _: plain(500)))) as server:
        site(bare={"url": server.url})
    with pytest.raises(McpServerFailed, match="cannot be reached") as failed:
        await call()
    assert not failed.value.outcome_unknown


async def test_tokens_are_where_the_settings_say(site, call, monkeypatch):
    monkeypatch.delenv("CRM_TOKEN", raising=False)
    site(variable={"url": "http://127.0.0.1:9", "token_env": "CRM_TOKEN"}, none={"url": "http://127.0.0.1:9"})
    with pytest.raises(NodeConfigurationError, match="CRM_TOKEN, which is not in the environment"):
        await call(server="variable")
    with pytest.raises(NodeConfigurationError, match="takes no secret as its token"):
        await call(server="none", token=TOKEN)
    site(secret={"url": "http://127.0.0.1:9", "token_secret": "CRM"})
    with pytest.raises(NodeConfigurationError, match="takes the secret CRM as its token"):
        await call(server="secret")


async def test_a_token_that_a_server_sends_back_is_hidden(site, call, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("CRM_TOKEN", TOKEN)

    def make(number, request):
        said = standard_json.dumps({"type": "text", "text": request.headers["authorization"]})
        return json(f'{{"jsonrpc": "2.0", "id": {number}, "result": {{"content": [{said}]}}}}')

    async with serving(answers(bytes_of(make))) as server:
        site(bare={"url": server.url, "token_env": "CRM_TOKEN"})
        assert await call() == {"text": "Bearer ***"}
        await closed()
    assert TOKEN not in caplog.text
