"""The plan: a document as the engine takes it, and its snapshot."""

import json
from decimal import Decimal

import pytest

from tests.unit.dag.documents import edge, node, workflow
from workflows_app.dag.jsontext import JsonError
from workflows_app.dag.plan import Plan
from workflows_app.dag.types import Effect

DOCUMENT = workflow(
    [
        node("a", name="First", effect="idempotent", retry={"max_retries": 2, "delay": Decimal("0.10")}),
        node("b", join="none_failed_min_one_success"),
        {"key": "c", "type": "adapter", "output": None},
    ],
    [edge("start", "a"), edge("a", "b", priority=0), edge("b", "c", condition="x > 1.50")],
)


def test_a_snapshot_is_a_document_without_defaults_and_with_every_digit():
    text = Plan.from_document(DOCUMENT).to_json()
    assert '"delay":0.10' in text
    read = json.loads(text)
    assert read["nodes"][2] == {"key": "b", "type": "tool", "tool": "core.set"}
    assert read["edges"][1] == {"from": "a", "to": "b"}


def test_a_snapshot_gives_the_same_plan_again():
    plan = Plan.from_document(DOCUMENT)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("text", ["{", "[]", '{"name":"w","nodes":[],"edges":[],"more":1}'])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(JsonError):
        Plan.from_json(text)


def test_a_node_is_called_by_its_name_or_else_by_its_key():
    assert [node.label for node in Plan.from_document(DOCUMENT).nodes] == ["start", "First", "b", "c"]


def test_a_plan_knows_its_tools_with_the_effect_of_each_use():
    assert Plan.from_document(DOCUMENT).tools == {("core.set", Effect.IDEMPOTENT), ("core.set", Effect.NONE)}


def test_nodes_and_edges_are_addressed_by_their_position():
    plan = Plan.from_document(DOCUMENT)
    assert plan.ends == ((0, 1), (1, 2), (2, 3))
    assert plan.outgoing == ((0,), (1,), (2,), ())
    assert plan.incoming == ((), (0,), (1,), (2,))
    assert plan.levels == (0, 1, 2, 3)
