"""Every tool times every actor: the same rule of permission as the API's, and the same audit."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connections

from executions_app.mcp import http
from executions_app.mcp.operations import OPERATIONS
from executions_app.models import querysets
from executions_app.services.start import StartRequest, start
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.models import ApiToken, AuditEntry, Workflow, WorkflowShare
from workflows_app.models.access import EVERYTHING
from workflows_app.models.token import Scope
from workflows_app.services.tokens import create_token, revoke

pytestmark = pytest.mark.django_db(transaction=True)

ROLES = ("viewer", "operator", "editor")
ACTORS = ("anonymous", "owner", "superuser", *ROLES, "stranger", *(f"token:{scope}" for scope in Scope))


@dataclass(frozen=True)
class Row:
    """What a tool is called with, which scope a token needs for it, and who of those who see its object may not."""

    scope: str
    arguments: dict[str, Any]
    forbidden: tuple[str, ...] = ()

    @property
    def owned(self) -> bool:
        return bool(self.arguments.keys() & {"workflow", "execution"})


WORKFLOW = {"workflow": "WORKFLOW"}
EXECUTION = {"execution": "EXECUTION"}
TABLE = {
    "list_workflows": Row("read", {}),
    "get_workflow": Row("read", WORKFLOW),
    "validate_workflow": Row("read", {"document": jsontext.dumps(document("t>a"))}),
    "create_workflow": Row("write", {"document": jsontext.dumps(document("t>a", name="NAME"))}),
    "run_workflow": Row("run", WORKFLOW, ("viewer",)),
    "get_execution": Row("read", EXECUTION),
    "watch_execution": Row("read", {**EXECUTION, "seconds": 0}),
    "cancel_execution": Row("run", EXECUTION, ("viewer",)),
    "rerun_execution": Row("run", EXECUTION, ("viewer",)),
    "list_executions": Row("read", {}),
    "list_tools": Row("read", {}),
}


class World:
    """A workflow that is shared in every role, and a token for every actor."""

    def __init__(self, owner: Any) -> None:
        users = get_user_model().objects
        self.owner = owner
        self.made = 0
        self.tokens: dict[str, str | None] = {"anonymous": None, "owner": create_token(owner.username)}
        users.create_superuser("root")
        self.tokens["superuser"] = create_token("root")
        for role in (*ROLES, "stranger"):
            user = users.create_user(role)
            user.groups.add(Group.objects.create(name=role))
            self.tokens[role] = create_token(role)
        for scope in Scope:
            self.tokens[f"token:{scope}"] = create_token(owner.username, scopes=[scope])

    def share(self, workflow: Workflow) -> Workflow:
        for role in ROLES:
            WorkflowShare.objects.create(workflow=workflow, group=Group.objects.get(name=role), role=role)
        self.workflow = workflow
        return workflow

    async def call(self, actor: str, tool: str, **more: Any) -> str:
        """The code of the refusal, or "ok"."""
        return code_of(*await post(self.tokens[actor], tool, {**self.arguments(tool), **more}))

    def arguments(self, tool: str) -> dict[str, Any]:
        self.made += 1
        text = jsontext.dumps(TABLE[tool].arguments).replace("NAME", f"new-{self.made}")
        return json.loads(text.replace("WORKFLOW", str(self.workflow.pk)).replace("EXECUTION", str(self.execution)))

    def renew_execution(self, *, ended: bool) -> None:
        """What one actor cancelled another one cannot cancel."""
        execution = start(StartRequest(target=self.workflow, input={})).execution
        if ended:
            querysets.request_cancel(execution.pk)
        self.execution: uuid.UUID = execution.pk


async def post(
    token: str | None,
    tool: str,
    arguments: dict[str, Any],
    *,
    leaves: asyncio.Event | None = None,
    told: asyncio.Event | None = None,
) -> tuple[int, bytes]:
    """The status and the body of a call, through the application that a server has for it.

    The client waits for the end, or leaves when it is told to; `told` is set when it is told how far it is.
    """
    params = {"name": tool, "arguments": arguments, **({} if told is None else {"_meta": {"progressToken": 1}})}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    sent = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "client": ("192.0.2.7", 4711),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    incoming = [{"type": "http.request", "body": jsontext.dumps(call).encode(), "more_body": False}]
    outgoing: list[Any] = []

    async def receive() -> Any:
        if incoming:
            return incoming.pop()
        await (asyncio.Future() if leaves is None else leaves.wait())
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        outgoing.append(message)
        if told is not None and b"notifications/progress" in message.get("body", b""):
            told.set()

    await http.serve(scope, receive, send)
    return outgoing[0]["status"], b"".join(message.get("body", b"") for message in outgoing[1:])


def result_in(body: bytes) -> Any:
    """Of an answer, or of the last message of a stream."""
    lines = [line.removeprefix("data: ") for line in body.decode().split("\r\n")]
    return json.loads(next(line for line in reversed(lines) if line.startswith("{")))["result"]


def code_of(status: int, body: bytes) -> str:
    if status != 200:
        return str(jsontext.loads(body)["code"])
    result = result_in(body)
    return json.loads(result["content"][0]["text"])["code"] if result["isError"] else "ok"


def expected(row: Row, actor: str) -> str:
    if actor == "anonymous":
        return "unauthenticated"
    if actor.startswith("token:"):
        return "ok" if actor == f"token:{row.scope}" else "insufficient_scope"
    if actor == "stranger" and row.owned:
        return "not_found"
    return "forbidden" if actor in row.forbidden else "ok"


@pytest.fixture(autouse=True)
async def _no_connection_is_left():
    """The thread in which tests ask the database keeps none: one could not be removed."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def world(owner, import_document):
    world = World(owner)
    world.share(import_document(document("t>a", name="shared")))
    return world


