"""What the validator reads of a text without compiling it is what the compiler says."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dag.documents import edge, node, workflow
from workflows_app.dag.expressions import ExpressionSyntaxError, compile_expression
from workflows_app.dag.templates import Templates, texts_of
from workflows_app.dag.types import Effect, ToolInfo
from workflows_app.dag.validation import validate

TOOL = ToolInfo(name="core.set", effect=Effect.NONE, input_schema={}, output_schema={})

NAMES = st.sampled_from("nodes errors input vars a B2 rsi_value if None true null len in __a _b match é 2a".split())


@given(st.lists(NAMES, min_size=1, max_size=12), st.sampled_from(["${{ %s }}", "${{%s}}", "${{  %s}}"]))
def test_a_dotted_reference_is_read_as_the_compiler_reads_it(names, template):
    source = ".".join(names)
    parsed = Templates().text(template % source)
    try:
        expected = compile_expression(source).references
    except ExpressionSyntaxError:
        assert parsed.errors
        return
    assert parsed.errors == ()
    assert parsed.is_whole
    assert [replace(reference, position=0) for reference in parsed.references] == [
        replace(reference, position=0) for reference in expected
    ]


@pytest.mark.parametrize(
    ("text", "is_whole", "plain"),
    [
        ("${{ nodes.a.b }}", True, ("nodes", "a", "b")),
        ("${{ nodes.a._b }}", True, ("nodes", "a", "_b")),
        ("${{ nodes.a['b'] }}", True, ()),
        ("${{ nodes.a.b + 1 }}", True, ()),
        ("${{ 1 }}", True, ()),
        ("${{ nodes.a }} ", False, ()),
        ("${{ nodes.a }}${{ nodes.b }}", False, ()),
        ("$${{ nodes.a }}", False, ()),
    ],
)
def test_a_text_is_whole_where_it_is_one_expression(text, is_whole, plain):
    parsed = Templates().text(text)
    assert (parsed.is_whole, parsed.plain) == (is_whole, plain)


def test_the_same_condition_on_two_edges_is_told_of_both():
    edges = [edge("start", "a", condition="1 +"), edge("start", "b", condition="1 +")]
    found = validate(workflow([node("a"), node("b")], edges), {"core.set": TOOL})
    assert [(problem.code, problem.edge) for problem in found] == [
        ("INVALID_EXPRESSION", "start -> a"),
        ("INVALID_EXPRESSION", "start -> b"),
    ]


def test_texts_are_found_in_document_order_with_their_paths():
    template = {"b": ["${{ 1 }}", 5, {"a": "x ${{ 2 }}"}], "a": "${{ 3 }}", "c": "text", "d": None}
    assert list(texts_of(template, ("output",))) == [
        (("output", "b", 0), "${{ 1 }}"),
        (("output", "b", 2, "a"), "x ${{ 2 }}"),
        (("output", "a"), "${{ 3 }}"),
    ]
