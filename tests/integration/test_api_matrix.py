"""Every operation times every actor: the expected status of each, generated from the API's own description.

An operation that is not in the table fails, and so does a row of an operation that no longer is.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client

from executions_app.models import querysets
from executions_app.services.start import StartRequest, start
from pastetrader.api import api
from tests.integration.api import ROOT, Program, program_of
from tests.integration.conftest import document
from workflows_app.models import Workflow, WorkflowShare
from workflows_app.models.access import EVERYTHING
from workflows_app.models.token import Scope
from workflows_app.models.workflow import WorkflowManager
from workflows_app.services.agents import AgentRecipe
from workflows_app.services.agents import create as create_agent
from workflows_app.services.secrets import NewSecret, create_secret
from workflows_app.services.tools import Recipe
from workflows_app.services.tools import create as create_tool
from workflows_app.tools import tool

# Every cell is rolled back: the next one finds the same world.
pytestmark = pytest.mark.django_db

TOOL = {"name": "site.nothing", "kind": "test.nothing", "effect": "none"}
AGENT = {"name": "site.nothing", "provider": "scripted", "model": "default"}
NODE = {"key": "n", "type": "adapter", "output": 1}
ROLES = ("viewer", "operator", "editor")


@dataclass(frozen=True)
class Row:
    """What an operation is called with, which scope a token needs for it, and who may; others get 403 or 404."""

    success: int
    scope: str
    body: Any = None
    # Of those who see the workflow: who may not.
    forbidden: tuple[str, ...] = ()
    # Whether it is about an object that does not exist for strangers.
    owned: bool = True
    if_match: bool = False
    # Whether the body is an object whose fields are all known.
    is_strict: bool = True
    # Whether it is the owner's alone, whatever is shared.
    private: bool = False
    # Whether the execution must have ended before.
    ended: bool = False
    # Whether it takes a permission that superusers alone have here.
    privileged: bool = False


NO_EDITOR = ("viewer", "operator")
NO_OPERATOR = ("viewer",)
OWNER_ONLY = ROLES

TABLE: dict[str, Row] = {
    "GET /workflows": Row(200, "read", owned=False),
    "POST /workflows": Row(201, "write", document("t>a", name="mine"), owned=False),
    "POST /workflows/validate": Row(200, "read", document("t>a"), owned=False, is_strict=False),
    "GET /workflows/{workflow}": Row(200, "read"),
    "PUT /workflows/{workflow}": Row(200, "write", document("t>b"), NO_EDITOR, if_match=True),
    "PATCH /workflows/{workflow}": Row(200, "write", {"description": "x"}, NO_EDITOR, if_match=True),
    "DELETE /workflows/{workflow}": Row(204, "write", None, OWNER_ONLY, if_match=True),
    "GET /workflows/{workflow}/document": Row(200, "read"),
    "POST /workflows/{workflow}/duplicate": Row(201, "write", {"name": "twin"}),
    "GET /workflows/{workflow}/shares": Row(200, "read"),
    "PUT /workflows/{workflow}/shares": Row(200, "write", [], OWNER_ONLY, is_strict=False),
    "POST /workflows/{workflow}/validate": Row(200, "read"),
    "GET /workflows/{workflow}/nodes": Row(200, "read"),
    "POST /workflows/{workflow}/nodes": Row(201, "write", NODE, NO_EDITOR),
    "GET /workflows/{workflow}/nodes/{key}": Row(200, "read"),
    "PATCH /workflows/{workflow}/nodes/{key}": Row(200, "write", {"name": "x"}, NO_EDITOR, if_match=True),
    "DELETE /workflows/{workflow}/nodes/{key}": Row(200, "write", None, NO_EDITOR, if_match=True),
    "GET /workflows/{workflow}/edges": Row(200, "read"),
    "POST /workflows/{workflow}/edges": Row(201, "write", {"from": "t", "to": "b"}, NO_EDITOR),
    "PATCH /workflows/{workflow}/edges/{edge_id}": Row(200, "write", {"label": "x"}, NO_EDITOR, if_match=True),
    "DELETE /workflows/{workflow}/edges/{edge_id}": Row(200, "write", None, NO_EDITOR, if_match=True),
    "POST /workflows/{workflow}/execute": Row(202, "run", {"input": {"x": 1}}, NO_OPERATOR),
    "GET /workflows/{workflow}/executions": Row(200, "read"),
    "GET /workflows/{workflow}/statistics": Row(200, "read"),
    "GET /executions": Row(200, "read", owned=False),
    "GET /executions/{execution}": Row(200, "read"),
    "POST /executions/{execution}/cancel": Row(202, "run", None, NO_OPERATOR),
    "POST /executions/{execution}/rerun": Row(202, "run", {"from": "failed"}, NO_OPERATOR, ended=True),
    "GET /executions/{execution}/nodes": Row(200, "read"),
    "GET /executions/{execution}/nodes/{key}": Row(200, "read"),
    "GET /executions/{execution}/logs": Row(200, "read"),
    "GET /executions/{execution}/events": Row(200, "read"),
    "GET /tools": Row(200, "read", owned=False),
    "POST /tools": Row(201, "write", {"name": "site.other", "kind": "core.set"}, owned=False, privileged=True),
    "GET /tools/{name}": Row(200, "read", owned=False),
    "PUT /tools/{name}": Row(200, "write", TOOL, owned=False, if_match=True, privileged=True),
    "PATCH /tools/{name}": Row(200, "write", {"description": "x"}, owned=False, if_match=True, privileged=True),
    "DELETE /tools/{name}": Row(204, "write", owned=False, if_match=True, privileged=True),
    "POST /tools/{name}/test": Row(200, "run", {"inputs": {}}, owned=False),
    "GET /agents": Row(200, "read", owned=False),
    "POST /agents": Row(201, "write", {**AGENT, "name": "other"}, owned=False, privileged=True),
    "GET /agents/{name}": Row(200, "read", owned=False),
    "PATCH /agents/{name}": Row(200, "write", {"description": "x"}, owned=False, if_match=True, privileged=True),
    "DELETE /agents/{name}": Row(204, "write", owned=False, if_match=True, privileged=True),
    "GET /credentials": Row(200, "read", owned=False),
    "POST /credentials": Row(201, "write", {"name": "another", "value": "k3y-of-the-other"}, owned=False),
    "PUT /credentials/{credential}": Row(200, "write", {"value": "k3y-of-the-next"}, private=True),
    "DELETE /credentials/{credential}": Row(204, "write", private=True),
    "POST /tickets": Row(201, "read", owned=False),
}

ACTORS = ("anonymous", "owner", "superuser", *ROLES, "stranger", "session", *(f"token:{scope}" for scope in Scope))


def described() -> dict[str, dict[str, Any]]:
    """The operations of the API, as its description for programs has them."""
    paths = api.get_openapi_schema()["paths"]
    return {
        f"{method.upper()} {path.removeprefix(ROOT)}": operation
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def expected(row: Row, actor: str) -> int:
    if actor == "anonymous":
        return 401
    if row.privileged:
        return row.success if actor == "superuser" else 403
    if actor.startswith("token:"):
        return row.success if actor == f"token:{row.scope}" else 403
    if actor == "stranger" and row.owned:
        return 404
    if actor in ROLES and row.private:
        return 404
    return 403 if actor in row.forbidden else row.success


@pytest.fixture
def world(owner, tools):
    """A workflow that is shared in every role, an execution of it, and a program for every actor."""
    tool("test.nothing", effect="none")(nothing)
    users = get_user_model().objects
    workflow = create(owner)
    programs = {"anonymous": Program(), "owner": program_of(owner)}
    programs["superuser"] = program_of(users.create_superuser("root"))
    for role in ROLES:
        user, group = users.create_user(role), Group.objects.create(name=role)
        user.groups.add(group)
        WorkflowShare.objects.create(workflow=workflow, group=group, role=role)
        programs[role] = program_of(user)
    programs["stranger"] = program_of(users.create_user("stranger"))
    for scope in Scope:
        programs[f"token:{scope}"] = program_of(owner, [scope])
    browser = Client(enforce_csrf_checks=False)
    browser.force_login(owner)
    programs["session"] = Program(client=browser)
    # It has the tool's name.
    root = get_user_model().objects.get(username="root")
    assert create_agent(AgentRecipe(**AGENT), root).name == TOOL["name"]
    execution = start(StartRequest(target=workflow, input={})).execution
    names = {
        "workflow": str(workflow.pk),
        "workflow_id": str(workflow.pk),
        "execution": str(execution.pk),
        "key": "a",
        "edge_id": str(workflow.edges.order_by("order")[0].pk),
        "credential": create_secret(NewSecret(name="broker", value="k3y-of-the-broker"), owner).name,
        "name": create_tool(Recipe(**TOOL, configuration={}), root).name,
    }
    return programs, names


def nothing() -> None:
    """Does nothing."""


def create(owner: Any) -> Workflow:
    response = program_of(owner).post("/workflows", document("t>a", "a>b", name="shared"))
    return Workflow.objects.get(pk=response.data["id"])


def call(program: Program, operation: str, row: Row, names: dict[str, str], body: Any = None) -> Any:
    method, path = operation.split()
    headers = {"If_Match": 1} if row.if_match else {}
    return program.send(method, path.format(**names), row.body if body is None else body, **headers)


def unlisted(operations: Iterable[str]) -> set[str]:
    """Operations without a row, and rows without an operation."""
    return set(TABLE) ^ set(operations)


@contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_every_operation_has_a_row_and_every_row_an_operation():
    assert unlisted(described()) == set()


def test_an_operation_without_a_row_is_found_and_so_is_a_row_without_an_operation():
    assert unlisted([*TABLE, "DELETE /everything"]) == {"DELETE /everything"}
    assert unlisted(list(TABLE)[1:]) == {next(iter(TABLE))}


@pytest.mark.parametrize("operation", TABLE)
def test_the_status_is_what_the_table_says(world, figure, operation):
    programs, names = world
    row = TABLE[operation]
    for actor in ACTORS:
        with rolled_back():
            if row.ended:
                querysets.request_cancel(uuid.UUID(names["execution"]))
            assert (actor, call(programs[actor], operation, row, names).status_code) == (actor, expected(row, actor))
    figure(f"operations x actors = {len(TABLE) * len(ACTORS)}, deviations 0: operations", counted_of=len(TABLE))


def test_without_the_rule_of_permission_the_table_is_violated(world, monkeypatch):
    """The control: a harness that finds nothing with the guard off would find nothing at all."""
    programs, names = world
    monkeypatch.setattr(Workflow, "rights_of", lambda self, user: EVERYTHING)
    found = []
    for operation, row in TABLE.items():
        for actor in ACTORS:
            with rolled_back():
                if call(programs[actor], operation, row, names).status_code != expected(row, actor):
                    found.append(actor)
    assert len(found) >= 20
    assert {"stranger", "viewer", "operator", "editor"} <= set(found)
    assert "anonymous" not in found


def listed(program: Program) -> set[str]:
    return {item["id"] for path in ("/workflows", "/executions") for item in program.get(path).data["items"]}


def test_lists_have_what_may_be_read_alone(world, monkeypatch):
    programs, names = world
    ours = {names["workflow"], names["execution"]}
    assert ours <= listed(programs["viewer"])
    assert not ours & listed(programs["stranger"])
    # The control.
    monkeypatch.setattr(WorkflowManager, "visible_to", lambda self, user: self.all())
    assert ours <= listed(programs["stranger"])


@pytest.mark.parametrize("operation", [name for name, row in TABLE.items() if row.is_strict and row.body])
def test_a_field_that_a_body_does_not_have_is_refused_and_nothing_happens(world, operation):
    programs, names = world
    row = TABLE[operation]
    before = list(Workflow.objects.order_by("pk").values())
    for field_name in ("owner", "owner_id", "is_superuser", "status", "fence", "tenant", "__class__"):
        response = call(programs["owner"], operation, row, names, {**row.body, field_name: 1})
        assert (field_name, response.status_code) == (field_name, 422)
    assert list(Workflow.objects.order_by("pk").values()) == before


TRICKS = [
    "..%2f..%2fetc%2fpasswd", "%2e%2e", "..;", "%00", "a%00b", "%ff", "' OR 1=1 --", "%27", "x" * 5000,
    "%0d%0aX-A:%20b", "{id}", "%EF%BC%8E%EF%BC%8E", "\u202e", "null", "-1", "0", "1e9", "__proto__", "%25%32%65",
]  # fmt: skip


@pytest.mark.parametrize("operation", [name for name in TABLE if "{" in name])
def test_no_path_leads_to_anything_but_its_object(world, operation):
    programs, names = world
    row = TABLE[operation]
    for parameter in [part[1:-1] for part in operation.split()[1].split("/") if part.startswith("{")]:
        for trick in TRICKS:
            response = call(programs["owner"], operation, row, {**names, parameter: trick})
            assert response.status_code in (404, 405), (operation, parameter, trick)
            assert b"root:" not in response.content


def test_the_description_says_of_every_operation_how_to_be_let_in():
    for name, operation in described().items():
        assert operation["security"] == [{"TokenAuth": []}, {"BrowserAuth": []}], name
        assert operation["description"], name
