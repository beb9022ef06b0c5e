"""The reference model against examples that were worked out by hand from the rules."""

import pytest

from tests.unit.engine.reference import BROKEN_CONDITION, EdgeState, Fail, Fate, Succeed, predict

CONDITION = {"type": "condition"}
CONTINUE = {"on_error": "continue"}
FAILS = Fail("Refused")
TAKEN, REFUSED, BROKEN, DEAD = EdgeState


def edge(arrow, condition=None, **more):
    """`a>b` is an edge, `a!b` an error edge."""
    handle = "!" in arrow
    source, target = arrow.split("!" if handle else ">")
    found = {"from": source, "to": target} | ({"handle": "error"} if handle else {}) | more
    return found | ({"condition": condition} if condition else {})


def document_of(edges, nodes, on_failure="continue"):
    """`t` and what begins so are triggers, every other node of an edge is a tool unless `nodes` says otherwise."""
    edges = [edge(item) if isinstance(item, str) else item for item in edges]
    keys = dict.fromkeys(key for item in edges for key in (item["from"], item["to"]))
    return {
        "name": "example",
        "settings": {"on_failure": on_failure},
        "nodes": [
            {"key": key, "type": "trigger" if key[0] == "t" else "tool"} | nodes.get(key, {}) for key in keys or ["t"]
        ],
        "edges": edges,
    }


def fates(edges, nodes=None, execution_input=None, **behaviour):
    """The prediction; nodes that are not named in `behaviour` return `{"n": 4}`."""
    document = document_of(edges, nodes or {})
    does = {node["key"]: Succeed({"n": 4}) for node in document["nodes"]} | behaviour
    return predict(document, does, execution_input=execution_input)


def short(prediction, *keys):
    """`completed`, or the reason with the cause of a skip."""
    found = (prediction.nodes[key] for key in keys)
    return [f"{fate.reason or fate.status}" + (f" {fate.cause}" if fate.cause else "") for fate in found]


# One source for every state of its edge to `j`.
SOURCES = {
    TAKEN: ["t>a", "a>j"],
    REFUSED: ["t>r", edge("r>j", "false")],
    BROKEN: ["t>b", "b>j"],
    DEAD: [edge("t>d", "false"), "d>j"],
}
RUNS, FAILED, RULE, REFUSAL = "completed", "upstream_failed b", "join_rule", "not_taken r"


@pytest.mark.parametrize(
    ("states", "default", "all_success", "one_success"),
    [
        ([TAKEN], RUNS, RUNS, RUNS),
        ([REFUSED], REFUSAL, REFUSAL, REFUSAL),
        ([BROKEN], FAILED, FAILED, FAILED),
        # The cause of `d` is `t`, which refused it.
        ([DEAD], "upstream_skipped t", "upstream_skipped t", "upstream_skipped t"),
        ([TAKEN, REFUSED], RUNS, "join_rule r", RUNS),
        ([TAKEN, BROKEN], FAILED, FAILED, RUNS),
        ([TAKEN, DEAD], RUNS, "join_rule t", RUNS),
        ([REFUSED, BROKEN], FAILED, FAILED, FAILED),
        ([REFUSED, DEAD], REFUSAL, REFUSAL, REFUSAL),
        ([BROKEN, DEAD], FAILED, FAILED, FAILED),
        ([TAKEN, REFUSED, BROKEN], FAILED, FAILED, RUNS),
        ([TAKEN, REFUSED, DEAD], RUNS, "join_rule r", RUNS),
        ([TAKEN, DEAD, REFUSED], RUNS, "join_rule t", RUNS),
        ([TAKEN, BROKEN, DEAD], FAILED, FAILED, RUNS),
        ([REFUSED, BROKEN, DEAD], FAILED, FAILED, FAILED),
        ([TAKEN, REFUSED, BROKEN, DEAD], FAILED, FAILED, RUNS),
    ],
)
def test_a_join_decides_by_the_states_of_its_edges(states, default, all_success, one_success):
    edges = [item for state in states for item in SOURCES[state]]
    expected = {
        "none_failed_min_one_success": default,
        "all_success": all_success,
        "one_success": one_success,
        "all_done": RUNS,
    }
    found = {join: short(fates(edges, {"j": {"join": join}}, b=FAILS), "j")[0] for join in expected}
    assert found == expected


