"""What the validator believes about a run, against runs: every outcome that chance can find."""

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows_app.dag import lineage
from workflows_app.dag.lineage import Lineage
from workflows_app.dag.outline import Outline

JOINS = ["none_failed_min_one_success", "all_success", "one_success", "all_done"]


@st.composite
def workflows(draw):
    """A trigger and up to six nodes behind it, with joins, conditions, defaults and error edges."""
    count = draw(st.integers(2, 7))
    nodes = [{"key": "n0", "type": "trigger"}]
    edges = []
    for number in range(1, count):
        node = {"key": f"n{number}", "type": draw(st.sampled_from(["tool", "condition"]))}
        node["join"] = draw(st.sampled_from(JOINS))
        if draw(st.integers(0, 4)) == 0:
            node["on_error"] = "continue"
        nodes.append(node)
        for source in sorted(draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3))):
            for handle in draw(st.sampled_from([["out"], ["out"], ["error"], ["out", "error"]])):
                edge = {"from": f"n{source}", "to": f"n{number}", "handle": handle if source else "out"}
                if draw(st.integers(0, 3)) == 0:
                    edge["condition"] = "x"
                if edge not in edges:
                    edges.append(edge)
    return {"name": "w", "nodes": nodes, "edges": edges}


def run(document, failing, false):
    """The statuses of the nodes, and whether all failures were handled, by the rules of joins and edges.

    `failing` are the nodes that fail if they run, `false` the edges whose condition is false.
    """
    states, statuses, unhandled = {}, {}, False
    for node in document["nodes"]:
        key = node["key"]
        incoming = [states[i] for i, edge in enumerate(document["edges"]) if edge["to"] == key]
        status = decide(node, incoming)
        if status == "runs":
            status = "completed" if key not in failing or node["type"] == "trigger" else "failed"
            if status == "failed" and node.get("on_error") == "continue":
                status = "continued"
        statuses[key] = status
        outgoing = [(i, edge) for i, edge in enumerate(document["edges"]) if edge["from"] == key]
        taken = {i for i, edge in outgoing if leaves(node, edge, status, i in false)}
        if status == "completed" and node["type"] == "condition":
            taken = set(sorted(taken)[:1])
        handled = status == "failed" and bool(taken)
        unhandled |= status == "failed" and not handled
        for i, edge in outgoing:
            states[i] = "taken" if i in taken else missed(status, edge, handled)
    return statuses, not unhandled


def decide(node, incoming):
    if node["type"] == "trigger" or node["join"] == "all_done":
        return "runs"
    fits = {
        "none_failed_min_one_success": "broken" not in incoming and "taken" in incoming,
        "all_success": all(state == "taken" for state in incoming),
        "one_success": "taken" in incoming,
    }
    if fits[node["join"]]:
        return "runs"
    return "skipped_by_failure" if "broken" in incoming else "skipped"


def leaves(node, edge, status, is_false):
    if edge["handle"] == "error":
        return status == "failed" and not is_false
    if status == "continued":
        return node["type"] != "condition" and not is_false
    return status == "completed" and not is_false


def missed(status, edge, handled):
    if status == "skipped":
        return "dead"
    if status == "skipped_by_failure" or (status == "failed" and not handled and edge["handle"] == "out"):
        return "broken"
    return "refused"


@settings(max_examples=600)
@given(workflows(), st.data())
def test_what_is_said_to_have_completed_has_completed_in_every_run(document, data):
    keys = [node["key"] for node in document["nodes"]]
    conditional = [i for i, edge in enumerate(document["edges"]) if "condition" in edge]
    order = Lineage(Outline(document))
    pairs = {(node, other) for node in keys for other in keys}
    verdict = order.judge(pairs)
    for _ in range(8):
        failing = data.draw(st.sets(st.sampled_from(keys)))
        false = data.draw(st.sets(st.sampled_from(conditional))) if conditional else set()
        statuses, succeeded = run(document, failing, false)
        for node, other in pairs - verdict.strangers - verdict.unsure:
            if statuses[node] in ("completed", "failed", "continued"):
                assert statuses[other] == "completed", (node, other, statuses)
        if succeeded:
            assert all(statuses[key] == "completed" for key in keys if order.surely_ends_with_output(key)), statuses


@given(workflows())
def test_strangers_are_all_that_are_no_ancestors(document):
    graph = networkx.DiGraph((edge["from"], edge["to"]) for edge in document["edges"])
    graph.add_nodes_from(node["key"] for node in document["nodes"])
    pairs = {(node, other) for node in graph for other in graph}
    expected = {(node, other) for node, other in pairs if other not in networkx.ancestors(graph, node)}
    assert Lineage(Outline(document)).judge(pairs).strangers == expected


@given(workflows())
def test_many_passes_over_parts_of_the_bits_say_the_same_as_one(document):
    keys = [node["key"] for node in document["nodes"]]
    pairs = {(node, other) for node in keys for other in keys}
    whole = Lineage(Outline(document)).judge(pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lineage, "_FEWEST_BITS", 1)
        patch.setattr(lineage, "_MAX_BITS", 1)
        assert Lineage(Outline(document)).judge(pairs) == whole


@given(workflows(), st.permutations(range(8)))
def test_the_order_of_nodes_and_edges_in_the_document_does_not_matter(document, order):
    nodes, edges = document["nodes"], document["edges"]
    shuffled = {
        "name": "w",
        "nodes": [nodes[i] for i in order if i < len(nodes)],
        "edges": edges[::-1],
    }
    pairs = {(one["key"], two["key"]) for one in nodes for two in nodes}
    assert Lineage(Outline(shuffled)).judge(pairs) == Lineage(Outline(document)).judge(pairs)


def test_a_long_chain_is_judged_in_one_pass():
    count = 20_000
    document = {
        "name": "w",
        "nodes": [{"key": f"n{i}", "type": "tool"} for i in range(count)],
        "edges": [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(count - 1)],
    }
    pairs = {(f"n{i}", f"n{i // 2}") for i in range(1, count)} | {("n5", "n9")}
    verdict = Lineage(Outline(document)).judge(pairs)
    assert (verdict.strangers, verdict.unsure) == ({("n5", "n9")}, set())
