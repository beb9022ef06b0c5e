"""The validator: shape, graph and configuration of a document, one behaviour at a time and all at once."""

import copy
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.unit.dag.documents import edge, node, with_node, workflow
from workflows_app.dag.document import document_schema
from workflows_app.dag.problems import ProblemCode
from workflows_app.dag.types import Effect, ToolInfo
from workflows_app.dag.validation import validate

CATALOGUE = {
    name: ToolInfo(name=name, effect=Effect.NONE, input_schema={}, output_schema={})
    for name in ("core.set", "market.prices", "market.rsi")
}

EXAMPLE = {
    "name": "rsi-screen",
    "description": "Buy candidates among oversold shares",
    "labels": ["demo"],
    "variables": {"period": 14, "oversold": 30},
    "settings": {
        "scheduling": "levels",
        "max_parallel_nodes": 10,
        "timeout_seconds": 3600,
        "on_failure": "continue",
        "allow_concurrent": True,
    },
    "input_schema": {"type": "object", "properties": {"symbol": {"type": "string"}}, "required": ["symbol"]},
    "nodes": [
        {"key": "start", "type": "trigger"},
        {
            "key": "prices",
            "type": "tool",
            "tool": "market.prices",
            "inputs": {"symbol": "${{ input.symbol }}"},
            "timeout_seconds": 30,
            "retry": {"max_retries": 3, "delay": 1},
        },
        {
            "key": "rsi",
            "type": "tool",
            "tool": "market.rsi",
            "inputs": {"closes": "${{ nodes.prices.closes }}", "period": "${{ vars.period }}"},
        },
        {"key": "check", "type": "condition"},
        {
            "key": "buy",
            "type": "adapter",
            "output": {"signal": "buy", "symbol": "${{ input.symbol }}", "rsi": "${{ nodes.rsi.value }}"},
        },
        {"key": "hold", "type": "adapter", "output": {"signal": "hold"}},
        {"key": "report", "type": "aggregator", "strategy": "merge"},
    ],
    "edges": [
        {"from": "start", "to": "prices"},
        {"from": "prices", "to": "rsi"},
        {"from": "rsi", "to": "check"},
        {"from": "check", "to": "buy", "condition": "value < vars.oversold", "priority": 1},
        {"from": "check", "to": "hold", "default": True},
        {"from": "buy", "to": "report"},
        {"from": "hold", "to": "report"},
    ],
}


def codes(document):
    return [str(problem.code) for problem in validate(document, CATALOGUE)]


def only(document):
    problems = validate(document, CATALOGUE)
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


def test_the_example_of_the_contract_has_no_problems():
    assert validate(EXAMPLE, CATALOGUE) == []


def test_the_published_json_schema_accepts_the_example_and_refuses_an_unknown_key():
    schema = json.loads(json.dumps(document_schema()))
    Draft202012Validator.check_schema(schema)
    checker = Draft202012Validator(schema)
    assert checker.is_valid(EXAMPLE)
    assert not checker.is_valid({**EXAMPLE, "nmae": "x"})


@pytest.mark.parametrize("document", [None, 5, "text", [], True])
def test_a_document_must_be_a_mapping(document):
    problem = only(document)
    assert problem.code == "INVALID_DOCUMENT"
    assert "must be a mapping" in problem.message


@pytest.mark.parametrize("part", [{"key": object()}, {5: "a"}, {"x": Decimal("NaN")}])
def test_a_value_that_is_no_json_is_an_invalid_document(part):
    assert codes({"name": "w", "nodes": [part], "edges": []}) == ["INVALID_DOCUMENT"]


@pytest.mark.parametrize("missing", ["name", "nodes", "edges"])
def test_a_missing_part_of_the_document_is_named(missing):
    document = copy.deepcopy(EXAMPLE)
    del document[missing]
    problems = [problem for problem in validate(document, CATALOGUE) if problem.code == "INVALID_DOCUMENT"]
    assert [problem.field for problem in problems] == [missing]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("description", 5),
        ("labels", "demo"),
        ("variables", []),
        ("settings", 1),
        ("input_schema", "object"),
        ("output", []),
        ("edges", {}),
    ],
)
def test_a_part_of_the_wrong_type_is_an_invalid_document(key, value):
    found = [problem for problem in validate({**workflow([]), key: value}, CATALOGUE) if problem.field == key]
    assert [problem.code for problem in found] == ["INVALID_DOCUMENT"]


