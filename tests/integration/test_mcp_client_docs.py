"""What docs/mcp-client.md says is what happens: its example runs, its tables name what there is."""

import asyncio
import io
import re
from dataclasses import replace

import pytest
from django.core.management import call_command

from executions_app.executor import WorkflowExecutor
from tests import bare_mcp, mcp_server
from tests.architecture.source import ROOT
from workflows_app.dag import jsontext, yamltext
from workflows_app.models import ConfiguredTool
from workflows_app.services import mcp_tools
from workflows_app.services.documents import read, save
from workflows_app.tools.errors import NodeConfigurationError
from workflows_app.tools.mcp import errors, servers
from workflows_app.tools.mcp.servers import McpServer, servers_of

PAGE = (ROOT / "docs" / "mcp-client.md").read_text(encoding="utf-8")
CODE = dict(re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL))


def rows(heading):
    """The first cells of the table below a heading."""
    table = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


@pytest.mark.django_db(transaction=True)
def test_the_example_is_imported_and_run(settings, owner):
    with mcp_server.serving(mcp_server.server()) as served:
        settings.PASTETRADER = {**settings.PASTETRADER, "MCP_SERVERS": {"crm": {"url": served.url}}}
        out = io.StringIO()
        call_command("import_mcp_tools", "crm", stdout=out)
        assert CODE["console"] == f"$ python manage.py import_mcp_tools crm\n{out.getvalue()}"
        workflow, _ = save(read(CODE["yaml"]), owner)
        given = jsontext.loads(re.findall(r"With the input `(.*)` the outputs are", PAGE)[0])
        result = asyncio.run(WorkflowExecutor().execute(workflow.id, given))
    outputs = {key: node.output_data for key, node in result.node_results.items() if key != "start"}
    assert result.status == "completed", [node.error for node in result.node_results.values()]
    assert jsontext.dumps(outputs) == jsontext.dumps(jsontext.loads(CODE["json"]))


@pytest.mark.django_db(transaction=True)
def test_what_is_made_for_a_tool_is_what_the_page_shows(settings, monkeypatch, tmp_path):
    listed, shown = tmp_path / "tools.json", yamltext.load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]).value
    told = {"name": "draft", "description": shown["description"], "inputSchema": shown["input_schema"]}
    listed.write_text(jsontext.dumps([told]))
    # Of the secret only the name is of interest here.
    monkeypatch.setattr(mcp_tools, "_token", lambda *_: "")
    program = servers_of({"mail": bare_mcp.entry("text('')", str(listed))})["mail"]
    server = replace(program, token_secret="MAIL_TOKEN")
    monkeypatch.setattr(servers, "current", lambda: {"mail": server})
    (found,) = mcp_tools.import_tools(mcp_tools.Wish(server="mail"), None)
    assert found.state == "new"
    row = ConfiguredTool.objects.get()
    made = {name: getattr(row, name) for name in shown}
    shown["configuration"]["digest"] = made["configuration"]["digest"]
    assert jsontext.dumps(made) == jsontext.dumps(shown)


def test_the_settings_are_some_and_the_table_names_every_key():
    made = {}
    exec(CODE["python"], made)  # noqa: S102 - a page of this repository
    assert [*servers_of(made["PASTETRADER"]["MCP_SERVERS"])] == ["crm", "tickets", "mail"]
    assert sorted(rows("Servers are settings")) == sorted(set(McpServer.__slots__) - {"name"})


def test_the_table_of_errors_names_every_one_and_whether_it_is_retried():
    told = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no) \|$", PAGE, re.MULTILINE))
    kinds = {name: kind for name, kind in vars(errors).items() if name.startswith("Mcp")}
    kinds["NodeConfigurationError"] = NodeConfigurationError
    assert told == {name: "yes" if kind.retryable else "no" for name, kind in kinds.items()}
