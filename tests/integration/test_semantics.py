"""Which nodes run, from the text of a document to the record: branches, joins, failures, limits."""

import asyncio

import pytest

from tests.integration.runs import fates, journal, outputs, row, run_text
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)

BRANCHES = """name: branches
nodes:
  - {key: start, type: trigger}
  - {key: check, type: condition, match: %s}
  - {key: low, type: adapter, output: low}
  - {key: mid, type: adapter, output: mid}
  - {key: other, type: adapter, output: other}
  - {key: after, type: adapter, output: after}
edges:
  - {from: start, to: check}
  - {from: check, to: mid, condition: n < 50, priority: 2}
  - {from: check, to: low, condition: n < 10, priority: 1}
  - {from: check, to: other, default: true, priority: -1}
  - {from: low, to: after}
  - {from: mid, to: after}
  - {from: other, to: after}
"""
FAILING = """name: failing
settings: {on_failure: %s, max_parallel_nodes: 1, scheduling: eager}
nodes:
  - {key: start, type: trigger}
  - {key: bad, type: tool, tool: core.fail, inputs: {message: broken}, on_error: %s}
  - {key: child, type: tool, tool: core.set, inputs: {seen: "${{ default(nodes.bad, 'nothing') }}"}}
  - {key: other, type: tool, tool: core.set, inputs: {x: 1}}
  - {key: later, type: tool, tool: core.set, inputs: {x: 2}}
edges:
  - {from: start, to: bad}
  - {from: bad, to: child}
  - {from: start, to: other}
  - {from: other, to: later}
"""


@pytest.mark.parametrize(
    ("match", "n", "ran"),
    [
        ("first", 5, ["low"]),
        ("first", 20, ["mid"]),
        ("first", 90, ["other"]),
        ("all", 5, ["low", "mid"]),
        ("all", 90, ["other"]),
    ],
)
def test_a_condition_takes_its_edges_by_priority_and_the_default_last(owner, match, n, ran):
    result = run_text(BRANCHES % match, owner, {"n": n})
    assert result.status == "completed"
    assert fates(result)["after"] == "completed"
    assert {key: fates(result)[key] for key in ("low", "mid", "other")} == {
        key: "completed" if key in ran else "skipped not_taken" for key in ("low", "mid", "other")
    }
    assert sorted(row(result, "check").details["taken"]) == sorted(ran)


def test_the_first_true_edge_ends_the_evaluation(owner):
    details = row(run_text(BRANCHES % "first", owner, {"n": 5}), "check").details
    assert details["evaluations"] == [{"to": "low", "condition": "n < 10", "result": True}]


def test_a_condition_that_takes_nothing_completes_and_its_branches_are_skipped(owner):
    text = BRANCHES.replace("default: true", "condition: 'false'") % "first"
    result = run_text(text, owner, {"n": 90})
    assert (result.status, fates(result)["check"]) == ("completed", "completed")
    assert fates(result)["other"] == "skipped not_taken"
    # No edge that leads there was offered: its predecessors were skipped.
    assert fates(result)["after"] == "skipped upstream_skipped"
    assert row(result, "after").details == {"cause": "check"}


def test_a_condition_that_cannot_be_evaluated_fails_its_node_and_is_not_false(owner):
    result = run_text(BRANCHES % "first", owner, {"n": "many"})
    assert fates(result) == {
        "start": "completed",
        "check": "failed condition_error",
        **dict.fromkeys(("low", "mid", "other", "after"), "skipped upstream_failed"),
    }
    assert (result.status, result.reason) == ("failed", "node_error")
    assert result.error["code"] == "condition_error"
    assert row(result, "check").output == {"n": "many"}
    assert {row(result, key).details["cause"] for key in ("low", "after")} == {"check"}


def test_a_false_condition_after_a_tool_refuses_its_edge(owner):
    result = run_text(
        """name: edge
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.set, inputs: {n: 1}}
  - {key: yes, type: adapter, output: 1}
  - {key: no, type: adapter, output: 2}
edges:
  - {from: t, to: a}
  - {from: a, to: yes, condition: n == 1}
  - {from: a, to: no, condition: n > input.least}
""",
        owner,
        {"least": 1},
    )
    assert (fates(result)["yes"], fates(result)["no"]) == ("completed", "skipped not_taken")


