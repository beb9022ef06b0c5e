"""What a node gets and gives, from the text of a document to the record: merges, aggregators, outputs, agents."""

from decimal import Decimal

import pytest

from tests.integration.runs import fates, outputs, row, run_text
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_runs_input_reaches_the_first_node_over_the_variables(owner):
    result = run_text(
        """name: first
variables: {period: 14, symbol: IBM}
nodes:
  - {key: t, type: trigger}
  - {key: a, type: tool, tool: core.set}
edges: [{from: t, to: a}]
""",
        owner,
        {"symbol": "AAPL"},
    )
    assert outputs(result)["t"] == {"symbol": "AAPL"}
    assert row(result, "a").input == {"period": 14, "symbol": "AAPL"}
    assert outputs(result)["a"] == {"period": 14, "symbol": "AAPL"}


def test_without_an_input_a_trigger_gives_an_empty_object(owner):
    result = run_text("name: none\nnodes: [{key: t, type: trigger}]\nedges: []\n", owner)
    assert (outputs(result), result.output_data) == ({"t": {}}, {"t": {}})


def test_predecessors_merge_in_edge_order_and_what_is_no_object_under_its_nodes_key(owner):
    result = run_text(
        """name: merges
variables: {from: variables, kept: 1}
nodes:
  - {key: t, type: trigger}
  - {key: x, type: adapter, output: {from: x, own: x}}
  - {key: y, type: adapter, output: {from: y}}
  - {key: z, type: adapter, output: [1, 2]}
  - {key: bad, type: tool, tool: core.fail, inputs: {}, on_error: continue}
  - {key: closed, type: adapter, output: {from: closed}}
  - {key: end, type: tool, tool: core.set}
edges:
  - {from: t, to: x}
  - {from: t, to: y}
  - {from: t, to: z}
  - {from: t, to: bad}
  - {from: t, to: closed, condition: "false"}
  - {from: y, to: end}
  - {from: x, to: end}
  - {from: z, to: end}
  - {from: bad, to: end}
  - {from: closed, to: end}
""",
        owner,
        {"from": "input"},
    )
    assert outputs(result)["end"] == {"from": "x", "kept": 1, "own": "x", "z": [1, 2]}


def test_a_condition_gives_its_inputs_or_what_its_predecessors_gave_and_nothing_more(owner):
    result = run_text(
        """name: conditions
variables: {v: 1}
nodes:
  - {key: t, type: trigger}
  - {key: a, type: adapter, output: {n: 1}}
  - {key: plain, type: condition}
  - {key: own, type: condition, inputs: {double: "${{ nodes.a.n * 2 }}"}}
  - {key: x, type: adapter, output: 1}
  - {key: y, type: adapter, output: 1}
edges:
  - {from: t, to: a}
  - {from: a, to: plain}
  - {from: a, to: own}
  - {from: plain, to: x, condition: n == vars.v and input.i == 5}
  - {from: own, to: y, condition: double == 2 and n == 1}
""",
        owner,
        {"i": 5},
    )
    assert (outputs(result)["plain"], outputs(result)["own"]) == ({"n": 1}, {"double": 2})
    assert (fates(result)["x"], fates(result)["y"]) == ("completed", "completed")


def test_what_a_tool_changes_in_its_input_changes_nobody_elses(owner, tools):
    @tool("test.change", effect="none")
    def change(items: list[object]) -> list[object]:
        items.append("changed")
        return items

    result = run_text(
        """name: own
nodes:
  - {key: t, type: trigger}
  - {key: a, type: adapter, output: {items: [1]}}
  - {key: x, type: tool, tool: test.change, inputs: {items: "${{ nodes.a.items }}"}}
  - {key: y, type: tool, tool: test.change}
  - {key: end, type: adapter, output: "${{ nodes.a.items }}"}
edges: [{from: t, to: a}, {from: a, to: x}, {from: a, to: y}, {from: x, to: end}, {from: y, to: end}]
""",
        owner,
    )
    assert outputs(result)["x"] == outputs(result)["y"] == [1, "changed"]
    assert outputs(result)["end"] == [1]
    assert row(result, "y").input["items"] == [1]


OUTPUT = """name: mapped
output:
  b: "${{ nodes.b }}"
  a: "${{ default(nodes.a.n, 'none') }}"
  where: "${{ execution.trigger_type }} ${{ input.x }} ${{ vars.v }}"
  literal: "$${{ no }}"
variables: {v: [1, 2.50]}
nodes:
  - {key: t, type: trigger}
  - {key: a, type: adapter, output: {n: 1}}
  - {key: b, type: adapter, output: [1]}
edges: [{from: t, to: a, condition: input.go}, {from: t, to: b}]
"""


