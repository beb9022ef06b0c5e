"""Scenarios that come together from several rules."""

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.models import WorkflowExecution
from tests.integration.conftest import document
from tests.integration.runs import fates, outputs, row, run_text
from tests.integration.virtual_time import run_virtually
from workflows_app.dag import jsontext

__all__ = ["run_virtually"]
pytestmark = pytest.mark.django_db(transaction=True)

NESTED = """name: nested
nodes:
  - {key: start, type: trigger}
  - {key: outer, type: condition, inputs: {value: "${{ input.value }}"}}
  - {key: inner, type: condition}
  - {key: high, type: adapter, output: high}
  - {key: mid, type: adapter, output: mid}
  - {key: low, type: adapter, output: low}
  - {key: end, type: aggregator, strategy: list}
edges:
  - {from: start, to: outer}
  - {from: outer, to: inner, condition: value > 30}
  - {from: outer, to: low, default: true}
  - {from: inner, to: high, condition: value > 40}
  - {from: inner, to: mid, default: true}
  - {from: high, to: end}
  - {from: mid, to: end}
  - {from: low, to: end}
"""


@pytest.mark.parametrize(
    ("value", "took", "left"),
    [
        (50, "high", {"mid": "not_taken", "low": "not_taken"}),
        (35, "mid", {"high": "not_taken", "low": "not_taken"}),
        (30, "low", {"inner": "not_taken", "high": "upstream_skipped", "mid": "upstream_skipped"}),
        (20, "low", {"inner": "not_taken", "high": "upstream_skipped", "mid": "upstream_skipped"}),
    ],
)
def test_branches_within_branches_meet_again(owner, value, took, left):
    result = run_text(NESTED, owner, {"value": value})
    assert result.status == "completed"
    assert outputs(result)["end"] == [took]
    assert {key: fate.removeprefix("skipped ") for key, fate in fates(result).items() if "skipped" in fate} == left
    chosen = "inner" if value > 30 else "low"
    assert row(result, "outer").details == {
        "evaluations": [{"to": "inner", "condition": "value > 30", "result": value > 30}],
        "taken": [chosen],
    }


def test_the_start_of_the_execution_is_the_same_in_expressions_and_on_record(owner):
    result = run_text(
        """name: times
nodes:
  - {key: t, type: trigger}
  - {key: a, type: adapter, output: "${{ execution.started_at }}"}
edges: [{from: t, to: a}]
""",
        owner,
    )
    started_at = WorkflowExecution.objects.get(pk=result.execution_id).started_at
    assert outputs(result)["a"] == jsontext.clean(started_at)
    assert outputs(result)["a"].endswith("Z")


def test_a_stop_cancels_what_waits_and_lets_finish_what_runs(import_document, run_virtually):
    workflow = import_document(
        document(
            "t>bad", "t>flaky", "t>slow", "slow>after", "bad>child",
            settings={"on_failure": "stop", "scheduling": "eager"},
            bad={"tool": "core.fail", "retry": {"max_retries": 1, "delay": 5}},
            flaky={"tool": "core.fail", "retry": {"max_retries": 3, "delay": 50}},
            slow={"tool": "core.sleep", "inputs": {"seconds": 20}},
        )
    )  # fmt: skip
    result, seconds = run_virtually(WorkflowExecutor().execute(workflow.id))
    assert fates(result) == {
        "t": "completed",
        "bad": "failed node_error",
        "child": "skipped upstream_failed",
        "flaky": "cancelled stopped",
        "slow": "completed",
        "after": "cancelled stopped",
    }
    assert row(result, "flaky").details == {"cause": "bad"}
    assert row(result, "flaky").retry_count == 1
    assert seconds == pytest.approx(20, abs=0.1)


def test_a_continued_failure_says_which_condition_could_not_be_evaluated(owner):
    result = run_text(
        """name: continued
nodes:
  - {key: t, type: trigger}
  - {key: bad, type: tool, tool: core.fail, inputs: {}, on_error: continue}
  - {key: plain, type: adapter, output: 1}
  - {key: asked, type: adapter, output: 2}
edges:
  - {from: t, to: bad}
  - {from: bad, to: plain}
  - {from: bad, to: asked, condition: nodes.bad.n > 3}
""",
        owner,
    )
    assert (fates(result)["plain"], fates(result)["asked"]) == ("completed", "skipped not_taken")
    details = row(result, "bad").details
    assert details["taken"] == ["plain"]
    (evaluation,) = details["evaluations"]
    assert (evaluation["to"], evaluation["result"]) == ("asked", None)
    assert "null" in evaluation["error"]


def test_after_a_condition_that_could_not_be_evaluated_a_continued_node_counts_as_null(owner):
    result = run_text(
        """name: again
nodes:
  - {key: t, type: trigger}
  - {key: x, type: tool, tool: core.set, inputs: {n: 1}, on_error: continue}
  - {key: failed, type: adapter, output: 1}
  - {key: always, type: adapter, output: 2}
  - {key: bare, type: adapter, output: "${{ has(nodes.x.n) }}"}
edges:
  - {from: t, to: x}
  - {from: x, to: failed, condition: 'errors.x.type == "ExpressionError"'}
  - {from: x, to: always, condition: 'true'}
  - {from: x, to: bare}
""",
        owner,
    )
    assert (fates(result)["x"], result.status) == ("failed condition_error", "completed")
    assert {key: fates(result)[key] for key in ("failed", "always", "bare")} == dict.fromkeys(
        ("failed", "always", "bare"), "completed"
    )
    assert outputs(result)["bare"] is False
    assert [(one["to"], one["result"]) for one in row(result, "x").details["evaluations"]] == [
        ("failed", None),
        ("failed", True),
        ("always", True),
    ]


def test_what_a_node_evaluated_before_and_after_it_failed_is_on_record(owner):
    result = run_text(
        """name: both
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.set, inputs: {n: 1}}
  - {key: next, type: adapter, output: 1}
  - {key: rescue, type: adapter, output: 2}
edges:
  - {from: t, to: a}
  - {from: a, to: next, condition: missing > 3}
  - {from: a, to: rescue, handle: error, condition: 'errors.a.type == "ExpressionError"'}
""",
        owner,
    )
    assert (result.status, fates(result)["a"], fates(result)["rescue"]) == (
        "completed", "failed condition_error", "completed",
    )  # fmt: skip
    assert [(one["to"], one["result"]) for one in row(result, "a").details["evaluations"]] == [
        ("next", None),
        ("rescue", True),
    ]
