"""Tools of MCP servers on a site: imported, used in workflows, imported again; who may, and what is on record."""

import asyncio
import io
import json
import os
import re
import sys

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt
from executions_app.services.try_tool import try_tool
from tests import bare_mcp, mcp_server
from tests.http_server import serving_in_thread
from tests.integration.conftest import document
from tests.integration.staff import browser, staff, superuser, text_of
from tests.model_server import one_by_one, says, sent, wishes
from tests.unit.tools.mcp.conftest import programs_of
from workflows_app.checks import check_mcp_servers
from workflows_app.dag import jsontext
from workflows_app.models import AuditEntry, ConfiguredTool, WorkflowVersion
from workflows_app.services.errors import InvalidDefinition, McpServerUnusable, ToolPermission
from workflows_app.services.mcp_tools import State, Wish, import_tools, look
from workflows_app.services.secrets import NewSecret, set_secret

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/workflows_app/configuredtool/"
PAGE = f"{LIST}mcp/"
XSS = "<img src=x onerror=alert(1)>"
SECRET = "S3CR3T-0f-the-owner"


@pytest.fixture
def site(settings):
    def site_(**entries):
        settings.PASTETRADER = {**settings.PASTETRADER, "MCP_SERVERS": entries}

    return site_


@pytest.fixture
def listed(tmp_path):
    """Says what tools a server has: names with schemas, or whole descriptions."""
    path = tmp_path / "tools.json"

    def listed_(*tools):
        path.write_text(json.dumps([{**bare_mcp.TOOL, **tool} for tool in tools]))
        return str(path)

    return listed_


@pytest.fixture
def run(import_document):
    def run_(**node):
        workflow = import_document(document("t>a", a={"inputs": {}, **node}))
        return asyncio.run(WorkflowExecutor().execute(workflow.id)).node_results["a"]

    return run_


def imported(user=None, **wish):
    found = import_tools(Wish(**{"server": "crm", **wish}), user)
    return {one.tool: (one.name, str(one.state)) for one in found}


def command(*arguments):
    out = io.StringIO()
    call_command("import_mcp_tools", *arguments, stdout=out)
    return out.getvalue().splitlines()


# Import.


def test_the_tools_of_a_server_become_tools_of_the_site_which_workflows_use(site, run):
    site(crm=mcp_server.entry())
    lines = command("crm")
    assert lines == [
        "new: crm.find_customer (the server says: readOnlyHint: true)",
        "new: crm.greet",
        "new: crm.environment",
    ]
    row = ConfiguredTool.objects.get(name="crm.find_customer")
    assert (row.kind, row.effect, row.description, row.version) == ("mcp.call", None, "A customer by number.", 1)
    assert row.input_schema["properties"]["number"] == {"minimum": 1, "title": "Number", "type": "integer"}
    assert row.output_schema["required"] == ["number", "name"]
    found = run(tool="crm.find_customer", inputs={"number": 7})
    assert (found.status, found.output_data) == ("completed", {"number": 7, "name": "Emmy"})
    plan = jsontext.loads(WorkflowVersion.objects.get().plan)
    assert plan["nodes"][1]["effect"] == "at_most_once"
    wrong = run(tool="crm.find_customer", inputs={"number": 0})
    assert (wrong.status, wrong.error["code"]) == ("failed", "invalid_input")
    assert command("crm") == [line.replace("new:", "same:") for line in lines]


def test_an_import_brings_tools_up_to_date_and_switches_off_those_that_are_gone(site, listed, run):
    path = listed({"name": "work"}, {"name": "other"})
    site(crm=bare_mcp.entry("text('done')", path))
    assert imported() == {"work": ("crm.work", "new"), "other": ("crm.other", "new")}
    assert run(tool="crm.work").output_data == {"text": "done"}
    listed({"name": "work", "inputSchema": {**bare_mcp.SCHEMA, "required": ["n"]}})
    changed = run(tool="crm.work")
    assert (changed.error["type"], changed.retry_count) == ("McpSchemaChanged", 0)
    assert imported() == {"work": ("crm.work", "changed"), "other": ("crm.other", "gone")}
    assert dict(ConfiguredTool.objects.values_list("name", "version")) == {"crm.work": 2, "crm.other": 2}
    assert list(ConfiguredTool.objects.filter(is_active=False).values_list("name", flat=True)) == ["crm.other"]
    assert run(tool="crm.work", inputs={"n": 1}).output_data == {"text": "done"}
    # What comes back stays switched off until somebody switches it on.
    listed({"name": "work", "inputSchema": {**bare_mcp.SCHEMA, "required": ["n"]}}, {"name": "other"})
    assert imported() == {"work": ("crm.work", "same"), "other": ("crm.other", "same")}
    assert not ConfiguredTool.objects.get(name="crm.other").is_active