def test_a_trigger_alone_completes():
    found = fates([])
    assert (found.status, found.reason) == ("completed", None)
    assert found.nodes == {"t": Fate(status="completed", attempts=1)}


def test_a_failed_parent_skips_its_descendants_with_itself_as_the_cause():
    found = fates(["t>a", "a>b", "b>c", "t>d"], a=FAILS)
    assert short(found, "a", "b", "c", "d") == ["node_error", "upstream_failed a", "upstream_failed a", "completed"]
    assert (found.status, found.reason, found.unhandled) == ("failed", "node_error", {"a"})


def test_the_first_broken_edge_in_document_order_gives_the_cause():
    assert short(fates(["t>a", "t>b", "b>j", "a>j"], a=FAILS, b=FAILS), "j") == ["upstream_failed b"]
    assert short(fates(["t>a", "t>b", "a>j", "b>j"], a=FAILS, b=FAILS), "j") == ["upstream_failed a"]


def test_a_chain_of_skips_keeps_its_first_cause():
    found = fates(["t>a", edge("a>b", "n > 4"), "b>c", "c>d"])
    assert short(found, "b", "c", "d") == ["not_taken a", "upstream_skipped a", "upstream_skipped a"]
    assert found.status == "completed"


def test_a_join_rule_skip_is_dead_for_what_comes_after_it():
    found = fates(["t>a", "t>r", "a>j", edge("r>j", "false"), "j>k"], {"j": {"join": "all_success"}})
    assert short(found, "j", "k") == ["join_rule r", "upstream_skipped r"]


def test_exclusive_branches_rejoin():
    edges = ["t>c", edge("c>low", "n > 5"), edge("c>high", "n > 3"), "low>end", "high>end"]
    found = fates(edges, {"c": CONDITION})
    assert short(found, "low", "high", "end") == ["not_taken c", "completed", "completed"]
    assert found.edges == (TAKEN, REFUSED, TAKEN, DEAD, TAKEN)


def test_nested_conditions_skip_the_inner_one_as_a_whole():
    edges = ["t>c", edge("c>d", "false"), edge("d>x", "true"), edge("d>y", default=True), edge("c>z", default=True)]
    found = fates([*edges, "x>end", "y>end", "z>end"], {"c": CONDITION, "d": CONDITION})
    assert short(found, "d", "x", "y") == ["not_taken c", "upstream_skipped c", "upstream_skipped c"]
    assert short(found, "z", "end") == ["completed", "completed"]


def test_the_first_true_edge_by_priority_is_taken_and_later_ones_are_not_evaluated():
    edges = ["t>c", edge("c>x", BROKEN_CONDITION, priority=2), edge("c>y", "true", priority=1), edge("c>z", "true")]
    assert short(fates(edges, {"c": CONDITION}), "x", "y", "z") == ["not_taken c", "not_taken c", "completed"]
    edges[3] = edge("c>z", "true", priority=3)
    assert short(fates(edges, {"c": CONDITION}), "x", "y", "z") == ["not_taken c", "completed", "not_taken c"]


def test_among_equal_priorities_the_first_in_the_document_is_taken():
    edges = ["t>c", edge("c>x", "true", priority=1), edge("c>y", priority=1), edge("c>z", "false")]
    assert short(fates(edges, {"c": CONDITION}), "x", "y", "z") == ["completed", "not_taken c", "not_taken c"]


def test_an_edge_of_a_condition_without_a_condition_counts_as_true():
    edges = ["t>c", edge("c>x", default=True), "c>y", "c>z"]
    assert short(fates(edges, {"c": CONDITION}), "x", "y", "z") == ["not_taken c", "completed", "not_taken c"]


def test_the_default_is_taken_where_nothing_is_true_whatever_its_priority():
    edges = ["t>c", edge("c>x", default=True, priority=-1), edge("c>y", "false"), edge("c>z", "n > 4")]
    for match in ("first", "all"):
        found = fates(edges, {"c": CONDITION | {"match": match}})
        assert short(found, "x", "y", "z") == ["completed", "not_taken c", "not_taken c"]


