"""What two documents differ in, as people look for it: by node, by edge, by key."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag.differences import Change, Difference, Field, Part, differences

BEFORE = {
    "name": "fee",
    "variables": {"rate": Decimal("0.10"), "old": 1},
    "nodes": [
        {"key": "start", "type": "trigger"},
        {"key": "fee", "type": "tool", "tool": "core.set", "retry": {"max_retries": 1, "delay": 2}},
        {"key": "gone", "type": "adapter", "output": None},
    ],
    "edges": [{"from": "start", "to": "fee"}, {"from": "start", "to": "gone", "label": "x"}],
}


def changed(**parts):
    return {**BEFORE, **parts}


def found(after):
    return [(one.change, one.part, one.name, [(f.path, f.before, f.after) for f in one.fields])
            for one in differences(BEFORE, after)]  # fmt: skip


def test_equal_documents_differ_in_nothing():
    assert differences(BEFORE, changed()) == []


def test_a_changed_key_is_told_with_its_path_and_both_values():
    after = changed(variables={"rate": Decimal("0.2"), "new": True})
    assert found(after) == [
        ("changed", "workflow", "variables", [("rate", "0.10", "0.2"), ("old", "1", None), ("new", None, "true")])
    ]


def test_a_key_that_comes_or_goes_is_told_as_a_whole():
    after = {key: value for key, value in changed(labels=["a"]).items() if key != "variables"}
    assert found(after) == [
        ("removed", "workflow", "variables", [("", '{"rate":0.10,"old":1}', None)]),
        ("added", "workflow", "labels", [("", None, '["a"]')]),
    ]


def test_nodes_are_compared_by_key_wherever_they_stand():
    fee = {**BEFORE["nodes"][1], "retry": {"max_retries": 3, "delay": 2}}
    new = {"key": "new", "type": "condition"}
    assert found(changed(nodes=[new, fee, BEFORE["nodes"][0]])) == [
        ("changed", "node", "fee", [("retry.max_retries", "1", "3")]),
        ("removed", "node", "gone", [("", '{"key":"gone","type":"adapter","output":null}', None)]),
        ("added", "node", "new", [("", None, '{"key":"new","type":"condition"}')]),
    ]


def test_edges_are_compared_by_their_ends_and_handle():
    error = {"from": "start", "to": "fee", "handle": "error"}
    after = changed(edges=[*BEFORE["edges"][:1], error, {"from": "start", "to": "gone", "label": "y"}])
    assert found(after) == [
        ("changed", "edge", "start -> gone", [("label", '"x"', '"y"')]),
        ("added", "edge", "start -> fee (error)", [("", None, '{"from":"start","to":"fee","handle":"error"}')]),
    ]


def test_another_order_of_edges_is_a_difference():
    assert found(changed(edges=BEFORE["edges"][::-1])) == [
        ("changed", "workflow", "order of edges",
         [("", '["start -> fee","start -> gone"]', '["start -> gone","start -> fee"]')])
    ]  # fmt: skip


def test_numbers_that_are_equal_but_written_differently_differ():
    one = {"name": "x", "nodes": [], "edges": [], "variables": {"a": 1}}
    other = {**one, "variables": {"a": True}}
    assert differences(one, other) == [
        Difference(
            change=Change.CHANGED,
            part=Part.WORKFLOW,
            name="variables",
            fields=[Field(path="a", before="1", after="true")],
        )
    ]


VALUES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.dictionaries(st.sampled_from("de"), st.none()))


@given(VALUES, VALUES)
def test_there_is_a_difference_exactly_where_the_documents_are_not_equal(one, other):
    forward, back = differences(one, other), differences(other, one)
    assert (forward == []) is (one == other)
    turned = {
        Change.ADDED: Change.REMOVED,
        Change.REMOVED: Change.ADDED,
        Change.CHANGED: Change.CHANGED,
    }
    assert {(one.name, one.change) for one in forward} == {(one.name, turned[one.change]) for one in back}
