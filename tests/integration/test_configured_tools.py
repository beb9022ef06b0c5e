"""Tools that are made on the site: used by nodes, kept as they were by what was accepted, managed over the API."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import AsyncClient

from executions_app.dispatch import runner
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeExecution
from executions_app.services.start import StartRequest, start
from tests.integration.api import program_of
from tests.integration.conftest import document, source_of
from workflows_app.dag import jsontext
from workflows_app.dag.plan import Plan
from workflows_app.models import AuditEntry, ConfiguredTool, WorkflowVersion
from workflows_app.queries import validation_json
from workflows_app.services import tools as tool_services
from workflows_app.services.errors import InvalidDefinition, InvalidTool, ToolConflict, ToolNameTaken, ToolPermission
from workflows_app.services.publish import publish
from workflows_app.services.secrets import NewSecret, create_secret
from workflows_app.services.site import Edit, Shelf
from workflows_app.services.tools import Recipe
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.masking import Mask

pytestmark = pytest.mark.django_db(transaction=True)

AMOUNT = Decimal("1234567890123456789012345.6780")


@pytest.fixture
def root():
    return get_user_model().objects.create_superuser("root")


@pytest.fixture
def order(tools):
    """A registered tool that returns what it was called with."""

    @tool("test.order", effect="at_most_once", effects=("idempotent",))
    async def order(
        context: ToolContext, account: str, amount: Decimal, side: str = "buy", note: str = ""
    ) -> dict[str, Any]:
        context.log("ordered")
        return {"account": account, "amount": amount, "side": side, "note": note}


def make(root: Any, **more: Any) -> ConfiguredTool:
    fields: dict[str, Any] = {
        "name": "site.order",
        "kind": "test.order",
        "configuration": {"account": "ac-${{ input.branch }}", "side": "sell"},
        "input_schema": None,
    }
    return tool_services.create(Recipe(**{**fields, **more}), root)


def edit(row: ConfiguredTool, user: Any, version: int | None = None) -> Edit[ConfiguredTool]:
    return Edit(row=row, user=user, version=version)


def calling(inputs: Any = None, **more: Any) -> dict[str, Any]:
    node = {"type": "tool", "tool": "site.order", **more}
    return document("t>n", n=node if inputs is None else {**node, "inputs": inputs})


def run(workflow: Any, **given: Any) -> Any:
    return asyncio.run(WorkflowExecutor().execute(workflow.id, given)).node_results["n"]


def error_of(workflow: Any, **given: Any) -> dict[str, Any]:
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, given))
    return NodeExecution.objects.get(execution=result.execution_id, key="n").error


# What a node's call comes to.


def test_the_kind_is_called_with_the_configuration_over_what_the_node_gives(order, root, import_document):
    make(root)
    node = run(import_document(calling({"branch": "9", "amount": AMOUNT, "note": "now"})))
    assert node.output_data == {"account": "ac-9", "amount": AMOUNT, "side": "sell", "note": "now"}
    assert str(node.output_data["amount"]) == str(AMOUNT)


def test_the_input_on_record_is_what_the_node_gave(order, root, import_document):
    make(root)
    workflow = import_document(calling({"branch": "9", "amount": 1}))
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, {}))
    assert NodeExecution.objects.get(execution=result.execution_id, key="n").input == {"branch": "9", "amount": 1}


def test_without_inputs_the_tool_picks_its_own_of_what_reaches_the_node(order, root, import_document):
    make(root)
    assert run(import_document(calling()), branch="3", amount=7, strange=1).output_data["account"] == "ac-3"


def test_inputs_are_checked_by_the_schema_before_anything_is_called(order, root, import_document):
    schema = {"properties": {"branch": {"type": "string"}, "amount": {"type": "number", "minimum": 1}}}
    make(root, input_schema={**schema, "required": ["branch"], "additionalProperties": False})
    workflow = import_document(calling({"branch": "${{ input.branch }}", "amount": "${{ input.amount }}"}))
    error = error_of(workflow, branch=9, amount=0)
    assert error["code"] == "invalid_input"
    assert "At inputs.branch:" in error["message"]
    assert "At inputs.amount:" in error["message"]


def test_an_input_that_the_tool_does_not_have_is_refused(order, root, import_document):
    make(root)
    workflow = import_document(calling({"branch": "9", "amount": 1, "side": "buy"}))
    assert "side" in error_of(workflow)["message"]


def test_defaults_of_the_schema_are_what_the_configuration_sees(order, root, import_document):
    make(root, input_schema={"properties": {"branch": {"type": "string", "default": "1"}, "amount": {}}})
    assert run(import_document(calling({"amount": 5}))).output_data["account"] == "ac-1"


def test_the_output_is_checked_by_the_schema_of_the_tool_and_then_of_the_node(order, root, import_document):
    make(root, output_schema={"properties": {"amount": {"maximum": 10}}})
    workflow = import_document(calling({"branch": "9", "amount": "${{ input.x }}"}, output_schema={"maxProperties": 3}))
    of_tool, of_node = error_of(workflow, x=11), error_of(workflow, x=10)
    assert "the output schema of the tool 'site.order'" in of_tool["message"]
    assert "At output.amount:" in of_tool["message"]
    assert "its output_schema" in of_node["message"]


def test_a_configuration_sees_nothing_of_the_run(order, root, import_document):
    with pytest.raises(InvalidTool):
        make(root, configuration={"account": "${{ nodes.t.x }}"})
    # Not even where the check of it was not asked.
    row = make(root)
    row.configuration = {"account": "${{ execution.id }}"}
    row.save()
    error = error_of(import_document(calling({"amount": 1})))
    assert error["type"] == "ExpressionError"
    assert "execution" in error["message"]


def test_what_a_node_gives_is_rendered_once(order, root, import_document):
    """Text from outside that looks like an expression is text."""
    make(root)
    node = run(import_document(calling({"branch": "${{ input.x }}", "amount": 1})), x="${{ secrets.KEY }}")
    assert node.output_data["account"] == "ac-${{ secrets.KEY }}"


# What definitions know of them.


def problems(inputs: Any, **more: Any) -> list[tuple[str, str]]:
    found = validation_json(source_of(calling(inputs, **more)))
    return [(one["code"], one["field"]) for one in [*found["errors"], *found["warnings"]]]


def test_a_document_is_checked_against_the_schema_of_the_tool(order, root):
    assert problems({}) == [("UNKNOWN_TOOL", "tool")]
    row = make(root)
    assert problems({"branch": "1", "amount": 1}) == []
    assert problems({"amount": "much", "sid": 1}) == [
        ("SCHEMA_MISMATCH", "inputs.amount"),
        ("SCHEMA_MISMATCH", "inputs.sid"),
        ("SCHEMA_MISMATCH", "inputs.branch"),
    ]
    tool_services.change(edit(row, root), {"is_active": False})
    assert problems({"branch": "1", "amount": 1}) == [("INACTIVE_TOOL", "tool")]


def test_a_name_that_is_almost_right_is_found_also_among_tools_of_the_site(order, root):
    make(root, name="site.orders")
    (problem,) = validation_json(source_of(calling()))["errors"]
    assert "Did you mean 'site.orders'?" in problem["message"]


def test_a_node_may_state_what_the_kind_allows_unless_the_tool_has_decided(order, root, import_document):
    row = make(root)
    assert problems({"branch": "1", "amount": 1}, effect="idempotent") == []
    tool_services.change(edit(row, root), {"effect": "idempotent"})
    assert problems({"branch": "1", "amount": 1}, effect="idempotent") == [("INVALID_CONFIG", "effect")]
    plan = plan_of(import_document(calling({"branch": "1", "amount": 1})))
    assert plan.nodes[1].effect == "idempotent"


def test_a_tool_whose_kind_is_gone_is_told(order, root, tools):
    make(root)
    with tools.scoped():
        tools._tools.pop("test.order")
        (problem,) = validation_json(source_of(calling({"amount": 1})))["errors"]
        assert (problem["code"], "test.order" in problem["message"]) == ("UNKNOWN_TOOL", True)
        assert program_of(root).get("/tools/site.order").status_code == 200
        assert program_of(root).get("/tools").status_code == 200


def plan_of(workflow: Any) -> Plan:
    return Plan.from_json(publish(workflow).plan)


# Snapshots.


def test_an_accepted_run_goes_on_with_the_tool_that_it_was_accepted_with(order, root, import_document):
    row, workflow = make(root), import_document(calling({"branch": "1", "amount": 1}))
    accepted = start(StartRequest(target=workflow, input={})).execution
    tool_services.change(edit(row, root), {"configuration": {"account": "changed"}})
    tool_services.delete(edit(row, root))
    assert asyncio.run(runner.run(accepted.pk))
    node = NodeExecution.objects.get(execution=accepted, key="n")
    assert (node.status, node.output["account"]) == ("completed", "ac-1")


def test_the_next_start_has_the_tool_as_it_is_then(order, root, import_document):
    row, workflow = make(root), import_document(calling({"branch": "1", "amount": 1}))
    first = publish(workflow)
    assert publish(workflow) == first
    changed = tool_services.change(edit(row, root), {"configuration": {"account": "other-${{ input.branch }}"}})
    second = publish(workflow)
    assert second != first
    assert (first.number, second.number) == (1, 1)
    assert run(workflow).output_data["account"] == "other-1"
    # What nobody runs by is no reason for a snapshot.
    tool_services.change(edit(changed, root), {"description": "Another"})
    assert publish(workflow) == second


def test_the_digits_of_a_configuration_are_its_content(order, root, import_document):
    row = make(root, configuration={"account": "x", "amount": Decimal("1.0")})
    workflow = import_document(calling({}))
    first = publish(workflow)
    assert (
        tool_services.change(edit(row, root), {"configuration": {"account": "x", "amount": Decimal("1.0")}}).version
        == 1
    )
    tool_services.change(edit(row, root), {"configuration": {"account": "x", "amount": Decimal("1.00")}})
    assert publish(workflow) != first
    assert str(run(workflow).output_data["amount"]) == "1.00"


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_workflow_whose_tool_is_gone_or_switched_off_does_not_start(order, root, import_document, is_gone):
    row, workflow = make(root), import_document(calling({"branch": "1", "amount": 1}))
    publish(workflow)
    if is_gone:
        tool_services.delete(edit(row, root))
    else:
        tool_services.change(edit(row, root), {"is_active": False})
    with pytest.raises(InvalidDefinition) as refused:
        start(StartRequest(target=workflow, input={}))
    assert [problem.code for problem in refused.value.problems] == ["UNKNOWN_TOOL" if is_gone else "INACTIVE_TOOL"]


def test_workflows_without_such_tools_ask_nothing_of_the_database(
    order, root, import_document, django_assert_num_queries
):
    make(root)
    plain, other = (
        import_document(document("t>a", name="plain")),
        import_document(calling({"branch": "1", "amount": 1})),
    )
    publish(plain)
    publish(other)
    with django_assert_num_queries(0):
        publish(plain)
    with django_assert_num_queries(1):
        publish(other)


def test_the_versions_of_a_workflow_do_not_show_the_configuration(order, root, import_document, owner, client):
    make(root, configuration={"account": "not-for-everybody"})
    workflow = import_document(calling({"amount": 1}))
    version = publish(workflow)
    assert "not-for-everybody" in WorkflowVersion.objects.get(pk=version.pk).plan
    assert run(workflow).output_data["account"] == "not-for-everybody"
    client.force_login(root)
    for page in ("versions", "document", "change"):
        assert b"not-for-everybody" not in client.get(f"/admin/workflows_app/workflow/{workflow.pk}/{page}/").content
    restored = client.get(f"/admin/workflows_app/workflow/{workflow.pk}/versions/{version.pk}/")
    assert b"not-for-everybody" not in restored.content


# Who may do what.


def test_making_one_takes_the_permission_and_all_of_it_is_audited(order, root, owner):
    with pytest.raises(ToolPermission):
        make(owner)
    assert ConfiguredTool.objects.count() == 0
    owner.user_permissions.set(Permission.objects.filter(codename__endswith="_configuredtool"))
    allowed = get_user_model().objects.get(pk=owner.pk)
    row = make(allowed)
    with pytest.raises(ToolNameTaken):
        make(root)
    with pytest.raises(ToolConflict):
        tool_services.change(edit(row, allowed, version=2), {"description": "x"})
    tool_services.change(edit(row, allowed, version=1), {"description": "x", "is_active": True})
    tool_services.delete(edit(row, allowed, version=2))
    entries = AuditEntry.objects.order_by("id").values_list("actor_name", "verb", "data")
    assert list(entries) == [
        ("ada", "refused", {"to": "workflows_app.add_configuredtool"}),
        ("ada", "tool.created", {"name": "site.order", "kind": "test.order"}),
        ("ada", "tool.changed", {"name": "site.order", "version": 2, "fields": ["description"]}),
        ("ada", "tool.deleted", {"name": "site.order", "version": 2}),
    ]


def test_without_the_check_of_the_permission_anybody_makes_tools(order, owner, monkeypatch):
    """The control."""
    monkeypatch.setattr(Shelf, "demand", lambda *_: None)
    assert make(owner).pk


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "order"}, "name"),
        ({"name": "site.Order"}, "name"),
        ({"name": "os.system; rm"}, "name"),
        ({"name": "core.set"}, "name"),
        ({"name": "a." + "x" * 99}, "name"),
        ({"kind": "os.system"}, "kind"),
        ({"kind": "site.order"}, "kind"),
        ({"configuration": {"accounts": 1}}, "configuration.accounts"),
        ({"configuration": {"account": 1}}, "configuration.account"),
        ({"effect": "none"}, "effect"),
        ({"effect": "sometimes"}, "effect"),
        ({"configuration": []}, "configuration"),
        ({"input_schema": True}, "input_schema"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_at_its_field(order, root, fields, field):
    with pytest.raises(InvalidTool) as refused:
        make(root, **fields)
    assert [mistake.field for mistake in refused.value.mistakes] == [field]
    assert ConfiguredTool.objects.count() == 0


# The API.

BODY = {"name": "site.order", "kind": "test.order", "configuration": {"account": "x", "amount": AMOUNT}}


def test_a_tool_is_made_found_changed_and_deleted_over_the_api(order, root, owner):
    program, other = program_of(root), program_of(owner)
    made = program.post("/tools", BODY)
    assert (made.status_code, made["ETag"], made["Location"]) == (201, '"1"', "/api/v1/tools/site.order")
    shown = program.get("/tools/site.order")
    assert shown.data == made.data
    assert (shown.data["source"], shown.data["kind"], shown.data["version"]) == ("configured", "test.order", 1)
    assert str(shown.data["configuration"]["amount"]) == str(AMOUNT)
    assert "amount" not in shown.data["input_schema"]["properties"]
    # Whoever may not change it sees what it takes and gives.
    seen = other.get("/tools/site.order").data
    assert (seen["configuration"], seen["input_schema"]) == (None, shown.data["input_schema"])
    assert "site.order" in [item["name"] for item in other.get("/tools").data["items"]]
    assert other.get("/tools/core.set").data["source"] == "registered"

    assert program.patch("/tools/site.order", {"description": "x"}).status_code == 428
    assert program.patch("/tools/site.order", {"description": "x"}, If_Match=7).data["code"] == "version_conflict"
    off = program.patch("/tools/site.order", {"is_active": False}, If_Match=1)
    assert (off.status_code, off["ETag"], off.data["is_active"]) == (200, '"2"', False)
    assert other.get("/tools/site.order").status_code == 404
    assert "site.order" not in [item["name"] for item in other.get("/tools").data["items"]]
    replaced = program.put("/tools/site.order", {**BODY, "configuration": {}}, If_Match=2)
    assert (replaced.data["configuration"], replaced.data["is_active"], replaced.data["version"]) == ({}, True, 3)
    assert program.delete("/tools/site.order", If_Match=2).status_code == 409
    assert program.delete("/tools/site.order", If_Match=3).status_code == 204
    assert program.get("/tools/site.order").status_code == 404


def test_what_is_wrong_with_a_tool_is_said_by_the_api_field_by_field(order, root):
    program = program_of(root)
    refused = program.post("/tools", {**BODY, "configuration": {"acount": 1, "side": "${{ vars.x }}"}})
    assert (refused.status_code, refused.data["code"]) == (422, "invalid_tool")
    assert [error["field"] for error in refused.data["errors"]] == ["configuration.side"]
    assert program.post("/tools", {**BODY, "name": "core.set"}).data["errors"][0]["field"] == "name"
    assert program.post("/tools", BODY).status_code == 201
    assert program.post("/tools", BODY).data["code"] == "name_taken"
    for method in ("PUT", "DELETE"):
        answer = program.send(method, "/tools/core.set", BODY if method == "PUT" else None, If_Match=1)
        assert (answer.status_code, answer.data["code"]) == (409, "registered_tool")
    assert program.put("/tools/no.such", BODY, If_Match=1).status_code == 404


def trial(user: Any, name: str, inputs: Any) -> Any:
    async def send() -> Any:
        client = AsyncClient()
        await client.aforce_login(user)
        return await client.post(
            f"/api/v1/tools/{name}/test", jsontext.dumps({"inputs": inputs}), content_type="application/json"
        )

    return jsontext.loads(asyncio.run(send()).content)


def test_a_tool_of_the_site_is_tried_as_a_node_would_call_it(order, root, owner):
    make(root, output_schema={"properties": {"amount": {"maximum": 10**30}}})
    good = trial(owner, "site.order", {"branch": "9", "amount": AMOUNT, "note": "${{ secrets.KEY }}"})
    assert good["output"] == {"account": "ac-9", "amount": AMOUNT, "side": "sell", "note": "${{ secrets.KEY }}"}
    assert [line["message"] for line in good["logs"]] == ["ordered"]
    assert "At inputs.branch:" in trial(owner, "site.order", {"amount": 1})["error"]["message"]
    wrong = trial(owner, "site.order", {"branch": "9", "amount": 10**31})
    assert "the output schema of the tool" in wrong["error"]["message"]
    assert AuditEntry.objects.filter(verb="tool.tried", object_id="site.order", actor_name="ada").count() == 3


# Secrets.

SECRET = "S3CR3T-9d0f2a77-canary"


@pytest.fixture
def echoing(tools, root):
    """A tool of the site that hands a secret to what gives it back, and says it aloud."""

    @tool("test.echo", effect="none")
    async def echo(context: ToolContext, token: str, fails: bool = False) -> str:
        if SECRET in token:
            context.log(f"Got {token}", token=token)
        if fails:
            raise ValueError(f"Refused {token}")
        return f"said {token}"

    fields = {"kind": "test.echo", "configuration": {"token": "Bearer ${{ secrets.API_KEY }}"}}
    return make(root, name="site.echo", **fields)


def keep(user: Any) -> None:
    _ = create_secret(NewSecret(name="API_KEY", value=SECRET), user)


def test_a_configuration_has_the_secrets_of_the_owner_of_the_workflow_and_nothing_says_them(
    echoing, owner, import_document
):
    keep(owner)
    workflow = import_document(document("t>n", n={"type": "tool", "tool": "site.echo", "inputs": {"fails": False}}))
    assert plan_of(workflow).nodes[1].secrets == ("API_KEY",)
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, {}))
    assert result.node_results["n"].output_data == "said Bearer ***"
    lines = ExecutionLog.objects.filter(execution=result.execution_id, event="log").values_list("message", "data")
    # It had the secret, or it would have said nothing.
    assert list(lines) == [("Got Bearer ***", {"token": "Bearer ***"})]
    assert NodeExecution.objects.get(execution=result.execution_id, key="n").input == {"fails": False}


def test_without_the_secret_of_the_owner_the_node_fails(echoing, root, owner, import_document):
    keep(root)
    workflow = import_document(document("t>n", n={"type": "tool", "tool": "site.echo"}))
    error = error_of(workflow)
    assert (error["code"], "API_KEY" in error["message"]) == ("configuration", True)


def test_a_trial_has_the_secrets_of_whoever_tries_and_nothing_says_them(echoing, root, owner):
    keep(owner)
    good, bad = trial(owner, "site.echo", {}), trial(owner, "site.echo", {"fails": True})
    assert good["output"] == "said Bearer ***"
    assert [line["message"] for line in good["logs"]] == ["Got Bearer ***"]
    assert bad["error"]["message"] == "Refused Bearer ***"
    assert SECRET not in jsontext.dumps([good, bad])
    # Another's are not there for the superuser either.
    assert "API_KEY" in trial(root, "site.echo", {})["error"]["message"]


def test_the_control_of_secrets_is_seen_where_nothing_is_hidden(echoing, owner, monkeypatch):
    keep(owner)
    monkeypatch.setattr(Mask, "text", lambda _self, text: text)
    monkeypatch.setattr(Mask, "value", lambda _self, value: value)
    assert SECRET in jsontext.dumps(trial(owner, "site.echo", {}))
