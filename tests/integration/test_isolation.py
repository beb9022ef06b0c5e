"""Tools in processes of their own, as nodes of a run: they are killed when they must, and siblings do not notice."""

import asyncio

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.queries import attempts_json, execution_by_id
from tests.integration.conftest import document
from tests.unit.tools import isolated_tools
from workflows_app.dag.types import Effect
from workflows_app.tools.registry import Isolation, Tool, registry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _tools(tools):
    """Other tests forget what they imported."""
    for name in ("price", "dies", "fails"):
        function = getattr(isolated_tools, name)
        registry.register(
            Tool(name=f"isolated.{name}", function=function, effect=Effect.NONE, isolation=Isolation.PROCESS)
        )


def node(name, **fields):
    return {"tool": f"isolated.{name}", **fields}


@pytest.fixture
def run(import_document):
    def run_(*edges, **fields):
        workflow = import_document(document(*edges, **fields))
        return asyncio.run(WorkflowExecutor().execute(workflow.id))

    return run_


def test_a_loop_that_never_ends_is_killed_at_its_limit_and_its_siblings_finish(run):
    endless = node("dies", inputs={"how": "loops"}, timeout_seconds=0.7)
    result = run("t>a", "t>b", a=endless, b=node("price", inputs={"symbol": "AAPL", "amount": 2}))
    a, b = result.node_results["a"], result.node_results["b"]
    assert (a.status, a.reason, b.status, b.output_data) == (
        "failed", "timeout", "completed", {"symbol": "AAPL", "price": 4},
    )  # fmt: skip
    # Where the machine is busy the process may not have begun by then.
    limit, process = "Node 'a' did not finish within its limit of 0.7 seconds.", "The process of tool 'isolated.dies'"
    assert a.error_message in (f"{limit} {process} was killed.", f"{limit} {process} had not begun its work.")


def test_a_process_that_dies_is_tried_again(run):
    dying = node("dies", inputs={"how": "kill"}, retry={"max_retries": 1, "delay": 0, "retry_on": ["ProcessDied"]})
    result = run("t>a", a=dying)
    assert (result.node_results["a"].retry_count, result.node_results["a"].error["code"]) == (1, "process_died")


def test_a_process_that_dies_over_an_effect_is_an_unknown_outcome_and_is_not_tried_again(run):
    function = isolated_tools.dies
    registry.register(
        Tool(name="isolated.dies", function=function, effect=Effect.AT_MOST_ONCE, isolation=Isolation.PROCESS)
    )
    dying = node("dies", inputs={"how": "exit"}, retry={"max_retries": 3, "delay": 0})
    result = run("t>a", a=dying)
    assert result.node_results["a"].retry_count == 0
    assert "The outcome is unknown" in result.node_results["a"].error_message


def test_the_traceback_of_the_process_is_on_record(run):
    result = run("t>a", a=node("fails", inputs={"how": "own"}))
    (attempt,) = attempts_json(execution_by_id(str(result.execution_id)))["a"]
    assert attempt["error"] == {"code": "node_error", "message": "AAPL: 0 left", "type": "OutOfStock", "node": "a"}
    assert "isolated_tools.py" in attempt["traceback"]