def test_an_error_edge_handles_the_failure(owner):
    result = run_text(
        """name: handled
nodes:
  - {key: t, type: trigger}
  - {key: bad, type: tool, tool: core.fail, inputs: {message: no route, type: ConnectionError}}
  - key: rescue
    type: tool
    tool: core.set
    inputs: {why: "${{ errors.bad.message }}", type: "${{ errors.bad.type }}"}
  - {key: handed, type: aggregator, strategy: merge}
  - {key: usual, type: adapter, output: usual}
  - {key: end, type: aggregator, strategy: list}
edges:
  - {from: t, to: bad}
  - {from: bad, to: usual}
  - {from: bad, to: rescue, handle: error}
  - {from: bad, to: handed, handle: error}
  - {from: usual, to: end}
  - {from: rescue, to: end}
""",
        owner,
    )
    assert (result.status, result.error) == ("completed", None)
    assert (fates(result)["bad"], fates(result)["usual"]) == ("failed node_error", "skipped not_taken")
    assert outputs(result)["rescue"] == {"why": "no route", "type": "ConnectionError"}
    error = {"code": "node_error", "message": "no route", "type": "ConnectionError", "node": "bad"}
    assert outputs(result)["handed"] == {"error": error}
    assert outputs(result)["end"] == [outputs(result)["rescue"]]


def test_an_error_edge_of_a_node_that_completes_is_not_taken(owner):
    result = run_text(
        """name: unhandled
nodes:
  - {key: t, type: trigger}
  - {key: good, type: tool, tool: core.set, inputs: {}}
  - {key: rescue, type: adapter, output: 1}
edges:
  - {from: t, to: good}
  - {from: good, to: rescue, handle: error}
""",
        owner,
    )
    assert fates(result)["rescue"] == "skipped not_taken"


def test_a_continued_failure_counts_as_completed_with_null(owner):
    result = run_text(FAILING % ("stop", "continue"), owner)
    assert (result.status, result.error) == ("completed", None)
    assert fates(result)["bad"] == "failed node_error"
    assert outputs(result)["child"] == {"seen": "nothing"}
    assert fates(result)["later"] == "completed"
    assert "bad" not in result.output_data


def test_a_failure_goes_no_further_than_its_descendants(owner):
    result = run_text(FAILING % ("continue", "fail"), owner)
    assert (result.status, result.reason, result.error_message) == ("failed", "node_error", "broken")
    assert fates(result) == {
        "start": "completed",
        "bad": "failed node_error",
        "child": "skipped upstream_failed",
        "other": "completed",
        "later": "completed",
    }


def test_a_failure_can_stop_what_has_not_started(owner):
    result = run_text(FAILING % ("stop", "fail"), owner)
    assert fates(result) == {
        "start": "completed",
        "bad": "failed node_error",
        "child": "skipped upstream_failed",
        "other": "cancelled stopped",
        "later": "cancelled stopped",
    }
    assert (result.status, result.reason) == ("failed", "node_error")


JOINS = """name: joins
nodes:
  - {key: t, type: trigger}
  - {key: good, type: adapter, output: {good: 1}}
  - {key: bad, type: tool, tool: core.fail, inputs: {}}
  - {key: closed, type: adapter, output: {closed: 1}}
  - {key: end, type: aggregator, strategy: merge, join: %s}
edges:
  - {from: t, to: good}
  - {from: t, to: bad}
  - {from: t, to: closed, condition: input.open}
  - {from: good, to: end}
  - {from: %s, to: end}
"""


@pytest.mark.parametrize(
    ("join", "beside", "fate"),
    [
        ("none_failed_min_one_success", "closed", "completed"),
        ("none_failed_min_one_success", "bad", "skipped upstream_failed"),
        ("all_success", "closed", "skipped join_rule"),
        ("all_success", "bad", "skipped upstream_failed"),
        ("one_success", "bad", "completed"),
        ("all_done", "bad", "completed"),
    ],
)
def test_a_join_decides_whether_its_node_runs(owner, join, beside, fate):
    result = run_text(JOINS % (join, beside), owner, {"open": False})
    assert fates(result)["end"] == fate
    if fate == "completed":
        assert outputs(result)["end"] == {"good": 1}


def test_retries_go_on_until_the_tool_succeeds(owner):
    text = """name: retries
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.fail, inputs: {times: 2, message: busy}, retry: {max_retries: %d, delay: 0%s}}
  - {key: b, type: adapter, output: "${{ nodes.a.attempt }}"}
edges: [{from: t, to: a}, {from: a, to: b}]
"""
    result = run_text(text % (5, ""), owner)
    assert (result.status, outputs(result)["b"], result.node_results["a"].retry_count) == ("completed", 3, 2)
    # Nothing of the failures before is left in a row that completed.
    assert (row(result, "a").error, row(result, "a").error_message, row(result, "a").traceback) == (None, "", "")
    result = run_text(text % (1, ""), owner)
    assert (fates(result)["a"], result.node_results["a"].retry_count) == ("failed node_error", 1)
    result = run_text(text % (5, ", retry_on: [OSError]"), owner)
    assert (fates(result)["a"], result.node_results["a"].retry_count) == ("failed node_error", 0)