@pytest.mark.parametrize("name", ["", "Upper", "a b", "-a", "a-", "a_b", "é", "a\n", "a" * 201])
def test_a_name_must_be_a_slug(name):
    assert only({**workflow([]), "name": name}).field == "name"


@pytest.mark.parametrize("schema", [{"type": "strin"}, {"$ref": "https://example.org/x"}, {"properties": []}])
def test_an_input_schema_must_be_a_valid_schema_without_remote_references(schema):
    problem = only({**workflow([]), "input_schema": schema})
    assert (problem.code, problem.field) == ("INVALID_DOCUMENT", "input_schema")


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (5, "nodes[1]"),
        ({"type": "trigger"}, "nodes[1].key"),
        ({"key": "a"}, "type"),
        ({"key": "a", "type": "toool"}, "type"),
        ({"key": "a", "type": ["tool"]}, "type"),
    ],
)
def test_what_is_no_node_is_an_invalid_document(broken, field):
    problems = validate(workflow([broken]), CATALOGUE)
    assert ("INVALID_DOCUMENT", field) in [(problem.code, problem.field) for problem in problems]


def test_an_unknown_type_is_answered_with_the_closest_and_the_rest_of_the_node_is_checked():
    problems = validate(with_node(type="toool", join="never"), CATALOGUE)
    assert [(problem.code, problem.field) for problem in problems] == [
        ("INVALID_DOCUMENT", "type"),
        ("INVALID_CONFIG", "join"),
    ]
    assert "Did you mean 'tool'?" in problems[0].message


@pytest.mark.parametrize("broken", ["a", {"from": "start"}, {"to": "start"}, {"from": 1, "to": "start"}])
def test_what_is_no_edge_is_an_invalid_document(broken):
    assert "INVALID_DOCUMENT" in codes(workflow([], [broken]))


def test_an_unknown_key_is_answered_with_the_closest_known_one():
    problem = only(with_node(type="tool", tool="core.set", inptus={}))
    assert (problem.code, problem.node, problem.field) == ("UNKNOWN_KEY", "a", "inptus")
    assert "Did you mean 'inputs'?" in problem.message


def test_a_key_of_another_type_of_node_says_to_which_it_belongs():
    problem = only(workflow([{"key": "a", "type": "aggregator", "tool": "core.set"}], [edge("start", "a")]))
    assert problem.code == "UNKNOWN_KEY"
    assert "'tool' belongs to tool nodes, and this is a node of type aggregator" in problem.message


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({**workflow([]), "variabels": {}}, "variabels"),
        ({**workflow([]), "settings": {"schedulin": "eager"}}, "settings.schedulin"),
        (with_node(type="tool", tool="core.set", retry={"delai": 1}), "retry.delai"),
        (with_node(type="agent", provider="p", model="m", limits={"max_token": 1}), "limits.max_token"),
        (workflow([node("a")], [edge("start", "a", handel="out")]), "handel"),
    ],
)
def test_unknown_keys_are_found_at_every_depth(document, field):
    problem = only(document)
    assert (problem.code, problem.field) == ("UNKNOWN_KEY", field)


def test_a_workflow_without_nodes_has_no_nodes_and_nothing_else():
    assert codes({"name": "w", "nodes": [], "edges": []}) == ["NO_NODES"]


def test_a_workflow_needs_a_trigger():
    assert codes({"name": "w", "nodes": [node("a")], "edges": []}) == ["NO_TRIGGER"]


def test_a_repeated_key_is_reported_at_the_second_node():
    problems = validate(workflow([node("a"), node("a")], [edge("start", "a")]), CATALOGUE)
    assert [problem.code for problem in problems] == ["DUPLICATE_KEY"]


@pytest.mark.parametrize("key", ["1a", "a b", "a-b", "", "é", 5, None, "a" * 201])
def test_a_key_must_be_an_identifier(key):
    assert "INVALID_KEY" in codes(workflow([node(key)], [edge("start", key)]))


