"""The validator: expressions, what they refer to, and whether it fits the declared schemas."""

import itertools

import pytest

from tests.unit.dag.documents import edge
from workflows_app.dag.problems import errors_of
from workflows_app.dag.types import Effect, ToolInfo
from workflows_app.dag.validation import validate

PRICES = ToolInfo(
    name="prices",
    effect=Effect.NONE,
    input_schema={
        "type": "object",
        "properties": {
            "symbol": {"type": "string"},
            "until": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "days": {"$ref": "#/$defs/Days"},
            "ratio": {"type": "number"},
            "extra": {},
        },
        "required": ["symbol"],
        "additionalProperties": False,
        "$defs": {"Days": {"type": "integer", "minimum": 1}},
    },
    output_schema={
        "$ref": "#/$defs/Result",
        "$defs": {
            "Result": {
                "type": "object",
                "properties": {
                    "closes": {"type": "array", "items": {"type": "number"}},
                    "count": {"type": "integer"},
                    "name": {"type": "string"},
                    "first": {"anyOf": [{"$ref": "#/$defs/Day"}, {"type": "null"}]},
                },
                "additionalProperties": False,
            },
            "Day": {"type": "object", "properties": {"close": {"type": "number"}}, "additionalProperties": False},
        },
    },
)
OPEN = ToolInfo(name="open", effect=Effect.NONE, input_schema={"type": "object"}, output_schema={"type": "object"})
CATALOGUE = {info.name: info for info in (PRICES, OPEN)}


def node(key, **more):
    return {"key": key, "type": "tool", "tool": "open", **more}


def adapter(key, output, **more):
    return {"key": key, "type": "adapter", "output": output, **more}


def workflow(nodes, edges, **more):
    return {"name": "w", "nodes": [{"key": "start", "type": "trigger"}, *nodes], "edges": edges, **more}


def chain(*nodes, **more):
    """A document in which every node follows the one before."""
    keys = ["start", *(part["key"] for part in nodes)]
    return workflow(list(nodes), [edge(a, b) for a, b in itertools.pairwise(keys)], **more)


def problems(document):
    return validate(document, CATALOGUE)


def codes(document):
    return [str(problem.code) for problem in problems(document)]


def only(document):
    found = problems(document)
    assert len(found) == 1, [str(problem) for problem in found]
    return found[0]


# --- syntax and names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["${{ 1 + }}", "${{ input.x", "${{ import os }}", "a ${{ input.x }} ${{ ) }}"])
def test_an_expression_that_cannot_be_read_is_reported_where_it_is(text):
    problem = only(chain(adapter("a", {"rows": [1, {"x": text}]})))
    assert (problem.code, problem.node, problem.field) == ("INVALID_EXPRESSION", "a", "output.rows[1].x")


def test_a_wrong_expression_does_not_hide_the_next_one():
    found = problems(chain(adapter("a", ["${{ 1 + }}", "${{ nodes.b.x }}"])))
    assert [problem.code for problem in found] == ["INVALID_EXPRESSION", "UNKNOWN_REFERENCE"]


def test_a_condition_is_written_bare():
    document = chain({"key": "c", "type": "condition"}, node("a"))
    document["edges"][1]["condition"] = "${{ value < 3 }}"
    problem = only(document)
    assert (problem.code, problem.edge, problem.field) == ("INVALID_EXPRESSION", "c -> a", "condition")
    assert "without ${{" in problem.message


def test_an_escaped_opening_is_text():
    assert codes(chain(adapter("a", "costs $${{ nodes.nowhere }}"))) == []


@pytest.mark.parametrize(
    "document",
    [
        chain(adapter("a", "${{ secrets.token }}")),
        chain({"key": "a", "type": "condition", "inputs": {"x": "${{ secrets.token }}"}}, node("b")),
        chain({"key": "a", "type": "agent", "provider": "p", "model": "m", "prompt": "${{ secrets.token }}"}),
        chain(node("a"), output={"x": "${{ secrets.token }}"}),
        workflow([node("a")], [edge("start", "a", condition="secrets.token == 1")]),
    ],
)
def test_secrets_belong_into_the_inputs_of_tools_and_agents(document):
    assert codes(document) == ["INVALID_EXPRESSION"]


def test_the_inputs_of_tools_and_agents_may_use_secrets():
    agent = {"key": "b", "type": "agent", "agent": "analyst", "inputs": {"x": "${{ secrets.token }}"}}
    assert codes(chain(node("a", inputs={"x": "Bearer ${{ secrets.token }}"}), agent)) == []


