"""The examples of docs/registered-agents.md are true."""

import asyncio
import re

import pytest
from django.contrib.auth import get_user_model

from executions_app.executor import WorkflowExecutor
from tests.architecture.source import ROOT
from tests.integration.api import program_of
from workflows_app.dag import jsontext, yamltext
from workflows_app.dag.agents import DESCRIBING
from workflows_app.schemas import AgentGiven

pytestmark = pytest.mark.django_db(transaction=True)

GUIDE = (ROOT / "docs" / "registered-agents.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return GUIDE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def block(language: str, heading: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section(heading), re.M | re.S)
    return found


def test_the_agent_is_made_and_asked_as_the_guide_says(import_document):
    root = program_of(get_user_model().objects.create_superuser("root"))
    assert root.post("/agents", yamltext.load(block("yaml", "Make one")).value).status_code == 201
    workflow = import_document(yamltext.load(block("yaml", "Name it")).value)
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, {"headline": "Record sales"}))
    assert result.node_results["judge"].output_data == jsontext.loads(block("json", "Name it"))


def test_the_guide_has_every_field_and_every_operation(client):
    told = set(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in rows("Make one"))))
    assert told == set(AgentGiven.model_fields)
    (described,) = re.findall(r"What describes an agent \((.*?)\)", GUIDE)
    assert tuple(re.findall(r"`(\w+)`", described)) == DESCRIBING
    client.force_login(get_user_model().objects.create_user("ada"))
    paths = jsontext.loads(client.get("/api/v1/openapi.json").content)["paths"]
    known = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if "/agents" in path}
    assert {line.split("`")[1].replace("`", "") for line in rows("Who may do what")} == known


def rows(heading: str) -> list[str]:
    return [line for line in section(heading).splitlines() if line.startswith("| `")]
