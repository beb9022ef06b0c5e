"""The examples of docs/tools.md are true."""

import asyncio
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from executions_app.executor import WorkflowExecutor
from tests.architecture.source import ROOT
from tests.integration.api import program_of
from workflows_app.dag import jsontext, yamltext
from workflows_app.tools.registry import registry

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")


def blocks(language: str, section: str) -> list[str]:
    """The blocks of a language below a heading."""
    after = GUIDE.split(f"# {section}\n", 1)[1]
    return re.findall(rf"^```{language}\n(.*?)^```$", re.split(r"^#", after, flags=re.MULTILINE)[0], re.M | re.S)


@pytest.fixture
def root():
    return get_user_model().objects.create_superuser("root")


def test_the_python_tool_and_its_presets_give_what_the_guide_says(root, owner, tools, import_document):
    (code,) = blocks("python", "Write a tool in Python")
    module: dict[str, Any] = {"__name__": "shop.tools"}
    exec(compile(code, "tools.md", "exec"), module)  # noqa: S102 - the guide's own example
    made, workflow = blocks("yaml", "A Python tool with presets")
    (output,) = blocks("json", "A Python tool with presets")
    program = program_of(root)
    assert program.post("/tools", yamltext.load(made).value).status_code == 201
    given = jsontext.loads(re.findall(r"With the input `(.*)` its output is", GUIDE)[0])
    result = asyncio.run(WorkflowExecutor().execute(import_document(yamltext.load(workflow).value).id, given))
    assert jsontext.dumps(result.node_results["price"].output_data) == jsontext.dumps(jsontext.loads(output))
    shown = program.get("/tools/shop.pens_for_members").data
    assert list(shown["input_schema"]["properties"]) == ["count"]
    fields = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in _rows("The catalogue"))))
    assert fields <= shown.keys()


def _rows(section: str) -> list[str]:
    after = GUIDE.split(f"# {section}\n", 1)[1].split("\n#", 1)[0]
    return [line for line in after.splitlines() if line.startswith("| `")]


@pytest.mark.skipif("http.request" not in registry, reason="http.request is not registered")
def test_the_http_tool_can_be_made(root):
    (made,) = blocks("yaml", "An HTTP call with its schema")
    assert program_of(root).post("/tools", yamltext.load(made).value).status_code == 201
    shown = program_of(root).get("/tools/crm.find_customer").data
    assert (shown["effect"], shown["input_schema"]["required"]) == ("none", ["number"])
