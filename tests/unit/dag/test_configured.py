"""Tools that are made on a site: what they take of their node, and what may be wrong with them."""

from decimal import Decimal
from typing import Any

import pytest

from workflows_app.dag.configured import MOST_BYTES, defaults_of, example_of, info_of, inputs_of, mistakes
from workflows_app.dag.plan import Configured
from workflows_app.dag.schema_syntax import defect
from workflows_app.dag.types import Effect, EffectRule, ToolInfo

KIND: dict[str, Any] = {
    "type": "object",
    "properties": {
        "url": {"type": "string"},
        "count": {"type": "integer", "default": 3},
        "body": {"type": "object"},
    },
    "required": ["url"],
    "additionalProperties": False,
}
OPEN: dict[str, Any] = {"type": "object", "additionalProperties": True}
INFO = ToolInfo(
    name="test.call",
    effect=Effect.AT_MOST_ONCE,
    effects=frozenset({Effect.IDEMPOTENT}),
    input_schema=KIND,
    output_schema={"type": "integer"},
)


def configured(configuration: Any, **more: Any) -> Configured:
    return Configured(name="site.call", kind="test.call", configuration=configuration, **more)


def wrong(configuration: Any, effect: Effect | None = None, **more: Any) -> list[tuple[str, str]]:
    return [(one.field, one.message) for one in mistakes(configured(configuration, **more), INFO, effect)]


def test_without_a_schema_a_node_gives_what_the_configuration_leaves() -> None:
    schema = inputs_of(configured({"url": "https://example.org"}), KIND)
    assert list(schema["properties"]) == ["count", "body"]
    assert "required" not in schema
    assert schema["additionalProperties"] is False
    assert defect(schema) is None


def test_what_the_configuration_reads_is_given_by_the_node() -> None:
    schema = inputs_of(configured({"url": "https://example.org/${{ input.user }}/${{ default(input.page, 1) }}"}), KIND)
    assert schema["required"] == ["user"]
    assert schema["properties"]["user"] == schema["properties"]["page"] == {}


def test_what_is_passed_on_as_it_is_has_the_schema_of_the_parameter_that_gets_it() -> None:
    schema = inputs_of(configured({"url": "${{ input.address }}", "count": "${{ input.count }}"}), KIND)
    assert schema["properties"]["address"] == {"type": "string"}
    # It has a default, so that nobody needs to give it.
    assert schema["required"] == ["address"]
    assert defaults_of(configured({"count": "${{ input.count }}"}), schema) == {"count": 3}


def test_an_input_that_is_read_as_a_whole_may_have_any_key() -> None:
    assert inputs_of(configured({"url": "x", "body": "${{ input }}"}), KIND)["additionalProperties"] is True


def test_a_schema_of_its_own_is_all_that_counts_and_says_defaults() -> None:
    own: dict[str, Any] = {"properties": {"user": {"type": "string", "default": "ada"}}}
    tool = configured({"url": "${{ input.user }}"}, input_schema=own)
    assert inputs_of(tool, KIND) == own
    assert defaults_of(tool, own) == {"user": "ada"}


def test_a_tool_has_the_effects_of_its_kind_unless_it_states_one() -> None:
    tool = configured({"url": "x"})
    info = info_of(tool, INFO, effect=None, is_active=True)
    assert (info.effect, info.effects, info.output_schema) == (INFO.effect, INFO.effects, INFO.output_schema)
    stated = info_of(configured({}, output_schema={"type": "null"}), INFO, effect=Effect.IDEMPOTENT, is_active=False)
    assert (stated.effect, stated.effects, stated.active) == (Effect.IDEMPOTENT, frozenset(), False)
    assert stated.output_schema == {"type": "null"}


def test_a_good_tool_has_nothing_wrong_with_it() -> None:
    assert wrong({"url": "https://example.org/${{ input.user }}", "body": {"key": "${{ secrets.KEY }}", "n": 1}}) == []
    assert wrong({}, Effect.IDEMPOTENT) == wrong({}, INFO.effect) == []