@pytest.mark.parametrize("root", ["nodes", "errors"])
def test_a_reference_to_a_missing_node_names_the_closest(root):
    problem = only(chain(node("prices"), adapter("a", "${{ %s.prics.x }}" % root)))
    assert problem.code == "UNKNOWN_REFERENCE"
    assert "Did you mean 'prices'?" in problem.message


def test_a_bare_name_in_a_template_is_answered_with_its_root():
    first, second, third = problems(
        chain(
            node("rsi"), adapter("a", ["${{ period }}", "${{ rsi.value }}", "${{ inputs.x }}"]), variables={"period": 1}
        )
    )
    assert {problem.code for problem in (first, second, third)} == {"UNKNOWN_REFERENCE"}
    assert "Did you mean 'vars.period'?" in first.message
    assert "Did you mean 'nodes.rsi'?" in second.message
    assert "Did you mean 'input'?" in third.message


def test_bare_names_in_conditions_are_left_to_the_run():
    assert codes(workflow([node("a")], [edge("start", "a", condition="value < limit and not flag")])) == []


def test_names_in_a_comprehension_are_its_own():
    assert codes(chain(adapter("a", "${{ [row.x for row in input.rows if row.x > 1] }}"))) == []


def test_the_execution_has_three_fields():
    good = "${{ [execution.id, execution.trigger_type, execution.started_at] }}"
    assert codes(chain(adapter("a", good))) == []
    assert codes(chain(adapter("a", "${{ execution.owner }}"))) == ["UNKNOWN_REFERENCE"]


def test_a_variable_must_exist_unless_its_absence_is_provided_for():
    document = chain(adapter("a", ["${{ default(vars.lmit, 3) }}", "${{ has(vars.x) }}"]), variables={"limit": 1})
    assert codes(document) == []
    document["nodes"][1]["output"].append("${{ vars.lmit }}")
    problem = only(document)
    assert (problem.code, problem.field) == ("UNKNOWN_VARIABLE", "output[2]")
    assert "Did you mean 'limit'?" in problem.message


def test_the_same_wrong_name_twice_in_a_text_is_one_problem():
    assert codes(chain(adapter("a", "${{ vars.x + vars.x }}"))) == ["UNKNOWN_VARIABLE"]


# --- order -----------------------------------------------------------------------------------------------


def test_every_ancestor_can_be_used():
    assert codes(chain(adapter("a", "${{ nodes.start.x }}"))) == []
    assert codes(chain(node("a"), node("b"), node("c"), adapter("d", "${{ [nodes.a, nodes.b, nodes.start] }}"))) == []


@pytest.mark.parametrize("key", ["later", "beside", "here"])
def test_only_ancestors_can_be_used(key):
    nodes = [adapter("here", "${{ nodes.%s.x }}" % key), node("later"), node("beside")]
    document = workflow(nodes, [edge("start", "here"), edge("here", "later"), edge("start", "beside")])
    problem = only(document)
    assert (problem.code, problem.node, problem.field) == ("NOT_AN_ANCESTOR", "here", "output")


def test_errors_too_are_those_of_ancestors():
    nodes = [node("a"), adapter("b", "${{ default(errors.a.message, '') }}"), adapter("c", "${{ errors.b }}")]
    document = workflow(nodes, [edge("start", "a"), edge("a", "b", handle="error"), edge("start", "c")])
    assert [(problem.code, problem.node) for problem in problems(document)] == [("NOT_AN_ANCESTOR", "c")]


def test_a_condition_sees_its_own_node_and_the_nodes_before():
    document = chain(node("a"), {"key": "c", "type": "condition"}, node("b"), node("d"))
    document["edges"][2]["condition"] = "nodes.c.x < nodes.a.x and nodes.start.y"
    assert codes(document) == []
    document["edges"][2]["condition"] = "nodes.d.x > 1"
    assert codes(document) == ["NOT_AN_ANCESTOR"]


def test_the_output_of_the_workflow_sees_all_nodes():
    assert codes(chain(node("a"), node("b"), output={"x": "${{ nodes.a.x }}", "y": "${{ nodes.b }}"})) == []


def test_references_below_a_cycle_are_still_checked():
    nodes = [node("a"), node("b"), adapter("c", "${{ [nodes.a, nodes.x] }}"), node("x")]
    edges = [edge("start", "a"), edge("a", "b"), edge("b", "a"), edge("b", "c"), edge("start", "x")]
    assert codes(workflow(nodes, edges)) == ["CYCLE_DETECTED", "NOT_AN_ANCESTOR"]


