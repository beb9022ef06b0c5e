"""Programs as nodes of a run: the setting that allows them, and what their effect means."""

import asyncio
from decimal import Decimal

import pytest

from executions_app.checks import check_shell_programs
from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeAttempt
from tests.integration.conftest import document
from workflows_app.dag import jsontext
from workflows_app.services.secrets import NewSecret, set_secret
from workflows_app.tools import ToolContext, shell, tool

CONVERSION = {"tool": "shell.run", "inputs": {"program": "sh", "arguments": ["-c", "cat; exit 2"], "stdin": "text"}}


@pytest.fixture
def run(import_document, monkeypatch):
    monkeypatch.setattr(shell.programs, "allowed", {})

    def run_(**node):
        workflow = import_document(document("t>a", a={**CONVERSION, **node}))
        return asyncio.run(WorkflowExecutor().execute(workflow.id)).node_results["a"]

    return run_


@pytest.mark.django_db(transaction=True)
def test_a_node_runs_a_program_that_the_settings_name_and_no_other(run, settings):
    refused = run()
    assert (refused.status, refused.error["code"]) == ("failed", "configuration")
    assert "PASTETRADER['SHELL_PROGRAMS']" in refused.error_message
    settings.PASTETRADER = {**settings.PASTETRADER, "SHELL_PROGRAMS": {"sh": "/bin/sh"}}
    result = run(inputs={**CONVERSION["inputs"], "expect": [2]})
    assert result.output_data == {"exit_code": 2, "stdout": "text", "stderr": ""}


@pytest.mark.django_db(transaction=True)
def test_a_program_that_fails_is_tried_again_and_one_that_hangs_is_an_unknown_outcome_unless_the_node_says_more(
    run, settings
):
    settings.PASTETRADER = {**settings.PASTETRADER, "SHELL_PROGRAMS": {"sh": "/bin/sh"}}
    retry = {"max_retries": 1, "delay": 0}
    failed = run(retry=retry)
    assert (failed.error["code"], failed.error["type"], failed.retry_count) == ("program_failed", "ProgramFailed", 1)
    hangs = {"program": "sh", "arguments": ["-c", "sleep 600"]}
    hung = run(inputs=hangs, retry=retry, timeout_seconds=1)
    assert hung.reason == "timeout"
    # Where the machine is busy the program may not have begun by then; then there is nothing that is unknown.
    unknown = "The outcome is unknown" in hung.error_message
    assert (hung.retry_count, unknown) == ((0, True) if "was killed" in hung.error_message else (1, False))
    assert run(inputs=hangs, retry=retry, timeout_seconds=0.3, effect="none").retry_count == 1


@pytest.mark.parametrize(
    ("programs", "ids"),
    [
        ({}, []),
        (None, []),
        ({"sh": "/bin/sh"}, []),
        ({"gone": "/nowhere/gone", "sh": "/bin/sh"}, ["pastetrader.W030"]),
        ({"folder": "/bin"}, ["pastetrader.W030"]),
        ({"sh": "sh"}, ["pastetrader.E030"]),
        ({"": "/bin/sh", 1: "/bin/sh", "sh": None}, ["pastetrader.E030"] * 3),
        (["/bin/sh"], ["pastetrader.E030"]),
    ],
)
def test_programs_that_mean_nothing_are_errors_and_those_that_are_missing_warnings(settings, programs, ids):
    settings.PASTETRADER = {"SHELL_PROGRAMS": programs}
    found = check_shell_programs(None)
    assert [one.id for one in found] == ids
    assert all(one.hint for one in found)


@pytest.mark.django_db(transaction=True)
def test_a_secret_that_a_program_or_a_progress_repeats_is_on_record_nowhere(import_document, owner, settings, tools):
    settings.PASTETRADER = {**settings.PASTETRADER, "SHELL_PROGRAMS": {"sh": "/bin/sh"}}
    set_secret(NewSecret(name="TOKEN", value="S3CR3T-f3c1a7d9"), owner)

    @tool("test.tells", effect="none")
    async def tells(context: ToolContext, key: str) -> str:
        context.progress(0.5, f"With {key}")
        context.heartbeat({"key": key})
        return "told"

    key = "${{ secrets.TOKEN }}"
    program = {"program": "sh", "arguments": ["-c", "cat; cat /dev/stdin; echo $0 >&2; exit 3", key], "stdin": key}
    nodes = {
        "a": {"tool": "shell.run", "inputs": program},
        "b": {"tool": "shell.run", "inputs": {**program, "expect": [3]}},
        "c": {"tool": "test.tells", "inputs": {"key": key}},
    }
    result = asyncio.run(WorkflowExecutor().execute(import_document(document("t>a", "t>b", "t>c", **nodes)).id))
    assert result.node_results["a"].error_message.endswith("Its last errors: ***")
    assert result.node_results["b"].output_data == {"exit_code": 3, "stdout": "***", "stderr": "***\n"}
    entries = [(log.message, log.data) for log in ExecutionLog.objects.all()]
    assert ("With ***", {"progress": Decimal("0.5")}) in entries
    assert "S3CR3T" not in jsontext.dumps([entries, [str(one.__dict__) for one in NodeAttempt.objects.all()]])