def test_no_edge_may_lead_to_a_trigger():
    document = workflow([node("a"), {"key": "t", "type": "trigger"}], [edge("start", "a"), edge("a", "t")])
    assert (only(document).code, only(document).edge) == ("TRIGGER_HAS_INPUT", "a -> t")


def test_an_edge_to_a_missing_node_names_the_closest():
    problem = only(workflow([node("prices")], [edge("start", "prices"), edge("prics", "prices")]))
    assert (problem.code, problem.edge, problem.field) == ("NODE_NOT_FOUND", "prics -> prices", "from")
    assert "Did you mean 'prices'?" in problem.message


def test_a_node_that_hangs_on_a_misspelled_edge_is_not_reported_twice():
    assert codes(workflow([node("a"), node("b")], [edge("strat", "a"), edge("a", "b"), edge("start", "b")])) == [
        "NODE_NOT_FOUND"
    ]


def test_a_self_loop_is_no_cycle_besides():
    assert codes(workflow([node("a")], [edge("start", "a"), edge("a", "a")])) == ["SELF_LOOP"]


def test_an_edge_with_the_same_ends_and_handle_is_a_duplicate():
    edges = [edge("start", "a"), edge("a", "b"), edge("a", "b", handle="error"), edge("a", "b", condition="1 < 2")]
    problem = only(workflow([node("a"), node("b")], edges))
    assert (problem.code, problem.edge) == ("DUPLICATE_EDGE", "a -> b")


def test_every_group_of_nodes_in_a_circle_is_reported_once_with_a_path():
    edges = [
        *(edge("start", "a"), edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("b", "a")),
        *(edge("c", "x"), edge("x", "y"), edge("y", "x")),
    ]
    problems = validate(workflow([node(key) for key in "abcxy"], edges), CATALOGUE)
    assert [problem.code for problem in problems] == ["CYCLE_DETECTED", "CYCLE_DETECTED"]
    assert "a -> b -> a" in problems[0].message
    assert "x -> y -> x" in problems[1].message


def test_a_long_circle_is_named_by_its_beginning_and_its_end():
    keys = [f"n{position}" for position in range(20)]
    edges = [edge("start", "n0"), *(edge(a, b) for a, b in zip(keys, [*keys[1:], "n0"], strict=True))]
    message = only(workflow([node(key) for key in keys], edges)).message
    assert "n0 -> n1 -> " in message
    assert " -> ... (20 nodes) -> n19 -> n0." in message


def test_a_node_without_edges_is_isolated_unless_it_is_alone():
    assert codes(workflow([])) == []
    assert codes(workflow([node("a"), node("b")], [edge("start", "a")])) == ["ISOLATED_NODE"]


def test_a_node_that_no_trigger_reaches_is_reported():
    problem = only(workflow([node("a"), node("b"), node("c")], [edge("start", "a"), edge("b", "c"), edge("a", "c")]))
    assert (problem.code, problem.node) == ("UNREACHABLE_NODE", "b")


def broken_everywhere():
    document = copy.deepcopy(EXAMPLE)
    document["name"] = "RSI Screen"
    document["settings"]["scheduling"] = "level"
    nodes = {part["key"]: part for part in document["nodes"]}
    nodes["prices"]["retry"] = {"max_retries": -1, "delay": "soon"}
    nodes["prices"]["tool"] = "market.price"
    nodes["rsi"]["inputs"]["period"] = "${{ vars.perod }}"
    nodes["check"]["tool"] = "core.set"
    nodes["hold"]["output"] = ["${{ 1 + }}", "${{ nodes.report.x }}"]
    document["nodes"].append({"key": "rsi", "type": "aggregator"})
    document["edges"] += [edge("buy", "reprot"), edge("report", "buy"), edge("check", "report", default=True)]
    return document


def test_all_problems_are_reported_at_once():
    assert {problem.code for problem in validate(broken_everywhere(), CATALOGUE)} == {
        "INVALID_DOCUMENT",
        "INVALID_CONFIG",
        "UNKNOWN_TOOL",
        "UNKNOWN_VARIABLE",
        "UNKNOWN_KEY",
        "NOT_AN_ANCESTOR",
        "INVALID_EXPRESSION",
        "DUPLICATE_KEY",
        "NODE_NOT_FOUND",
        "CYCLE_DETECTED",
        "TWO_DEFAULTS",
    }