# --- what may be missing ---------------------------------------------------------------------------------

FORK = [
    edge("start", "c"),
    edge("c", "x", condition="1 < 2"),
    edge("c", "y", default=True),
    edge("x", "end"),
    edge("y", "end"),
]


def fork(reference, **end):
    nodes = [{"key": "c", "type": "condition"}, node("x"), node("y"), adapter("end", "${{ %s }}" % reference, **end)]
    return workflow(nodes, FORK)


def test_a_branch_of_a_condition_may_be_missing_behind_it():
    problem = only(fork("nodes.x.v"))
    assert (problem.code, problem.node) == ("REFERENCE_MAY_BE_SKIPPED", "end")
    assert not errors_of([problem])


@pytest.mark.parametrize(
    "reference", ["default(nodes.x.v, 1)", "has(nodes.x)", "nodes.c.v", "nodes.start.v", "errors.x"]
)
def test_what_is_provided_for_or_always_there_is_not_reported(reference):
    assert codes(fork(reference)) == []


def test_a_join_that_waits_for_all_to_succeed_has_all_outputs():
    assert codes(fork("nodes.x.v", join="all_success")) == []


def test_a_join_that_takes_anything_has_only_the_trigger():
    assert codes(fork("nodes.c.v", join="all_done")) == ["REFERENCE_MAY_BE_SKIPPED"]
    assert codes(fork("nodes.start.v", join="all_done")) == []


def test_two_branches_that_always_run_are_both_there():
    nodes = [node("x"), node("y"), adapter("end", "${{ nodes.x.v + nodes.y.v }}")]
    edges = [edge("start", "x"), edge("start", "y"), edge("x", "end"), edge("y", "end")]
    assert codes(workflow(nodes, edges)) == []
    nodes[2]["join"] = "one_success"
    assert codes(workflow(nodes, edges)) == ["REFERENCE_MAY_BE_SKIPPED"] * 2


def test_a_node_that_failed_has_no_output_behind_its_error_edge():
    nodes = [node("a"), adapter("b", "${{ nodes.a.v }}")]
    assert codes(workflow(nodes, [edge("start", "a"), edge("a", "b", handle="error")])) == ["REFERENCE_MAY_BE_SKIPPED"]


def test_a_node_that_may_fail_and_go_on_may_have_no_output():
    assert codes(chain(node("a", on_error="continue"), adapter("b", "${{ nodes.a.v }}"))) == [
        "REFERENCE_MAY_BE_SKIPPED"
    ]


def test_the_output_of_the_workflow_says_which_nodes_may_be_missing():
    document = {**fork("1"), "output": {"always": "${{ nodes.c.v }}", "perhaps": "${{ nodes.x.v }}"}}
    assert [(problem.code, problem.field) for problem in problems(document)] == [
        ("REFERENCE_MAY_BE_SKIPPED", "output.perhaps")
    ]


def test_the_condition_of_an_error_edge_has_no_output_of_its_node():
    nodes = [node("a"), node("b")]
    edges = [edge("start", "a"), edge("a", "b", handle="error", condition="nodes.a.x > 1")]
    assert codes(workflow(nodes, edges)) == ["REFERENCE_MAY_BE_SKIPPED"]


# --- schemas ---------------------------------------------------------------------------------------------


def with_inputs(inputs, *before):
    return chain(*before, node("p", tool="prices", inputs=inputs))


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({}, "inputs.symbol"),
        ({"symbol": 5}, "inputs.symbol"),
        ({"symbol": None}, "inputs.symbol"),
        ({"symbol": "A", "until": 5}, "inputs.until"),
        ({"symbol": "A", "days": "ten"}, "inputs.days"),
        ({"symbol": "A", "days": True}, "inputs.days"),
        ({"symbol": "A", "days": "${{ input.x }} days"}, "inputs.days"),
        ({"symbol": "A", "ratio": []}, "inputs.ratio"),
        ({"symbol": "A", "dys": 3}, "inputs.dys"),
    ],
)
def test_inputs_that_cannot_fit_the_tool_are_a_warning(inputs, field):
    problem = only(with_inputs(inputs))
    assert (problem.code, problem.field) == ("SCHEMA_MISMATCH", field)
    assert not errors_of([problem])


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        "${{ input }}",
        {"symbol": "A", "until": None, "days": 5, "ratio": 1, "extra": [{}]},
        {"symbol": "${{ input.symbol }}", "days": "${{ input.days }}"},
        {"symbol": "A ${{ input.days }}"},
    ],
)
def test_inputs_that_can_fit_the_tool_are_not_reported(inputs):
    assert codes(with_inputs(inputs)) == []


