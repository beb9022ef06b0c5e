"""Secrets in real runs: those of the workflow's owner, in the tool's hands and nowhere on record."""

import asyncio

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model

from executions_app.executor import WorkflowExecutor
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.services.secrets import NewSecret, set_secret
from workflows_app.tools import ToolContext, tool

pytestmark = pytest.mark.django_db(transaction=True)
VALUE = "S3CR3T-f3c1a7d9"


@pytest.fixture
def got(tools):
    """What the tool `test.send` was called with."""
    received = []

    @tool("test.send", effect="idempotent")
    async def send(context: ToolContext, key: str) -> dict[str, str]:
        received.append(key)
        context.log(f"Sent {key}.")
        if len(received) == 1:
            raise ConnectionError(f"{key} was refused")
        return {"sent": key}

    return received


INPUTS = {"key": "key ${{ secrets.TOKEN }}"}
SENDING = document("t>a", a={"tool": "test.send", "inputs": INPUTS, "retry": {"max_retries": 1, "delay": 0}})


def execute(workflow):
    return asyncio.run(WorkflowExecutor().execute(workflow.id))


def test_a_run_has_its_owners_secrets_and_no_table_shows_them(import_document, owner, got):
    set_secret(NewSecret(name="TOKEN", value=VALUE), owner)
    result = execute(import_document(SENDING))
    assert (result.status, got) == ("completed", [f"key {VALUE}"] * 2)
    assert result.node_results["a"].output_data == {"sent": "key ***"}
    dump = "".join(
        jsontext.dumps([str(value) for value in row])
        for model in apps.get_models()
        for row in model._base_manager.values_list()
    )
    assert "key *** was refused" in dump
    assert VALUE not in dump


def test_another_owners_secret_of_the_same_name_is_never_used(import_document, got):
    set_secret(NewSecret(name="TOKEN", value=VALUE), get_user_model().objects.create_user("emmy"))
    result = execute(import_document(SENDING))
    error = result.node_results["a"].error
    assert (result.status, got, error["type"]) == ("failed", [], "NodeConfigurationError")
    assert "'TOKEN'" in error["message"]


def test_a_secret_that_is_replaced_between_two_tries_is_read_anew(import_document, owner, tools):
    set_secret(NewSecret(name="TOKEN", value=VALUE), owner)
    received = []

    @tool("test.send", effect="idempotent")
    def send(key: str) -> None:
        received.append(key)
        if len(received) == 1:
            set_secret(NewSecret(name="TOKEN", value="An0ther-value"), owner)
            raise ConnectionError("refused")

    assert execute(import_document(SENDING)).status == "completed"
    assert received == [f"key {VALUE}", "key An0ther-value"]