async def deviations(world: World, tool: str) -> list[tuple[str, str]]:
    found = []
    for actor in ACTORS:
        await sync_to_async(world.renew_execution)(ended=tool == "rerun_execution")
        code = await world.call(actor, tool)
        if code != expected(TABLE[tool], actor):
            found.append((actor, code))
    return found


def test_every_tool_has_a_row():
    assert TABLE.keys() == OPERATIONS.keys()
    assert {name: row.scope for name, row in TABLE.items()} == {
        name: str(operation.scope) for name, operation in OPERATIONS.items()
    }


@pytest.mark.parametrize("tool", TABLE)
async def test_the_answer_is_what_the_table_says(world, figure, tool):
    assert await deviations(world, tool) == []
    figure(f"tools x actors = {len(TABLE) * len(ACTORS)}, deviations 0: tools", counted_of=len(TABLE))


async def test_without_the_rule_of_permission_the_table_is_violated(world, monkeypatch):
    """The control."""
    monkeypatch.setattr(Workflow, "rights_of", lambda self, user: EVERYTHING)
    assert await deviations(world, "get_workflow") == [("stranger", "ok")]
    assert await deviations(world, "run_workflow") == [("viewer", "ok"), ("stranger", "ok")]


async def test_a_deed_is_written_down_with_its_user_and_address(world):
    await sync_to_async(world.renew_execution)(ended=False)
    assert await world.call("editor", "run_workflow") == "ok"
    entry = await AuditEntry.objects.order_by("-pk").afirst()
    assert (entry.verb, entry.actor_name, entry.address) == ("execution.started", "editor", "192.0.2.7")


async def test_a_token_that_asks_too_often_waits_whatever_it_asks(world, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "REQUESTS_PER_MINUTE": 2}
    await sync_to_async(world.renew_execution)(ended=False)
    codes = [await world.call("owner", "list_workflows") for _ in range(3)]
    assert codes == ["ok", "ok", "too_many_requests"]