@pytest.mark.parametrize(
    ("configuration", "field", "said"),
    [
        ({"urll": "x"}, "configuration.urll", "Did you mean 'url'?"),
        ({"count": "many"}, "configuration.count", "'many' is not of type 'integer'"),
        ({"count": Decimal("1.5")}, "configuration.count", "1.5"),
        ({"url": "${{ input. }}"}, "configuration.url", "is not valid"),
        ({"url": "${{ input.x"}, "configuration.url", "has no closing"),
        ({"url": "${{ nodes.a.b }}"}, "configuration.url", "There is no 'nodes' here"),
        ({"body": {"a": ["${{ vars.x }}"]}}, "configuration.body.a[0]", "There is no 'vars' here"),
        ({"url": "${{ execution.id }}"}, "configuration.url", "There is no 'execution' here"),
        ({"url": "${{ secrets }}"}, "configuration.url", "as in ${{ secrets.NAME }}"),
        ({"url": "${{ secrets[input.name] }}"}, "configuration.url", "as in ${{ secrets.NAME }}"),
        ({"url": "${{ upper(secrets.KEY) }}"}, "configuration.url", "as in ${{ secrets.NAME }}"),
        ({"url": "x" * MOST_BYTES}, "configuration", "make them shorter"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said_at_its_place(configuration: Any, field: str, said: str) -> None:
    ((where, message),) = wrong(configuration)
    assert where == field
    assert said in message


@pytest.mark.parametrize(
    ("more", "field", "said"),
    [
        ({"input_schema": {"type": "nothing"}}, "input_schema", "no valid JSON Schema"),
        ({"output_schema": {"pattern": "("}}, "output_schema", "no valid JSON Schema"),
        ({"input_schema": {"type": "string"}}, "input_schema", "are an object"),
        ({"effect": Effect.NONE}, "effect", "can be at_most_once or idempotent, not none"),
        (
            {"input_schema": {"properties": {}, "additionalProperties": False}},
            "configuration.url",
            "The input schema has no 'user'",
        ),
    ],
)
def test_what_is_wrong_with_schemas_and_effect_is_said_at_them(more: Any, field: str, said: str) -> None:
    ((where, message),) = wrong({"url": "${{ input.user }}"}, **more)
    assert where == field
    assert said in message


def test_what_the_kind_needs_must_come_from_somewhere() -> None:
    closed = {"properties": {"user": {}}, "additionalProperties": False}
    ((field, message),) = wrong({"count": 1}, input_schema=closed)
    assert field == "configuration"
    assert "needs 'url'" in message
    assert wrong({"count": 1}, input_schema={"properties": {"url": {}}, "additionalProperties": False}) == []


def test_a_kind_that_takes_anything_may_be_configured_with_anything() -> None:
    kind = ToolInfo(name="test.any", effect=Effect.NONE, input_schema=OPEN, output_schema={})
    tool = Configured(name="site.any", kind="test.any", configuration={"a": {"b": ["${{ input.c }}", Decimal("1.50")]}})
    assert mistakes(tool, kind, None) == []
    assert inputs_of(tool, OPEN)["required"] == ["c"]


def test_an_example_has_a_value_for_each_input_that_is_needed() -> None:
    assert example_of(INFO) == {
        "key": "call",
        "type": "tool",
        "tool": "test.call",
        "inputs": {"url": "${{ input.url }}"},
    }
    shown = example_of(ToolInfo(name="test.any", effect=Effect.NONE, input_schema=OPEN, output_schema={}))
    assert shown == {"key": "any", "type": "tool", "tool": "test.any"}


# A tool whose effect depends on an input, as http.request.
METHODS = ToolInfo(
    name="test.send",
    effect=Effect.AT_MOST_ONCE,
    effects=frozenset({Effect.IDEMPOTENT}),
    effect_rule=EffectRule(name="method", values=frozenset({"GET"}), effect=Effect.NONE, when_absent=True),
    input_schema={
        "properties": {"url": {"type": "string"}, "method": {"type": "string", "default": "GET"}},
        "additionalProperties": False,
    },
    output_schema={},
)


@pytest.mark.parametrize(
    ("configuration", "own", "inputs", "effect"),
    [
        ({"method": "get"}, None, None, Effect.NONE),
        ({"method": "POST"}, None, {}, Effect.AT_MOST_ONCE),
        # Not known before it is rendered.
        ({"method": "${{ input.how }}"}, None, {"how": "GET"}, Effect.AT_MOST_ONCE),
        # What a node leaves out, and cannot give.
        ({}, None, {}, Effect.NONE),
        ({}, None, {"method": "POST"}, Effect.AT_MOST_ONCE),
        ({}, None, None, Effect.AT_MOST_ONCE),
        ({}, {"properties": {"url": {}}, "additionalProperties": False}, None, Effect.NONE),
        ({}, {"properties": {"method": {"default": "POST"}}}, {}, Effect.AT_MOST_ONCE),
    ],
)
def test_an_effect_that_follows_from_an_input_follows_from_the_configuration_too(
    configuration: Any, own: Any, inputs: Any, effect: Effect
) -> None:
    tool = Configured(name="site.send", kind="test.send", configuration=configuration, input_schema=own)
    assert info_of(tool, METHODS, effect=None, is_active=True).effect_of(inputs) == effect


def test_a_tool_may_state_the_effect_that_its_configuration_has() -> None:
    def said(method: str) -> list[str]:
        tool = Configured(name="site.send", kind="test.send", configuration={"method": method})
        return [one.field for one in mistakes(tool, METHODS, Effect.NONE)]

    assert said("GET") == []
    assert said("POST") == ["effect"]