def test_problems_come_in_document_order_with_the_nearest_line():
    lines = {("name",): 1, ("settings",): 5, ("nodes",): 10, ("nodes", 1): 12, ("nodes", 1, "retry", "delay"): 14}
    lines |= {("nodes", position): 13 + position for position in range(2, 8)} | {("edges",): 30}
    problems = validate(broken_everywhere(), CATALOGUE, line_of=lambda path: lines.get(tuple(path)))
    found = [problem.line for problem in problems]
    assert found[:2] == [1, 5]
    assert {problem.field: problem.line for problem in problems if problem.node == "prices"} == {
        "tool": 12,
        "retry.max_retries": 12,
        "retry.delay": 14,
    }
    order = ["name" if not (p.node or p.edge) else "node" if p.node else "edge" for p in problems]
    assert order == sorted(order, key=["name", "node", "edge"].index)


def test_a_problem_whose_line_nobody_knows_has_none():
    for line_of in (None, lambda path: None):
        assert {problem.line for problem in validate(broken_everywhere(), CATALOGUE, line_of=line_of)} == {None}


def test_the_same_document_gives_the_same_problems():
    assert validate(broken_everywhere(), CATALOGUE) == validate(broken_everywhere(), CATALOGUE)


def test_validation_does_not_change_the_document():
    document = broken_everywhere()
    _ = validate(document, CATALOGUE)
    assert document == broken_everywhere()


def test_every_message_is_a_sentence():
    for problem in validate(broken_everywhere(), CATALOGUE):
        assert problem.message[0].isupper() or problem.message[0] == "'", problem.message
        assert problem.message[-1] in ".?", problem.message


def test_more_nodes_than_allowed_are_refused():
    document = {"name": "w", "nodes": [{"key": f"n{i}", "type": "trigger"} for i in range(100_001)], "edges": []}
    assert codes(document)[0] == "INVALID_DOCUMENT"


WORDS = st.sampled_from(
    """name nodes edges settings variables output inputs key type from to tool trigger condition adapter agent
    aggregator retry delay handle error default join on_error continue a b start effect input_schema output_schema
    properties $ref # allOf ${{nodes.a.b}} ${{ ${{a}}x position core.set""".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=3) | WORDS
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25
)
TYPES = st.sampled_from(["trigger", "tool", "agent", "condition", "adapter", "aggregator", "x"])
KEYS = st.sampled_from(["a", "b", "c", "start"])
NODES = st.builds(
    lambda key, kind, rest: {"tool": "core.set", **rest, "key": key, "type": kind},
    KEYS | JSON,
    TYPES | JSON,
    st.dictionaries(WORDS, JSON, max_size=4),
)
EDGES = st.builds(
    lambda source, target, rest: {**rest, "from": source, "to": target},
    KEYS | JSON,
    KEYS | JSON,
    st.dictionaries(WORDS, JSON, max_size=3),
)


@settings(max_examples=300)
@given(
    JSON
    | st.fixed_dictionaries(
        {"name": JSON, "nodes": st.lists(NODES | JSON, max_size=5) | JSON, "edges": st.lists(EDGES | JSON, max_size=5)},
        optional=dict.fromkeys(("settings", "variables", "input_schema", "output", "labels", "other"), JSON),
    )
)
def test_no_document_makes_the_validator_raise(document):
    for problem in validate(document, CATALOGUE, line_of=lambda path: len(path) or None):
        assert isinstance(problem.code, ProblemCode)
        assert problem.message


def test_a_document_that_is_nested_too_deeply_is_refused():
    value: list = []
    for _ in range(100_000):
        value = [value]
    assert codes(with_node(type="adapter", output=value)) == ["INVALID_DOCUMENT"]


def test_a_nested_document_within_the_limit_is_walked_to_its_end():
    value: object = "${{ vars.nothing }}"
    for _ in range(150):
        value = {"a": [value]} if isinstance(value, str) else {"a": value}
    assert codes(with_node(type="adapter", output=value)) == ["UNKNOWN_VARIABLE"]