async def test_who_guesses_tokens_is_kept_out(world, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "WRONG_CREDENTIALS_PER_MINUTE": 2}
    codes = [code_of(*await post(f"pt_guess_{number}", "list_workflows", {})) for number in range(3)]
    assert codes == ["unauthenticated", "unauthenticated", "too_many_wrong_credentials"]


@pytest.mark.parametrize("tool", TABLE)
async def test_an_argument_that_a_tool_does_not_have_is_refused_and_nothing_happens(world, tool):
    await sync_to_async(world.renew_execution)(ended=True)
    before = await sync_to_async(lambda: list(Workflow.objects.order_by("pk").values()))()
    for name in ("owner", "is_superuser", "status", "fence", "__class__"):
        assert await world.call("owner", tool, **{name: 1}) == "invalid_request"
    assert await sync_to_async(lambda: list(Workflow.objects.order_by("pk").values()))() == before


async def watched(world: World, **more: Any) -> dict[str, Any]:
    """What a watch of an execution that does not move gives; nothing runs here."""
    status, body = await post(world.tokens["owner"], "watch_execution", {"execution": str(world.execution), **more})
    assert status == 200
    return json.loads(result_in(body)["content"][0]["text"])


async def test_a_watch_without_time_tells_what_there_is(world):
    await sync_to_async(world.renew_execution)(ended=False)
    seen = await watched(world, seconds=0)
    assert (seen["has_ended"], seen["seq"], len(seen["journal"])) == (False, 1, 1)
    seen = await watched(world, seconds=0, after=1)
    assert (seen["has_ended"], seen["seq"], seen["journal"]) == (False, 1, [])


async def test_a_watch_ends_when_its_token_is_revoked(world):
    await sync_to_async(world.renew_execution)(ended=False)
    told = asyncio.Event()
    watching = {"execution": str(world.execution), "seconds": 50}
    watch = asyncio.create_task(post(world.tokens["owner"], "watch_execution", watching, told=told))
    await told.wait()
    tokens = ApiToken.objects.filter(user=world.owner)
    await sync_to_async(lambda: [revoke(token, world.owner) for token in tokens])()
    assert code_of(*await watch) == "unauthenticated"


async def test_a_user_has_so_many_watches_and_others_have_their_own(world, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "SOCKETS_PER_USER": 1}
    await sync_to_async(world.renew_execution)(ended=False)
    two = {asyncio.create_task(watched(world, seconds=30)) for _ in range(2)}
    # Nothing runs here: the one that ends was refused.
    (refused,), (other,) = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
    assert refused.result()["code"] == "too_many_watches"
    assert await world.call("viewer", "watch_execution") == "ok"
    await sync_to_async(querysets.request_cancel)(world.execution)
    assert (await other)["has_ended"] is True
    assert await world.call("owner", "watch_execution") == "ok"


async def test_an_error_of_ours_is_told_by_its_id_alone(world, monkeypatch, caplog):
    def broken(_user: Any) -> Any:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("executions_app.mcp.workflows.tools_json", broken)
    status, body = await post(world.tokens["owner"], "list_tools", {})
    assert (status, code_of(status, body)) == (200, "internal_error")
    assert b"hunter2" not in body
    assert "hunter2" in caplog.text


async def test_a_watch_ends_when_nobody_is_there_any_more(world, settings):
    settings.PASTETRADER = {**settings.PASTETRADER, "SOCKETS_PER_USER": 1}
    await sync_to_async(world.renew_execution)(ended=False)
    leaves = asyncio.Event()
    watching = {"execution": str(world.execution), "seconds": 300}
    two = {
        asyncio.create_task(post(world.tokens["owner"], "watch_execution", watching, leaves=leaves)) for _ in range(2)
    }
    (refused,), (other,) = await asyncio.wait(two, return_when=asyncio.FIRST_COMPLETED)
    assert code_of(*refused.result()) == "too_many_watches"
    leaves.set()
    await asyncio.wait({other})
    assert await world.call("owner", "watch_execution") == "ok"