def test_match_all_takes_every_true_edge_and_then_no_default():
    edges = ["t>c", edge("c>x", "true"), edge("c>y", "false"), "c>z", edge("c>w", default=True)]
    document = document_of(edges, {"c": CONDITION | {"match": "all"}})
    found = fates(edges, {"c": CONDITION | {"match": "all"}})
    assert short(found, "x", "y", "z", "w") == ["completed", "not_taken c", "completed", "not_taken c"]
    assert found.taken(document, "c") == ["x", "z"]


def test_a_condition_that_takes_nothing_completes():
    found = fates(["t>c", edge("c>x", "false"), edge("c>y", "false")], {"c": CONDITION})
    assert short(found, "c", "x", "y") == ["completed", "not_taken c", "not_taken c"]
    assert found.status == "completed"


def test_edges_of_a_tool_are_taken_unless_their_condition_is_false():
    edges = ["t>a", edge("a>x", "n > 3"), edge("a>y", "n > 4"), "a>z"]
    assert short(fates(edges), "x", "y", "z") == ["completed", "not_taken a", "completed"]


def test_edges_of_a_trigger_are_decided_by_the_input():
    edges = [edge("t>x", "n > 3"), edge("t>y", "nodes.t.n > 4")]
    assert short(fates(edges, execution_input={"n": 4}), "x", "y") == ["completed", "not_taken t"]


@pytest.mark.parametrize("kind", ["tool", "condition"])
def test_a_condition_that_cannot_be_evaluated_fails_its_node(kind):
    found = fates(["t>a", edge("a>x", BROKEN_CONDITION), edge("a>y", "true", priority=1)], {"a": {"type": kind}})
    assert short(found, "a", "x", "y") == ["condition_error", "upstream_failed a", "upstream_failed a"]
    assert (found.status, found.reason) == ("failed", "node_error")


def test_a_condition_error_is_not_retried():
    node = {"retry": {"max_retries": 2, "delay": 0}}
    found = fates(["t>a", edge("a>x", BROKEN_CONDITION)], {"a": node}, a=Succeed({"n": 4}, after=1))
    assert found.nodes["a"] == Fate(status="failed", reason="condition_error", attempts=2)


@pytest.mark.parametrize("output", [None, 4, [4], {}, {"m": 4}])
def test_a_comparison_needs_its_name_in_the_output(output):
    assert short(fates(["t>a", edge("a>x", "n > 3")], a=Succeed(output)), "a") == ["condition_error"]


def test_an_error_edge_handles_the_failure_and_its_branch_rejoins():
    found = fates(["t>a", "a>x", "a!repair", "x>end", "repair>end"], a=FAILS)
    assert short(found, "a", "x", "repair", "end") == ["node_error", "not_taken a", "completed", "completed"]
    assert (found.status, found.handled, found.unhandled) == ("completed", {"a"}, frozenset())


def test_an_error_edge_is_refused_when_its_source_completes():
    found = fates(["t>a", "a>x", edge("a!repair", BROKEN_CONDITION), "x>end", "repair>end"])
    assert short(found, "a", "x", "repair", "end") == ["completed", "completed", "not_taken a", "completed"]


def test_an_error_edge_of_a_skipped_node_is_broken_or_dead_like_any_other():
    assert short(fates(["t>a", "a>b", "b!c"], a=FAILS), "c") == ["upstream_failed a"]
    assert short(fates([edge("t>a", "false"), "a!c"]), "c") == ["upstream_skipped t"]


def test_a_failure_is_not_handled_where_no_error_edge_is_chosen():
    found = fates(["t>a", "a>x", edge("a!y", "false"), edge("a!z", 'errors.a.type == "Unreachable"')], a=FAILS)
    assert short(found, "x", "y", "z") == ["upstream_failed a", "not_taken a", "not_taken a"]
    assert (found.status, found.unhandled) == ("failed", {"a"})


def test_one_chosen_error_edge_handles_the_failure_and_the_others_are_refused():
    found = fates(["t>a", "a>x", edge("a!y", "false"), edge("a!z", 'errors.a.type == "Refused"')], a=FAILS)
    assert short(found, "x", "y", "z") == ["not_taken a", "not_taken a", "completed"]
    assert found.status == "completed"


def test_an_error_edge_that_cannot_be_evaluated_breaks_all_edges():
    found = fates(["t>a", "a>x", edge("a!y", BROKEN_CONDITION), "a!z"], a=FAILS)
    assert short(found, "a", "x", "y", "z") == ["condition_error", *["upstream_failed a"] * 3]
    assert (found.status, found.unhandled) == ("failed", {"a"})