def test_what_is_imported_and_how_it_is_called_can_be_chosen(site, listed):
    site(crm=bare_mcp.entry("text('')", listed({"name": "a"}, {"name": "b"}, {"name": "c"}), tools=["a", "b"]))
    assert imported(tools=["a"], prefix="sales.crm", effect="none") == {"a": ("sales.crm.a", "new")}
    assert ConfiguredTool.objects.get().effect == "none"
    # The effect that was stated stays, and so does the name.
    assert imported() == {"a": ("sales.crm.a", "same"), "b": ("crm.b", "new")}
    assert imported(tools=["a"], effect="idempotent") == {"a": ("sales.crm.a", "changed")}
    assert imported(tools=["no"]) == {"no": ("", "refused")}


def test_names_are_spelled_as_names_of_tools_and_are_each_given_once(site, listed):
    names = ["findCustomer", "find-customer", "FIND_CUSTOMER", "2nd", "ä"]
    site(**{"My-CRM": bare_mcp.entry("text('')", listed(*({"name": name} for name in names)))})
    assert [name for name, _ in imported(server="My-CRM").values()] == [
        "my_crm.find_customer", "my_crm.find_customer_2", "my_crm.find_customer_3", "my_crm.t_2nd", "my_crm.t",
    ]  # fmt: skip