@pytest.mark.parametrize("nodes", ["{nap: 1, text: 'a'}", "{}"])
def test_inputs_that_do_not_fit_a_tool_are_never_retried(owner, nodes):
    result = run_text(
        f"""name: unfit
nodes:
  - {{key: t, type: trigger}}
  - {{key: a, type: tool, tool: core.sleep, inputs: {nodes}, retry: {{max_retries: 3, delay: 0}}}}
edges: [{{from: t, to: a}}]
""",
        owner,
    )
    assert (fates(result)["a"], result.node_results["a"].retry_count) == ("failed node_error", 0)
    assert "core.sleep" in result.error_message
    assert "seconds" in result.error_message


def test_an_expression_that_fails_is_a_failure_of_its_node_that_names_the_path(owner):
    result = run_text(
        """name: missing
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.set, inputs: {x: "${{ input.deep.er }}"}, retry: {max_retries: 3, delay: 0}}
edges: [{from: t, to: a}]
""",
        owner,
        {"deep": {}},
    )
    assert (fates(result)["a"], result.node_results["a"].retry_count) == ("failed node_error", 0)
    assert result.error["type"] == "ExpressionError"
    assert "input.deep.er" in result.error_message


SLOW_AND_FAST = """name: limits
settings: {timeout_seconds: %s}
nodes:
  - {key: t, type: trigger}
  - {key: slow, type: tool, tool: core.sleep, inputs: {seconds: 40}, timeout_seconds: %s}
  - {key: fast, type: tool, tool: core.set, inputs: {x: 1}}
  - {key: after_slow, type: adapter, output: 1}
  - {key: after_fast, type: adapter, output: 2}
edges:
  - {from: t, to: slow}
  - {from: t, to: fast}
  - {from: slow, to: after_slow}
  - {from: fast, to: after_fast}
"""


def test_a_nodes_time_limit_is_its_own_failure_and_its_siblings_finish(owner):
    result = run_text(SLOW_AND_FAST % ("null", "0.05"), owner)
    assert fates(result) == {
        "t": "completed",
        "slow": "failed timeout",
        "fast": "completed",
        "after_slow": "skipped upstream_failed",
        "after_fast": "completed",
    }
    assert (result.status, result.reason) == ("failed", "node_error")
    assert result.error == {
        "code": "timeout",
        "message": "Node 'slow' did not finish within its limit of 0.05 seconds.",
        "type": "NodeTimeoutError",
        "node": "slow",
    }


def test_the_executions_time_limit_cancels_what_is_open(owner):
    result = run_text(SLOW_AND_FAST % ("0.3", "30"), owner)
    assert (result.status, result.reason) == ("failed", "timeout")
    assert fates(result)["slow"] == fates(result)["after_slow"] == "cancelled timeout"
    assert fates(result)["fast"] == "completed"
    assert (result.error["code"], result.error["node"]) == ("timeout", None)
    assert "0.3 seconds" in result.error_message


@pytest.mark.parametrize(("scheduling", "waits"), [("levels", True), ("eager", False)])
def test_a_level_waits_for_the_one_before_and_an_eager_node_for_its_own_predecessors(owner, tools, scheduling, waits):
    released, order = asyncio.Event(), []

    @tool("test.hold", effect="none")
    async def hold() -> int:
        # Under `levels` the node behind the sibling cannot release this one.
        if not waits:
            await released.wait()
        order.append("hold")
        return 1

    @tool("test.release", effect="none")
    async def release() -> int:
        order.append("release")
        released.set()
        return 1

    result = run_text(
        f"""name: schedules
settings: {{scheduling: {scheduling}}}
nodes:
  - {{key: t, type: trigger}}
  - {{key: fast, type: adapter, output: 1}}
  - {{key: hold, type: tool, tool: test.hold}}
  - {{key: release, type: tool, tool: test.release}}
edges: [{{from: t, to: fast}}, {{from: t, to: hold}}, {{from: fast, to: release}}]
""",
        owner,
    )
    assert result.status == "completed"
    assert order == (["hold", "release"] if waits else ["release", "hold"])


def test_the_journal_tells_the_skips_with_the_failure_that_caused_them(owner):
    result = run_text(FAILING % ("continue", "fail"), owner)
    (skipped,) = [entry for entry in journal(result) if entry.event == "node.skipped"]
    assert (skipped.node, skipped.data["cause"], skipped.data["reason"]) == ("child", "bad", "upstream_failed")