@pytest.mark.parametrize(("go", "a"), [(True, 1), (False, "none")])
def test_the_documents_output_is_a_mapping_over_all_nodes(owner, go, a):
    result = run_text(OUTPUT, owner, {"x": "here", "go": go})
    assert list(result.output_data.items()) == [
        ("b", [1]),
        ("a", a),
        ("where", "manual here [1,2.50]"),
        ("literal", "${{ no }}"),
    ]


def test_an_output_that_cannot_be_rendered_fails_the_execution_and_says_where(owner):
    result = run_text(OUTPUT.replace("input.x", "input.nowhere"), owner, {"go": True})
    assert (result.status, result.reason) == ("failed", "node_error")
    assert (result.error["type"], result.error["node"]) == ("ExpressionError", None)
    assert "input.nowhere" in result.error_message
    assert set(fates(result).values()) == {"completed"}


def test_values_are_rendered_once(owner):
    result = run_text(
        """name: once
nodes:
  - {key: t, type: trigger}
  - {key: a, type: adapter, output: "${{ input.text }}"}
  - {key: b, type: adapter, output: ["${{ nodes.a }}", "so: ${{ nodes.a }}"]}
edges: [{from: t, to: a}, {from: a, to: b}]
""",
        owner,
        {"text": "${{ input }}"},
    )
    assert outputs(result)["b"] == ["${{ input }}", "so: ${{ input }}"]


def test_an_agent_node_fails_with_a_sentence_and_its_siblings_run(owner):
    result = run_text(
        """name: agents
nodes:
  - {key: t, type: trigger}
  - {key: think, type: agent, provider: any, model: any, prompt: Think., retry: {max_retries: 3, delay: 0}}
  - {key: beside, type: adapter, output: 1}
edges: [{from: t, to: think}, {from: t, to: beside}]
""",
        owner,
    )
    assert fates(result) == {"t": "completed", "think": "failed node_error", "beside": "completed"}
    assert result.node_results["think"].retry_count == 0
    assert "There is no provider 'any'" in result.error_message
    assert result.error_message.endswith(".")


@pytest.mark.parametrize(
    ("strategy", "field", "result"),
    [
        ("merge", "", {"n": Decimal("2.5"), "a": 1, "b": 2}),
        ("list", "", [{"n": Decimal("0.1"), "a": 1}, {"n": Decimal("2.5"), "b": 2}]),
        ("first", "n", Decimal("0.1")),
        ("sum", "n", Decimal("2.6")),
        ("count", "", 2),
        ("avg", "n", Decimal("1.3")),
        ("min", "n", Decimal("0.1")),
        ("max", "n", Decimal("2.5")),
    ],
)
def test_an_aggregator_reduces_what_arrives_in_edge_order(owner, strategy, field, result):
    ended = run_text(
        f"""name: aggregated
nodes:
  - {{key: t, type: trigger}}
  - {{key: y, type: adapter, output: {{n: 2.5, b: 2}}}}
  - {{key: x, type: adapter, output: {{n: 0.1, a: 1}}}}
  - {{key: bad, type: tool, tool: core.fail, inputs: {{}}, on_error: continue}}
  - {{key: end, type: aggregator, strategy: {strategy}, field: "{field}"}}
edges:
  - {{from: t, to: x}}
  - {{from: t, to: y}}
  - {{from: t, to: bad}}
  - {{from: x, to: end}}
  - {{from: y, to: end}}
  - {{from: bad, to: end}}
""",
        owner,
    )
    assert outputs(ended)["end"] == result


@pytest.mark.parametrize(
    ("strategy", "result"),
    [("merge", {}), ("list", []), ("first", None), ("sum", 0), ("count", 0), ("avg", None), ("min", None)],
)
def test_an_aggregator_over_nothing_gives_the_strategys_nothing(owner, strategy, result):
    ended = run_text(
        f"""name: nothing
nodes:
  - {{key: t, type: trigger}}
  - {{key: bad, type: tool, tool: core.fail, inputs: {{}}, on_error: continue}}
  - {{key: end, type: aggregator, strategy: {strategy}}}
edges: [{{from: t, to: bad}}, {{from: bad, to: end}}]
""",
        owner,
    )
    assert fates(ended)["end"] == "completed"
    assert outputs(ended)["end"] == result