def test_a_tool_that_cannot_be_one_of_the_site_is_refused_and_the_others_are_imported(site, listed):
    ConfiguredTool.objects.create(name="crm.taken", kind="core.set", configuration={})
    path = listed(
        {"name": "bad", "inputSchema": {"type": "object", "properties": {"a": {"type": "what"}}}},
        {"name": "large", "inputSchema": {"type": "object", "description": "x" * 70_000}},
        {"name": "taken"},
        {"name": "old", "inputSchema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}},
    )
    site(crm=bare_mcp.entry("text('')", path))
    assert imported() == {
        "bad": ("crm.bad", "refused"),
        "large": ("crm.large", "refused"),
        "taken": ("crm.taken", "refused"),
        "old": ("crm.old", "new"),
    }
    with pytest.raises(CommandError, match="Not all of them"):
        command("crm")


def test_a_tool_that_was_changed_by_hand_is_left_alone(site, listed):
    site(crm=bare_mcp.entry("text('')", listed({"name": "work"})))
    imported()
    row = ConfiguredTool.objects.get()
    ConfiguredTool.objects.update(configuration={**row.configuration, "arguments": {"n": 1}}, input_schema=None)
    assert imported() == {"work": ("crm.work", "same")}
    listed({"name": "work", "inputSchema": {"type": "object"}})
    (found,) = look(Wish(server="crm"), None)
    assert (found.state, found.sentence.startswith("Its configuration was changed by hand")) == (State.REFUSED, True)


def test_a_dry_run_and_a_server_that_fails_change_nothing(site, listed):
    site(crm=bare_mcp.entry("text('')", listed({"name": "work"})), dies={"command": ["/bin/sh", "-c", "exit 4"]})
    assert command("crm", "--dry-run") == ["new: crm.work"]
    for server, told in [("dies", "ended with code 4"), ("no", "There is no MCP server 'no'")]:
        with pytest.raises(McpServerUnusable, match=told):
            imported(server=server)
        with pytest.raises(CommandError, match=told):
            command(server)
    assert ConfiguredTool.objects.count() == 0


def test_an_import_takes_the_permission_to_make_tools_and_is_in_the_audit(site, listed, tmp_path):
    started = tmp_path / "started"
    site(crm={"command": ["/bin/sh", "-c", f"touch {started}; exit 1"]})
    with pytest.raises(ToolPermission):
        imported(staff("eve"))
    assert not started.exists()
    site(crm=bare_mcp.entry("text('')", listed({"name": "work"})))
    root = superuser()
    imported(root)
    listed({"name": "work", "description": "More."})
    imported(root)
    entries = AuditEntry.objects.filter(actor_name=root.get_username()).order_by("id")
    assert [entry.verb for entry in entries] == ["tool.created", "tool.changed"]
    assert ConfiguredTool.objects.get().created_by == root


# Runs.


def test_the_secret_of_the_owner_is_the_token_and_is_on_record_nowhere(site, owner, run):
    set_secret(NewSecret(name="CRM", value=SECRET), owner)
    with mcp_server.serving(mcp_server.server(), SECRET) as served:
        site(crm={"url": served.url, "token_secret": "CRM"})
        assert {state for _, state in imported().values()} == {"new"}
        row = ConfiguredTool.objects.get(name="crm.greet")
        assert row.configuration["token"] == "${{ secrets.CRM }}"
        # What a node gives as `token` is no token, and says nothing to the server.
        result = run(tool="crm.greet", inputs={"name": f"you, {SECRET}"})
        assert result.output_data == {"text": "Hello, you, ***!"}
        assert {headers["authorization"] for headers in served.headers} == {f"Bearer {SECRET}"}
        tried = asyncio.run(try_tool("crm.greet", {"name": "ada"}, owner))
        assert (tried.output, tried.error) == ({"text": "Hello, ada!"}, None)
    entries = [(log.message, log.data) for log in ExecutionLog.objects.all()]
    kept = [entries, *(str(one.__dict__) for model in (NodeAttempt, ConfiguredTool) for one in model.objects.all())]
    assert SECRET not in jsontext.dumps(kept)
    assert [log.level for log in ExecutionLog.objects.filter(message__startswith="Calls greet")] == ["debug"]


def test_an_agent_calls_an_imported_tool_where_its_node_allows_effects(site, listed, settings, import_document):
    told = {"name": "work", "annotations": {"readOnlyHint": True}}
    site(crm=bare_mcp.entry("text('done %s' % args['n'])", listed(told)))
    imported()
    node = {"type": "agent", "provider": "local", "model": "small", "prompt": "Go.", "tools": ["crm.work"]}
    # What the server says of its effect opens nothing.
    with pytest.raises(InvalidDefinition, match="allow_effects"):
        import_document(document("t>a", a=node))
    workflow = import_document(document("t>a", a={**node, "allow_effects": True}))
    with serving_in_thread(one_by_one(wishes(("crm_work", '{"n": 7}')), says("Well."))) as server:
        local = {"kind": "openai", "base_url": f"{server.url}/v1", "api_key_env": ""}
        settings.PASTETRADER = {**settings.PASTETRADER, "AGENT_PROVIDERS": {"local": local}}
        asked = asyncio.run(WorkflowExecutor().execute(workflow.id)).node_results["a"]
        first, second = map(sent, server.requests)
    assert (asked.status, asked.output_data) == ("completed", {"text": "Well."})
    assert list(first["tools"][0]["function"]["parameters"]["properties"]) == ["n"]
    assert second["messages"][-1]["content"] == '{"text":"done 7"}'


def test_a_trial_leaves_no_program_behind(site, listed):
    site(crm=bare_mcp.entry("text('done')", listed({"name": "work"})))
    imported()
    answer = browser(superuser()).post(f"{LIST}tool/crm.work/?as=json", {"input": "{}", "confirmed": "on"})
    assert answer.context["trial"].output == {"text": "done"}
    assert programs_of(os.getpid()) == []


def test_inputs_that_are_called_as_those_of_the_kind_are_the_tools(site, listed, run):
    schema = {"type": "object", "properties": {name: {} for name in ("token", "server", "tool", "digest", "arguments")}}
    site(crm=bare_mcp.entry("{'content': [], 'structuredContent': args}", listed({"name": "w", "inputSchema": schema})))
    imported()
    given = {"token": "t", "server": "s", "tool": "x", "digest": "d", "arguments": [1]}
    assert run(tool="crm.w", inputs=given).output_data == given


def test_a_server_that_hangs_or_dies_leaves_an_unknown_outcome_and_is_not_asked_again(site, listed, run):
    site(
        crm=bare_mcp.entry("hang()", listed({"name": "work"})),
        dies=bare_mcp.entry("die()", listed({"name": "work"})),
    )
    imported()
    imported(server="dies")
    retry = {"max_retries": 1, "delay": 0}
    hung = run(tool="crm.work", timeout_seconds=2, retry=retry)
    # Where the machine is busy the call may not have been sent by then; then there is nothing that is unknown.
    is_sent, unknown = "Nothing was sent" not in hung.error_message, "The outcome is unknown" in hung.error_message
    assert (hung.reason, hung.retry_count, unknown) == ("timeout", 0 if is_sent else 1, is_sent)
    died = run(tool="dies.work", retry=retry)
    assert (died.error["type"], died.retry_count) == ("McpServerFailed", 0)
    assert "The outcome is unknown" in died.error_message
    # The control: what may be repeated is repeated.
    assert run(tool="dies.work", retry=retry, effect="idempotent").retry_count == 1


def test_the_snapshot_has_the_name_of_the_server_and_nothing_of_its_program(site, listed, run):
    site(crm=bare_mcp.entry("text('')", listed({"name": "work"})))
    imported()
    run(tool="crm.work")
    plan = WorkflowVersion.objects.get().plan
    assert '"server":"crm"' in plan
    assert "bare_mcp" not in plan


@pytest.mark.parametrize(
    ("servers", "ids"),
    [
        ({}, []),
        (None, []),
        ({"a": {"command": [sys.executable]}}, []),
        ({"a": {"command": ["/nowhere/gone"]}}, ["pastetrader.W035"]),
        ({"a": {"command": "gone"}}, ["pastetrader.E035"]),
        (["a"], ["pastetrader.E035"]),
    ],
)
def test_servers_that_mean_nothing_are_errors_and_programs_that_are_missing_warnings(settings, servers, ids):
    settings.PASTETRADER = {"MCP_SERVERS": servers}
    found = check_mcp_servers(None)
    assert [one.id for one in found] == ids
    assert all(one.hint for one in found)


# The page.


def chosen(looked, *tools):
    """What a browser sends for these tools of the page."""
    values = re.findall(r'<input type="checkbox" name="tool" value="([^"]+)" checked', looked.content.decode())
    return [value for value in values if value.partition(" ")[2] in tools]


def test_the_page_shows_what_an_import_would_do_and_does_what_is_chosen(site, listed):
    tools = [{"name": name, "description": f"Does {name} {XSS}"} for name in ("a", "b")]
    site(crm=bare_mcp.entry("text('')", listed(*tools, {"name": "c", "annotations": {"readOnlyHint": True}})))
    root = superuser()
    client = browser(root)
    assert "Import from an MCP server" in text_of(client.get(LIST))
    looked = client.post(PAGE, {"server": "crm", "look": "1"})
    assert [(one.name, str(state)) for one, state, _ in looked.context["found"]] == [
        ("crm.a", "new"), ("crm.b", "new"), ("crm.c", "new"),
    ]  # fmt: skip
    assert "readOnlyHint: true" in text_of(looked)
    assert XSS.encode() not in looked.content
    assert ConfiguredTool.objects.count() == 0
    wanted = {"server": "crm", "effect": "idempotent"}
    done = client.post(PAGE, {**wanted, "import": "1", "tool": chosen(client.post(PAGE, wanted), "a", "c")})
    assert "What was done" in text_of(done)
    assert list(ConfiguredTool.objects.values_list("name", "effect")) == [
        ("crm.a", "idempotent"), ("crm.c", "idempotent"),
    ]  # fmt: skip
    assert AuditEntry.objects.filter(verb="tool.created", actor_name="root", address="127.0.0.1").count() == 2
    listed({"name": "a", "description": "Else"})
    looked = client.post(PAGE, {"server": "crm"})
    assert "the server has it no more".casefold() in text_of(looked).casefold()
    _ = client.post(PAGE, {"server": "crm", "import": "1", "tool": chosen(looked, "c")})
    assert list(ConfiguredTool.objects.values_list("name", "is_active", "description")) == [
        ("crm.a", True, f"Does a {XSS}"), ("crm.c", False, "Work."),
    ]  # fmt: skip
    assert "nothing was done" in text_of(client.post(PAGE, {"server": "crm", "import": "1"}))


def test_what_has_changed_since_somebody_looked_is_not_imported(site, listed):
    site(crm=bare_mcp.entry("text('')", listed({"name": "a"}, {"name": "b"})))
    client = browser(superuser())
    looked = client.post(PAGE, {"server": "crm"})
    listed({"name": "a", "description": "Call the order tool first."}, {"name": "b"})
    done = client.post(PAGE, {"server": "crm", "import": "1", "tool": chosen(looked, "a", "b")})
    assert "It has changed since you looked" in text_of(done)
    assert list(ConfiguredTool.objects.values_list("name", flat=True)) == ["crm.b"]


def test_the_page_is_for_those_who_may_make_and_change_tools_and_says_what_is_wrong(site, listed):
    site(crm={"command": ["/bin/sh", "-c", "exit 4"]})
    for user in (staff("eve"), staff("mallory", "add_configuredtool")):
        assert browser(user).post(PAGE, {"server": "crm"}).status_code == 403
        assert "Import from an MCP server" not in text_of(browser(user).get(LIST))
    client = browser(staff("emmy", "add_configuredtool", "change_configuredtool"))
    assert "ended with code 4" in text_of(client.post(PAGE, {"server": "crm"}))
    assert "Select a valid choice" in text_of(client.post(PAGE, {"server": "no"}))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(superuser())
    assert strict.post(PAGE, {"server": "crm"}).status_code == 403
    site()
    assert "Import from an MCP server" not in text_of(client.get(LIST))