@pytest.mark.parametrize("kind", ["tool", "condition"])
def test_an_error_edge_handles_a_condition_error_too(kind):
    found = fates(["t>a", edge("a>x", BROKEN_CONDITION), "a!y"], {"a": {"type": kind}})
    assert short(found, "a", "x", "y") == ["condition_error", "not_taken a", "completed"]
    assert found.status == "completed"


def test_a_continued_failure_counts_as_completed():
    found = fates(["t>a", "a>x", "a!y", "x>z"], {"a": CONTINUE, "x": {"join": "all_success"}}, a=FAILS)
    assert short(found, "a", "x", "y", "z") == ["node_error", "completed", "not_taken a", "completed"]
    assert (found.status, found.continued, found.handled) == ("completed", {"a"}, frozenset())


def test_conditions_after_a_continued_failure_see_null():
    literal = fates(["t>a", edge("a>x", "false"), edge("a>y", "true")], {"a": CONTINUE}, a=FAILS)
    assert short(literal, "a", "x", "y") == ["node_error", "not_taken a", "completed"]
    # One of them cannot be evaluated: only the edges without a condition are left.
    comparing = fates(["t>a", edge("a>x", "n > 3"), edge("a>y", "true"), "a>z"], {"a": CONTINUE}, a=FAILS)
    assert short(comparing, "a", "x", "y", "z") == ["node_error", "not_taken a", "not_taken a", "completed"]
    assert comparing.status == "completed"


def test_a_continued_condition_error_takes_the_edges_without_a_condition():
    found = fates(["t>a", edge("a>x", BROKEN_CONDITION), edge("a>y", "true"), "a>z"], {"a": CONTINUE})
    assert short(found, "a", "x", "y", "z") == ["condition_error", "not_taken a", "not_taken a", "completed"]
    assert found.status == "completed"


@pytest.mark.parametrize("does", [FAILS, Succeed({"n": 4})])
def test_a_condition_node_whose_failure_is_continued_takes_its_default_only(does):
    edges = ["t>c", edge("c>x", BROKEN_CONDITION), edge("c>y"), edge("c>z", default=True), "c!w"]
    found = fates(edges, {"c": CONDITION | CONTINUE}, c=does)
    assert short(found, "x", "y", "z", "w") == ["not_taken c", "not_taken c", "completed", "not_taken c"]
    assert found.status == "completed"


def test_a_handled_failure_does_not_hide_an_unhandled_one():
    found = fates(["t>a", "a!x", "t>b", "b>y", "x>end", "y>end"], {"end": {"join": "all_done"}}, a=FAILS, b=FAILS)
    assert short(found, "x", "y", "end") == ["completed", "upstream_failed b", "completed"]
    assert (found.status, found.handled, found.unhandled) == ("failed", {"a"}, {"b"})


@pytest.mark.parametrize(
    ("retry", "does", "status", "attempts"),
    [
        ({"max_retries": 2}, Fail("Refused"), "failed", 3),
        ({"max_retries": 2}, Succeed(1, after=2), "completed", 3),
        ({"max_retries": 1}, Succeed(1, after=2), "failed", 2),
        ({"max_retries": 2, "retry_on": ["Refused"]}, Fail("Unreachable"), "failed", 1),
        ({"max_retries": 2, "retry_on": ["Refused"]}, Succeed(1, 1, "Refused"), "completed", 2),
        ({"max_retries": 2, "retry_on": ["Refused"], "never_retry_on": ["Refused"]}, Fail("Refused"), "failed", 1),
        ({}, Succeed(1, after=0), "completed", 1),
    ],
)
def test_a_node_is_tried_as_often_as_its_policy_says(retry, does, status, attempts):
    found = fates(["t>a"], {"a": {"retry": retry}}, a=does)
    assert (found.nodes["a"].status, found.nodes["a"].attempts) == (status, attempts)


def test_a_document_with_a_cycle_is_refused():
    with pytest.raises(ValueError, match="wait for each other"):
        fates(["t>a", "a>b", "b>a"])


def test_a_condition_that_the_model_does_not_know_is_refused():
    with pytest.raises(ValueError, match="does not know"):
        fates(["t>a", edge("a>b", "n * 2 > 3")])
