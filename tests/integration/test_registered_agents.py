"""Agents that are made on the site: named by nodes, kept as they were by what was accepted, managed over the API."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command

from executions_app.dispatch import runner
from executions_app.executor import WorkflowExecutor
from executions_app.models import NodeExecution
from executions_app.services.start import StartRequest, start
from tests.http_server import serving_in_thread
from tests.integration.api import program_of
from tests.integration.conftest import document, source_of
from tests.model_server import one_by_one, says, sent, wishes
from workflows_app.catalogue import Uses, uses_of
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.history import PRESENT, Version, content_of, document_from
from workflows_app.models import Agent, AuditEntry
from workflows_app.queries import validation_json
from workflows_app.services import agents as agent_services
from workflows_app.services.agents import AgentRecipe
from workflows_app.services.documents import Format, export
from workflows_app.services.errors import (
    AgentConflict,
    AgentNameTaken,
    AgentPermission,
    InvalidAgent,
    InvalidDefinition,
)
from workflows_app.services.publish import publish, publish_anonymous
from workflows_app.services.secrets import NewSecret, create_secret
from workflows_app.services.site import Edit, Shelf
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)

MOOD = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}}, "required": ["mood"]}


@pytest.fixture
def root():
    return get_user_model().objects.create_superuser("root")


def make(root: Any, **more: Any) -> Agent:
    fields: dict[str, Any] = {"name": "analyst", "provider": "scripted", "model": "default", "system": "You judge."}
    return agent_services.create(AgentRecipe(**{**fields, **more}), root)


def edit(row: Agent, user: Any, version: int | None = None) -> Edit[Agent]:
    return Edit(row=row, user=user, version=version)


def naming(**more: Any) -> dict[str, Any]:
    return document("t>n", n={"type": "agent", "agent": "analyst", **more})


def plan_of(workflow: Any) -> Plan:
    return Plan.from_json(publish(workflow).plan)


def problems(**more: Any) -> list[tuple[str, str]]:
    return [(one["code"], one["field"]) for one in told(naming(**more))]


def told(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = validation_json(source_of(body))
    return [*found["errors"], *found["warnings"]]


# What a node that names one runs as.


def test_a_node_runs_as_if_it_said_what_its_agent_says(root, import_document):
    make(root, output_schema=MOOD)
    workflow = import_document(naming(prompt="What of ${{ input.symbol }}?", inputs={"closes": [Decimal("1.50")]}))
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, {"symbol": "AAPL"}))
    assert result.node_results["n"].output_data == {"mood": "good"}
    record = NodeExecution.objects.get(execution=result.execution_id, key="n").input
    assert record["system"] == "You judge."
    assert record["prompt"].startswith("What of AAPL?\n\n")
    assert "1.50" in record["prompt"]


def test_the_model_is_told_what_the_agent_says_and_the_owner_pays(root, owner, import_document, settings):
    for user in (root, owner):
        _ = create_secret(NewSecret(name="MODEL_KEY", value=f"sk-of-{user.username}"), user)
    with serving_in_thread(one_by_one(says("Hold."))) as server:
        local = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key_secret": "MODEL_KEY"}
        settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDERS": {"local": local}}
        make(root, provider="local", model="small", system="You judge ${{ input.symbol }}.", limits={"max_requests": 1})
        workflow = import_document(naming(prompt="Well?"))
        assert plan_of(workflow).nodes[1].secrets == ("MODEL_KEY",)
        result = asyncio.run(WorkflowExecutor().execute(workflow.id, {"symbol": "AAPL"}))
        assert result.node_results["n"].output_data == {"text": "Hold."}
        (request,) = server.requests
        assert sent(request)["model"] == "small"
        assert "You judge AAPL." in jsontext.dumps(sent(request)["messages"])
        assert "sk-of-ada" in str(request.headers)


def test_the_plan_has_all_that_the_agent_gives_and_its_name(root, import_document):
    make(root, output_schema=MOOD, limits={"max_cost": Decimal("0.10")}, tools=["core.set"], allow_effects=True)
    node = plan_of(import_document(naming(prompt="x"))).nodes[1]
    assert (node.agent, node.provider, node.model, node.system) == ("analyst", "scripted", "default", "You judge.")
    assert (node.tools, node.allow_effects, node.output_schema) == (("core.set",), True, MOOD)
    assert str(node.limits["max_cost"]) == "0.10"
    assert (node.prompt, "prompt" in node.from_agent, "system" in node.from_agent) == ("x", False, True)


def test_a_node_may_state_an_output_schema_of_its_own(root, import_document):
    row, own = make(root, output_schema=MOOD), {"type": "object", "properties": {"sure": {"const": 1}}}
    workflow = import_document(naming(output_schema=own))
    first = publish(workflow)
    assert plan_of(workflow).nodes[1].output_schema == own
    # Then that of the agent is no reason for a snapshot.
    agent_services.change(edit(row, root), {"output_schema": None})
    assert publish(workflow) == first
    agent_services.change(edit(row, root), {"system": "Other."})
    assert publish(workflow) != first


# What definitions know of them.


def test_a_name_that_nobody_has_or_that_is_switched_off_is_a_problem_where_it_stands(root):
    assert problems() == [("INVALID_CONFIG", "agent")]
    row = make(root)
    assert problems(prompt="x", inputs={"a": 1}, retry={"max_retries": 1}, timeout_seconds=5) == []
    agent_services.change(edit(row, root), {"is_active": False})
    (problem,) = told(naming())
    assert (problem["code"], problem["field"]) == ("INVALID_CONFIG", "agent")
    assert "is switched off" in problem["message"]


def test_a_name_that_is_almost_right_is_found_among_those_that_are_switched_on(root):
    row = make(root, name="analysts")
    assert "Did you mean 'analysts'?" in told(naming())[0]["message"]
    agent_services.change(edit(row, root), {"is_active": False})
    assert "analysts" not in told(naming())[0]["message"]


@pytest.mark.parametrize(
    "more",
    [
        {"provider": "p"},
        {"model": "m"},
        {"system": "s"},
        {"tools": ["core.set"]},
        {"limits": {}},
        {"allow_effects": True},
    ],
)
def test_what_describes_an_agent_does_not_stand_beside_its_name(root, more):
    make(root)
    (problem,) = told(naming(**more))
    assert (problem["code"], problem["field"]) == ("INVALID_CONFIG", "agent")
    assert f"'{next(iter(more))}' would describe another one" in problem["message"]


def test_what_a_later_node_reads_is_checked_against_the_schema_of_the_agent(root):
    make(root, output_schema={**MOOD, "additionalProperties": False})

    def reading(name: str) -> dict[str, Any]:
        read = {"type": "adapter", "output": f"${{{{ nodes.n.{name} }}}}"}
        return document("t>n", "n>r", n={"type": "agent", "agent": "analyst"}, r=read)

    (problem,) = told(reading("mod"))
    assert (problem["code"], "Did you mean 'mood'?" in problem["message"]) == ("SCHEMA_MISMATCH", True)
    assert told(reading("mood")) == []


def test_an_agent_whose_tool_is_there_no_more_is_a_problem_where_it_is_named(root, tools):
    make(root, tools=["core.set"])
    assert problems() == []
    with tools.scoped():
        tools._tools.pop("core.set")
        (problem,) = told(naming())
    assert (problem["code"], problem["field"]) == ("INVALID_CONFIG", "agent")
    assert "The agent 'analyst' cannot run. There is no tool with the name 'core.set'" in problem["message"]


def test_a_document_names_the_agent_and_says_nothing_more_of_it(root, import_document):
    make(root)
    workflow = import_document(naming(prompt="x"))
    for text in (export(workflow, Format.YAML), export(workflow, Format.JSON)):
        assert "analyst" in text
        assert "You judge" not in text


def test_a_version_shows_what_the_agent_gave_and_is_restored_with_its_name_alone(root, import_document):
    row = make(root, output_schema=MOOD)
    workflow = import_document(naming(prompt="x"))
    version = Version(key=str(publish(workflow).pk), number=1)
    agent_services.change(edit(row, root), {"system": "Other."})
    shown = content_of(workflow, version)["nodes"][1]
    assert (shown["agent"], shown["system"], "from_agent" in shown) == ("analyst", "You judge.", False)
    assert content_of(workflow, Version(key=PRESENT, number=1))["nodes"][1]["system"] == "Other."
    assert document_from(workflow, version)["nodes"][1] == naming(prompt="x")["nodes"][1]


def test_the_command_says_which_agent_is_not_there(root, tmp_path, capsys):
    path = tmp_path / "moods.json"
    path.write_text(jsontext.dumps(naming()), encoding="utf-8")
    with pytest.raises(SystemExit) as exited:
        call_command("validate_workflow", str(path))
    assert exited.value.code == 2
    assert "INVALID_CONFIG line 1, node n, agent: There is no agent with the name 'analyst'." in capsys.readouterr().out
    make(root)
    call_command("validate_workflow", str(path))
    # A file that belongs to no workflow names one as well.
    assert Plan.from_json(publish_anonymous(source_of(naming())).plan).nodes[1].system == "You judge."


# Snapshots.


def test_an_accepted_run_goes_on_with_the_agent_that_it_was_accepted_with(root, import_document):
    row, workflow = make(root), import_document(naming(prompt="x"))
    accepted = start(StartRequest(target=workflow, input={})).execution
    agent_services.change(edit(row, root), {"system": "Changed."})
    agent_services.delete(edit(row, root))
    assert asyncio.run(runner.run(accepted.pk))
    node = NodeExecution.objects.get(execution=accepted, key="n")
    assert (node.status, node.input["system"]) == ("completed", "You judge.")


def test_the_next_start_has_the_agent_as_it_is_then(root, import_document):
    row, workflow = make(root, limits={"max_cost": Decimal("1.0")}), import_document(naming())
    first = publish(workflow)
    assert publish(workflow) == first
    for fields in ({"system": "Other."}, {"limits": {"max_cost": Decimal("1.00")}}, {"output_schema": MOOD}):
        row = agent_services.change(edit(row, root), fields)
        before, first = first, publish(workflow)
        assert (fields, first == before, first.number) == (fields, False, 1)
    # What nobody runs by is no reason for a snapshot.
    agent_services.change(edit(row, root), {"description": "Another"})
    assert publish(workflow) == first


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_workflow_whose_agent_is_gone_or_switched_off_does_not_start(root, import_document, is_gone):
    row, workflow = make(root), import_document(naming())
    publish(workflow)
    if is_gone:
        agent_services.delete(edit(row, root))
    else:
        agent_services.change(edit(row, root), {"is_active": False})
    with pytest.raises(InvalidDefinition) as refused:
        start(StartRequest(target=workflow, input={}))
    assert [(problem.code, problem.field) for problem in refused.value.problems] == [("INVALID_CONFIG", "agent")]


def test_workflows_that_name_no_agent_ask_nothing_of_the_database(root, import_document, django_assert_num_queries):
    make(root)
    inline = {"type": "agent", "provider": "scripted", "model": "default"}
    plain, other = import_document(document("t>n", name="plain", n=inline)), import_document(naming())
    publish(plain)
    publish(other)
    with django_assert_num_queries(0):
        publish(plain)
    with django_assert_num_queries(1):
        publish(other)


# Who may do what.


def test_making_one_takes_the_permission_and_all_of_it_is_audited(root, owner):
    with pytest.raises(AgentPermission):
        make(owner)
    assert Agent.objects.count() == 0
    owner.user_permissions.set(Permission.objects.filter(codename__endswith="_agent"))
    allowed = get_user_model().objects.get(pk=owner.pk)
    row = make(allowed)
    with pytest.raises(AgentNameTaken):
        make(root)
    with pytest.raises(AgentConflict):
        agent_services.change(edit(row, allowed, version=2), {"description": "x"})
    agent_services.change(edit(row, allowed, version=1), {"description": "x", "is_active": True})
    agent_services.delete(edit(row, allowed, version=2))
    entries = AuditEntry.objects.order_by("id").values_list("actor_name", "verb", "data")
    assert list(entries) == [
        ("ada", "refused", {"to": "workflows_app.add_agent"}),
        ("ada", "agent.created", {"name": "analyst", "provider": "scripted", "model": "default"}),
        ("ada", "agent.changed", {"name": "analyst", "version": 2, "fields": ["description"]}),
        ("ada", "agent.deleted", {"name": "analyst", "version": 2}),
    ]


def test_without_the_check_of_the_permission_anybody_makes_agents(owner, monkeypatch):
    """The control."""
    monkeypatch.setattr(Shelf, "demand", lambda *_: None)
    assert make(owner).pk


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "Analyst"}, "name"),
        ({"name": "an analyst"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"name": ""}, "name"),
        ({"provider": "nobody"}, "provider"),
        ({"provider": ""}, "provider"),
        ({"model": ""}, "model"),
        ({"system": "${{ input.x"}, "system"),
        ({"system": "${{ execution.nothing }}"}, "system"),
        ({"system": "${{ vars.x }}"}, "system"),
        ({"system": "${{ nodes.a.b }}"}, "system"),
        ({"system": "${{ secrets.KEY }}"}, "system"),
        ({"system": "x" * 70_000}, "system"),
        ({"tools": ["core.sett"]}, "tools[0]"),
        ({"tools": "core.set"}, "tools"),
        ({"output_schema": {"type": 1}}, "output_schema"),
        ({"output_schema": True}, "output_schema"),
        ({"limits": {"max_tokens": 0}}, "limits.max_tokens"),
        ({"limits": {"tokens": 5}}, "limits.tokens"),
        ({"limits": []}, "limits"),
    ],
)
def test_what_cannot_be_an_agent_is_refused_at_its_field(root, fields, field):
    with pytest.raises(InvalidAgent) as refused:
        make(root, **fields)
    assert [mistake.field for mistake in refused.value.mistakes] == [field]
    assert Agent.objects.count() == 0


def test_all_that_is_wrong_is_told_at_once(root):
    with pytest.raises(InvalidAgent) as refused:
        make(root, name="A", provider="nobody", system="${{ vars.x }}", tools=["no.such"], limits={"max_retries": -1})
    fields = [mistake.field for mistake in refused.value.mistakes]
    assert sorted(fields) == ["limits.max_retries", "name", "provider", "system", "tools[0]"]


@pytest.mark.parametrize("system", ["Today is ${{ now() }}.", "You judge ${{ input.symbol }} in ${{ execution.id }}."])
def test_a_system_text_reads_what_every_run_has(root, system):
    assert make(root, system=system).pk


# The API.

BODY = {"name": "analyst", "provider": "scripted", "model": "default", "limits": {"max_cost": Decimal("0.10")}}


def test_an_agent_is_made_found_changed_and_deleted_over_the_api(root, owner):
    program, other = program_of(root), program_of(owner)
    made = program.post("/agents", BODY)
    assert (made.status_code, made["ETag"], made["Location"]) == (201, '"1"', "/api/v1/agents/analyst")
    assert program.get("/agents/analyst").data == made.data
    assert (made.data["owner"], str(made.data["limits"]["max_cost"]), made.data["tools"]) == ("root", "0.10", [])
    # Whoever may not change it sees all of it: the record of a run has it, too.
    assert other.get("/agents/analyst").data == made.data
    assert other.get("/agents").data == {"items": [made.data], "next": None}

    assert program.patch("/agents/analyst", {"description": "x"}).status_code == 428
    assert program.patch("/agents/analyst", {"description": "x"}, If_Match=7).data["code"] == "version_conflict"
    off = program.patch("/agents/analyst", {"is_active": False, "system": "You judge."}, If_Match=1)
    assert (off.status_code, off["ETag"], off.data["is_active"], off.data["model"]) == (200, '"2"', False, "default")
    assert other.get("/agents/analyst").status_code == 404
    assert other.get("/agents").data["items"] == []
    assert program.delete("/agents/analyst", If_Match=1).status_code == 409
    assert program.delete("/agents/analyst", If_Match=2).status_code == 204
    assert program.get("/agents/analyst").status_code == 404


def test_agents_are_listed_in_pages(root):
    for name in ("c", "a", "b"):
        make(root, name=name)
    program = program_of(root)
    first = program.get("/agents?limit=2").data
    rest = program.get(f"/agents?limit=2&cursor={first['next']}").data
    assert [[item["name"] for item in page["items"]] for page in (first, rest)] == [["a", "b"], ["c"]]
    assert rest["next"] is None


def test_what_is_wrong_with_an_agent_is_said_by_the_api_field_by_field(root):
    program = program_of(root)
    refused = program.post("/agents", {**BODY, "provider": "nobody", "limits": {"max_retries": -1}})
    assert (refused.status_code, refused.data["code"]) == (422, "invalid_agent")
    assert [error["field"] for error in refused.data["errors"]] == ["provider", "limits.max_retries"]
    assert program.post("/agents", BODY).status_code == 201
    assert program.post("/agents", BODY).data["code"] == "name_taken"
    for name in ("no.such", "Analyst", "%00"):
        assert (name, program.get(f"/agents/{name}").status_code) == (name, 404)


# Who uses it.


def test_the_workflows_that_name_an_agent_are_found(root, owner, import_document):
    row = make(root)
    _ = make(root, name="analysts")
    mine = import_document({**naming(), "name": "mine"})
    _ = import_document({**naming(agent="analysts"), "name": "other"})
    # The same text somewhere else in a node.
    _ = import_document({**naming(agent="analysts", inputs={"agent": "analyst"}), "name": "another"})
    assert uses_of(row, owner) == Uses(workflows=[mine], others=0)
    assert uses_of(row, root) == Uses(workflows=[mine], others=0)
    stranger = get_user_model().objects.create_user("eve")
    assert uses_of(row, stranger) == Uses(workflows=[], others=1)


# Their tools.


@pytest.fixture
def pay(tools):
    @tool("test.pay", effect="at_most_once")
    def pay(amount: int) -> str:
        """Pays."""
        return f"paid {amount}"


def test_a_node_has_the_effect_that_the_tools_of_its_agent_have(pay, root, import_document):
    make(root, tools=["core.set", "test.pay"], allow_effects=True)
    node = plan_of(import_document(naming())).nodes[1]
    assert ([tool.name for tool in node.offered], node.effect) == (["core.set", "test.pay"], "at_most_once")
    assert problems(effect="none") == [("INVALID_CONFIG", "effect")]
    assert problems(retry={"max_retries": 1}) == [("RETRY_OF_AT_MOST_ONCE", "retry.max_retries")]


def test_an_agent_may_not_have_tools_with_an_effect_unless_it_says_so(pay, root):
    with pytest.raises(InvalidAgent) as refused:
        make(root, tools=["test.pay"])
    assert [mistake.field for mistake in refused.value.mistakes] == ["tools[0]"]


def test_the_model_calls_the_tools_of_its_agent(pay, root, import_document, settings):
    with serving_in_thread(one_by_one(wishes(("test_pay", '{"amount": 3}')), says("Done."))) as server:
        local = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key_env": ""}
        settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDERS": {"local": local}}
        make(root, provider="local", model="small", tools=["test.pay"], allow_effects=True)
        result = asyncio.run(WorkflowExecutor().execute(import_document(naming(prompt="Pay 3.")).id, {}))
        assert result.node_results["n"].output_data == {"text": "Done."}
        assert "paid 3" in jsontext.dumps(sent(server.requests[1])["messages"])