@pytest.mark.parametrize("inputs", [{"anything": 5}, {}])
def test_a_tool_without_declared_parameters_takes_anything(inputs):
    assert codes(chain(node("a", inputs=inputs))) == []


BEFORE = node("q", tool="prices", inputs={"symbol": "A"})


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("nodes.q.name", True),
        ("nodes.q.count", False),
        ("nodes.q.closes", False),
        ("nodes.q", False),
        ("nodes.q.first.close", False),
        ("str(nodes.q.count)", True),
        ("nodes.q['count']", True),
    ],
)
def test_a_field_of_another_node_must_be_able_to_fit_the_parameter(expression, fits):
    expected = [] if fits else ["SCHEMA_MISMATCH"]
    assert codes(with_inputs({"symbol": "${{ %s }}" % expression}, BEFORE)) == expected


def test_a_number_may_be_whole_and_a_value_may_be_null():
    assert codes(with_inputs({"symbol": "A", "days": "${{ nodes.q.first.close }}"}, BEFORE)) == []
    assert codes(with_inputs({"symbol": "A", "extra": "${{ nodes.q.first }}"}, BEFORE)) == []


def test_a_field_that_a_closed_output_does_not_have_is_a_warning():
    problem = only(chain(BEFORE, adapter("a", "${{ nodes.q.close[0] }}")))
    assert problem.code == "SCHEMA_MISMATCH"
    assert "Did you mean 'closes'?" in problem.message
    assert codes(chain(BEFORE, adapter("a", "${{ nodes.q.first.open }}"))) == ["SCHEMA_MISMATCH"]
    assert codes(chain(BEFORE, adapter("a", "${{ default(nodes.q.close, 1) }}"))) == []
    assert codes(chain(node("o"), adapter("a", "${{ nodes.o.anything }}"))) == []


def test_the_output_schema_of_a_node_wins_over_that_of_its_tool():
    schema = {"type": "object", "properties": {"v": {"type": "string"}}, "additionalProperties": False}
    assert codes(chain(node("o", output_schema=schema), adapter("a", "${{ nodes.o.v }}"))) == []
    assert codes(chain(node("o", output_schema=schema), adapter("a", "${{ nodes.o.w }}"))) == ["SCHEMA_MISMATCH"]


def test_the_output_of_an_adapter_has_the_keys_of_its_template():
    source = adapter("b", {"x": {"y": "${{ input.y }}"}})
    assert codes(chain(source, adapter("a", "${{ nodes.b.x.y }}"))) == []
    assert codes(chain(source, adapter("a", "${{ nodes.b.x.z }}"))) == ["SCHEMA_MISMATCH"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "#/$defs/a0", "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(3000)} | {"a3000": {}}},
        {"properties": {"v": {"$ref": "#/properties/v"}}, "additionalProperties": False},
    ],
)
def test_schemas_that_refer_to_themselves_are_read_to_an_end(schema):
    found = codes(
        chain(node("o", output_schema=schema), node("p", tool="prices", inputs={"symbol": "${{ nodes.o.v }}"}))
    )
    assert found == []


def test_the_row_of_a_collection_form_is_its_own_name_and_what_it_reads_is_checked():
    good = "${{ select(sort(input.rows, item.x), item.y + vars.fee) }}"
    assert codes(workflow([adapter("a", good)], [edge("start", "a")], variables={"fee": 1})) == []
    assert "There is no name 'item' here" in only(chain(adapter("a", "${{ item.x }}"))).message
    wrong = chain(adapter("a", "${{ filter(nodes.b.rows, item.x > vars.gone) }}"))
    assert codes(wrong) == ["UNKNOWN_REFERENCE", "UNKNOWN_VARIABLE"]
    assert codes(chain(adapter("a", "${{ select(item, item) }}"))) == ["UNKNOWN_REFERENCE"]


def test_a_form_that_is_misused_is_no_expression():
    problem = only(chain(adapter("a", {"x": "${{ select(input.rows, filter(item.rows, true)) }}"})))
    assert (problem.code, problem.field) == ("INVALID_EXPRESSION", "output.x")
    assert "take one step after the other" in problem.message
