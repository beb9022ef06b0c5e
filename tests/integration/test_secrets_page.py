"""What docs/secrets.md shows is what comes."""

import asyncio
import logging.config
import re

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.inspection import inspection_json
from executions_app.models import WorkflowExecution
from tests.architecture.source import ROOT
from workflows_app.dag import jsontext
from workflows_app.services.documents import Format, read, save
from workflows_app.services.secrets import NewSecret, check_secret, create_secret
from workflows_app.services.vault import NEW_KEY
from workflows_app.tools.masking import Mask

PAGE = (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")


def block(kind):
    return re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.mark.django_db(transaction=True)
def test_the_record_of_the_workflow_is_what_the_page_shows(owner):
    create_secret(NewSecret(name="BROKER", value="k3y-of-the-broker"), owner)
    workflow, _ = save(read(block("yaml"), Format.YAML), owner)
    result = asyncio.run(WorkflowExecutor().execute(workflow.id, {}))
    assert result.status == "completed"
    node = inspection_json(WorkflowExecution.objects.get(), "call")
    assert node["output"] == node["input"] == jsontext.loads(block("json"))


def test_every_spelling_of_the_table_is_masked():
    value = re.search(r"With the value `(.+?)` each", PAGE)[1]
    check_secret(NewSecret(name="BROKER", value=value))
    table = PAGE[PAGE.index("| spelling | text |") :].partition("\n\n")[0]
    texts = re.findall(r"^\| [^|]+ \| `([^|]+?)`[^|]*\|$", table, re.MULTILINE)
    assert len(texts) == 9
    masked = [Mask.of([value]).text(text) for text in texts]
    assert masked == ["***"] * 9


def test_the_command_for_a_key_is_the_one_of_the_checks():
    assert NEW_KEY in PAGE


def test_the_logging_of_the_page_masks():
    chosen = {}
    exec(block("python"), chosen)  # noqa: S102 - the page's own lines
    configurator = logging.config.DictConfigurator(chosen["LOGGING"])
    handler = configurator.config["handlers"]["stderr"]
    assert handler["filters"] == list(chosen["LOGGING"]["filters"])
    kind = configurator.configure_filter(chosen["LOGGING"]["filters"]["secrets"])
    assert isinstance(kind, logging.Filter)
