"""Plug-ins in a process that starts with them, and names in documents that are no names of the registry."""

import os
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT
from tests.integration.conftest import document
from tests.unit.distributions import install
from workflows_app.services.errors import InvalidDefinition

TOOLS = "from workflows_app.tools import tool\n@tool('{0}.last')\ndef last() -> int: return 1\n"


def manage(site, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(site), "DJANGO_SETTINGS_MODULE": "pastetrader.settings.testing"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


def test_a_broken_plug_in_is_a_warning_of_the_check_and_stops_nothing(tmp_path):
    install(tmp_path, "fine", entry_points="[pastetrader.tools]\nfine = fine_tools", fine_tools=TOOLS.format("fine"))
    broken = TOOLS.format("broken") + "1 / 0\n"
    install(tmp_path, "broken", entry_points="[pastetrader.tools]\nx = broken_tools", broken_tools=broken)
    install(tmp_path, "agents", entry_points="[pastetrader.processors]\nagent = os:system")
    result = manage(tmp_path, "check")
    assert result.returncode == 0, result.stderr
    said = " ".join(result.stderr.split())
    assert (
        "(pastetrader.W031) The tools of broken 1.0 (x = broken_tools) are missing: loading it failed with Zero" in said
    )
    assert "HINT: Nodes that use them fail as with any unknown tool. Mend the plug-in, or remove it." in said
    assert "(pastetrader.W032) The processor of agents 1.0 (agent = os:system) is no class of processors" in said
    script = "from workflows_app.tools.registry import registry as r; print('fine.last' in r, 'broken.last' in r)"
    assert manage(tmp_path, "shell", "--verbosity", "0", "-c", script).stdout.split() == ["True", "False"]


def test_without_plug_ins_the_check_has_nothing_to_say(tmp_path):
    """The control."""
    result = manage(tmp_path, "check")
    assert (result.returncode, "pastetrader.W03" in result.stderr) == (0, False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("node", "code"),
    [
        ({"tool": "os.system"}, "UNKNOWN_TOOL"),
        ({"tool": "workflows_app.tools.core.set_values"}, "UNKNOWN_TOOL"),
        ({"tool": "subprocess:run"}, "UNKNOWN_TOOL"),
        ({"type": "os.system"}, "INVALID_DOCUMENT"),
        ({"type": "workflows_app.processors.tool.ToolProcessor"}, "INVALID_DOCUMENT"),
    ],
)
def test_a_path_of_a_module_is_no_name_of_a_tool_or_of_a_type(import_document, node, code):
    with pytest.raises(InvalidDefinition) as refused:
        import_document(document("t>a", a=node))
    assert code in [problem.code for problem in refused.value.problems]
