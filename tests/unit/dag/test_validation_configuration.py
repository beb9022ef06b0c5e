"""The validator: how nodes, edges and settings are set up, and the tools that they name."""

from decimal import Decimal

import pytest

from tests.unit.dag.documents import edge, node, with_node, workflow
from workflows_app.dag.problems import errors_of
from workflows_app.dag.types import Effect, EffectRule, ToolInfo
from workflows_app.dag.validation import validate


def tool(name, effect=Effect.NONE, **more):
    return ToolInfo(name=name, effect=effect, **{"input_schema": {}, "output_schema": {}, **more})


CATALOGUE = {
    info.name: info
    for info in [
        tool("core.set"),
        tool("market.prices"),
        tool("market.rsi"),
        tool("http.request", Effect.AT_MOST_ONCE, effects=frozenset({Effect.IDEMPOTENT})),
        tool(
            "call.by_method",
            Effect.AT_MOST_ONCE,
            effects=frozenset({Effect.IDEMPOTENT}),
            effect_rule=EffectRule(name="method", values=frozenset({"GET"}), effect=Effect.NONE, when_absent=True),
        ),
        tool("mail.send", Effect.AT_MOST_ONCE),
        tool("old.one", active=False),
    ]
}


def codes(document):
    return [str(problem.code) for problem in validate(document, CATALOGUE)]


def only(document):
    problems = validate(document, CATALOGUE)
    assert len(problems) == 1, [str(problem) for problem in problems]
    return problems[0]


def condition(*edges):
    return workflow([{"key": "c", "type": "condition"}, node("x"), node("y")], [edge("start", "c"), *edges])


def test_a_condition_has_one_default():
    problem = only(condition(edge("c", "x", default=True), edge("c", "y", default=True)))
    assert (problem.code, problem.edge, problem.field) == ("TWO_DEFAULTS", "c -> y", "default")
    assert "'c' has a default edge already, c -> x," in problem.message


def test_a_condition_that_leads_nowhere_is_a_warning():
    document = condition(edge("start", "x"), edge("start", "y"), edge("c", "x", handle="error"))
    assert only(document).code == "DEAD_END_CONDITION"
    assert not errors_of(validate(document, CATALOGUE))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"retry": {"max_retries": -1}}, "retry.max_retries"),
        ({"retry": {"max_retries": True}}, "retry.max_retries"),
        ({"retry": {"max_retries": 1001}}, "retry.max_retries"),
        ({"retry": {"delay": "soon"}}, "retry.delay"),
        ({"retry": {"delay": Decimal("-0.5")}}, "retry.delay"),
        ({"retry": {"multiplier": 0}}, "retry.multiplier"),
        ({"retry": {"max_delay": -1}}, "retry.max_delay"),
        ({"retry": {"jitter": "some"}}, "retry.jitter"),
        ({"retry": {"retry_on": "ValueError"}}, "retry.retry_on"),
        ({"retry": {"retry_on": [1]}}, "retry.retry_on[0]"),
        ({"retry": 3}, "retry"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": True}, "timeout_seconds"),
        ({"timeout_seconds": None}, "timeout_seconds"),
        ({"inputs": 5}, "inputs"),
        ({"inputs": "text"}, "inputs"),
        ({"inputs": "${{ input }} "}, "inputs"),
        ({"output_schema": {"type": "strin"}}, "output_schema"),
        ({"output_schema": True}, "output_schema"),
        ({"tool": ""}, "tool"),
        ({"tool": 5}, "tool"),
        ({"join": "some"}, "join"),
        ({"on_error": "ignore"}, "on_error"),
        ({"position": {"x": 1}}, "position.y"),
        ({"position": {"x": 1, "y": "2"}}, "position.y"),
        ({"name": 5}, "name"),
        ({"effect": "idempotent"}, "effect"),
        ({"effect": "some"}, "effect"),
    ],
)
def test_a_node_that_is_set_up_wrongly_is_reported_at_its_field(more, field):
    problem = only(workflow([node("a", **more)], [edge("start", "a")]))
    assert (problem.code, problem.node, problem.field) == ("INVALID_CONFIG", "a", field)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"type": "tool"}, "tool"),
        ({"type": "adapter"}, "output"),
        ({"type": "aggregator", "strategy": "mean"}, "strategy"),
        ({"type": "condition", "match": "some"}, "match"),
        ({"type": "agent"}, "agent"),
        ({"type": "agent", "provider": "p"}, "model"),
        ({"type": "agent", "agent": "analyst", "model": "m"}, "agent"),
        ({"type": "agent", "provider": "p", "model": "m", "limits": 5}, "limits"),
        ({"type": "agent", "provider": "p", "model": "m", "limits": {"max_tokens": 0}}, "limits.max_tokens"),
        ({"type": "agent", "provider": "p", "model": "m", "limits": {"max_requests": "3"}}, "limits.max_requests"),
        ({"type": "agent", "provider": "p", "model": "m", "limits": {"max_retries": -1}}, "limits.max_retries"),
        ({"type": "agent", "provider": "p", "model": "m", "limits": {"timeout_seconds": 0}}, "limits.timeout_seconds"),
    ],
)
def test_each_type_of_node_needs_its_configuration(more, field):
    found = [(problem.code, problem.field) for problem in errors_of(validate(with_node(**more), CATALOGUE))]
    assert found[0] == ("INVALID_CONFIG", field)


@pytest.mark.parametrize(
    "more",
    [
        {"type": "tool", "tool": "core.set", "timeout_seconds": Decimal("0.5"), "inputs": None, "position": None},
        {"type": "tool", "tool": "core.set", "inputs": "${{ input }}"},
        {"type": "tool", "tool": "http.request", "effect": "idempotent"},
        {"type": "agent", "agent": "analyst"},
        {"type": "agent", "provider": "p", "model": "m", "limits": {"max_requests": 3, "max_tokens": 5}},
        {"type": "agent", "provider": "p", "model": "m", "tools": ["core.set"], "prompt": "Say ${{ input.x }}"},
        {"type": "adapter", "output": None},
        {"type": "aggregator", "strategy": "sum", "field": "a.b"},
    ],
)
def test_a_node_that_is_set_up_rightly_has_no_problems(more):
    assert codes(with_node(**more)) == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"scheduling": "lazy"}, "settings.scheduling"),
        ({"max_parallel_nodes": 0}, "settings.max_parallel_nodes"),
        ({"max_parallel_nodes": 10_001}, "settings.max_parallel_nodes"),
        ({"timeout_seconds": 0}, "settings.timeout_seconds"),
        ({"on_failure": None}, "settings.on_failure"),
        ({"allow_concurrent": 1}, "settings.allow_concurrent"),
        ({"budget": 5}, "settings.budget"),
        ({"budget": {"max_requests": 0}}, "settings.budget.max_requests"),
        ({"budget": {"max_tokens": "many"}}, "settings.budget.max_tokens"),
        ({"budget": {"max_cost": 0}}, "settings.budget.max_cost"),
        ({"budget": {"max_cost": "2.50"}}, "settings.budget.max_cost"),
    ],
)
def test_wrong_settings_are_reported_by_name(more, field):
    problem = only({**workflow([]), "settings": more})
    assert (problem.code, problem.field) == ("INVALID_CONFIG", field)


def test_the_budget_of_an_execution_has_bounds_and_money_is_a_number():
    assert codes({**workflow([]), "settings": {"budget": {"max_tokens": 10**6, "max_cost": Decimal("2.50")}}}) == []
    problem = only({**workflow([]), "settings": {"budget": {"max_cost": -1}}})
    assert problem.message == (
        "'settings.budget.max_cost' must be an amount of money greater than 0, or null for no limit, not -1."
    )
    problem = only({**workflow([]), "settings": {"budget": {"max_token": 5}}})
    assert (problem.code, problem.field) == ("UNKNOWN_KEY", "settings.budget.max_token")
    assert problem.message == "'settings.budget' has no key 'max_token'. Did you mean 'max_tokens'?"


def test_an_execution_may_be_without_a_time_limit():
    assert codes({**workflow([]), "settings": {"timeout_seconds": None}}) == []


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"priority": "high"}, "INVALID_CONFIG", "priority"),
        ({"priority": 2**31}, "INVALID_CONFIG", "priority"),
        ({"condition": 5}, "INVALID_CONFIG", "condition"),
        ({"condition": ""}, "INVALID_CONFIG", "condition"),
        ({"default": "yes"}, "INVALID_CONFIG", "default"),
        ({"default": True, "condition": "1 < 2"}, "INVALID_CONFIG", "default"),
        ({"default": True, "handle": "error"}, "INVALID_CONFIG", "default"),
        ({"handle": "fail"}, "INVALID_HANDLE", "handle"),
        ({"label": None}, "INVALID_CONFIG", "label"),
    ],
)
def test_an_edge_that_is_set_up_wrongly_is_reported_at_its_field(more, code, field):
    document = condition(edge("c", "x", **more), edge("c", "y"), edge("start", "x"))
    problem = only(document)
    assert (problem.code, problem.edge, problem.field) == (code, "c -> x", field)


def test_only_the_edges_of_a_condition_have_a_default():
    assert only(workflow([node("a")], [edge("start", "a", default=True)])).code == "INVALID_CONFIG"


def test_a_trigger_has_no_error_edge():
    assert only(workflow([node("a")], [edge("start", "a", handle="error")])).code == "INVALID_HANDLE"


def test_an_unknown_tool_is_answered_with_the_closest():
    problem = only(with_node(type="tool", tool="market.price"))
    assert (problem.code, problem.field) == ("UNKNOWN_TOOL", "tool")
    assert "Did you mean 'market.prices'?" in problem.message


def test_an_unknown_tool_that_resembles_none_is_answered_with_what_can_be_done():
    for name in ("zzz", "market.prices" * 10):
        assert "Correct the name or register the tool." in only(with_node(type="tool", tool=name)).message


def test_a_tool_takes_only_the_effects_that_it_allows():
    problem = only(with_node(type="tool", tool="http.request", effect="none"))
    assert (problem.code, problem.field) == ("INVALID_CONFIG", "effect")
    assert problem.message == "The effect of the tool 'http.request' can be at_most_once or idempotent, not none."


@pytest.mark.parametrize("stated", ["none", "idempotent", "at_most_once"])
@pytest.mark.parametrize("inputs", [{}, {"method": "GET"}, {"method": "get"}])
def test_a_rule_that_holds_adds_its_effect_to_those_that_a_node_may_state(inputs, stated):
    assert codes(with_node(type="tool", tool="call.by_method", inputs=inputs, effect=stated)) == []


@pytest.mark.parametrize(
    "inputs", [{"method": "POST"}, {"method": "${{ input.method }}"}, {"method": 1}, "${{ input }}"]
)
def test_a_rule_that_does_not_hold_changes_nothing(inputs):
    assert codes(with_node(type="tool", tool="call.by_method", inputs=inputs, effect="none")) == ["INVALID_CONFIG"]
    retry = {"max_retries": 1}
    assert codes(with_node(type="tool", tool="call.by_method", inputs=inputs, retry=retry)) == ["RETRY_OF_AT_MOST_ONCE"]


def test_a_retry_of_what_has_no_effect_by_a_rule_needs_no_warning():
    document = with_node(type="tool", tool="call.by_method", inputs={"method": "GET"}, retry={"max_retries": 1})
    assert codes(document) == []


def test_the_tools_of_an_agent_must_exist_too():
    problem = only(with_node(type="agent", provider="p", model="m", tools=["core.set", "core.sett"]))
    assert (problem.code, problem.field) == ("UNKNOWN_TOOL", "tools[1]")
    problem = only(with_node(type="agent", provider="p", model="m", tools=["core.set", 5]))
    assert (problem.code, problem.field) == ("INVALID_CONFIG", "tools[1]")


def agent(**more):
    return with_node(type="agent", provider="p", model="m", **more)


@pytest.mark.parametrize("name", ["mail.send", "http.request", "call.by_method"])
def test_an_agent_may_have_tools_that_change_something_only_where_its_node_says_so(name):
    problem = only(agent(tools=["core.set", name]))
    assert (problem.code, problem.field) == ("INVALID_CONFIG", "tools[1]")
    assert f"The effect of the tool '{name}' is at_most_once" in problem.message
    assert "say 'allow_effects: true' in the node" in problem.message
    assert codes(agent(tools=["core.set", name], allow_effects=False)) == ["INVALID_CONFIG"]
    assert codes(agent(tools=["core.set", name], allow_effects=True)) == []


def test_an_agent_names_each_tool_once():
    problem = only(agent(tools=["core.set", "market.rsi", "core.set"]))
    assert (problem.code, problem.field) == ("INVALID_CONFIG", "tools[2]")
    assert "is named twice" in problem.message


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"tools": ["core.set"], "effect": "none"}, []),
        ({"tools": ["core.set"], "effect": "at_most_once"}, []),
        ({"effect": "idempotent"}, []),
        ({"effect": "checkable"}, [("INVALID_CONFIG", "effect")]),
        ({"tools": ["once.only"], "effect": "none"}, [("INVALID_CONFIG", "effect")]),
        ({"tools": ["once.only"], "effect": "idempotent"}, []),
        ({"tools": ["once.only"], "effect": "at_most_once"}, []),
        ({"tools": ["mail.send"], "allow_effects": True, "effect": "idempotent"}, [("INVALID_CONFIG", "effect")]),
        (
            {"tools": ["mail.send"], "allow_effects": True, "retry": {"max_retries": 1}},
            [("RETRY_OF_AT_MOST_ONCE", "retry.max_retries")],
        ),
        ({"tools": ["once.only"], "retry": {"max_retries": 1}}, []),
    ],
)
def test_the_effect_of_an_agent_is_that_of_its_tools_or_more(more, expected):
    catalogue = {**CATALOGUE, "once.only": tool("once.only", Effect.IDEMPOTENT)}
    assert [(problem.code, problem.field) for problem in validate(agent(**more), catalogue)] == expected


def test_a_tool_that_is_switched_off_cannot_be_used():
    assert only(with_node(type="tool", tool="old.one")).code == "INACTIVE_TOOL"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"tool": "mail.send", "retry": {"max_retries": 1}}, ["RETRY_OF_AT_MOST_ONCE"]),
        ({"tool": "mail.send", "retry": {"max_retries": 0}}, []),
        ({"tool": "http.request", "retry": {"max_retries": 1}}, ["RETRY_OF_AT_MOST_ONCE"]),
        ({"tool": "http.request", "effect": "idempotent", "retry": {"max_retries": 1}}, []),
        ({"tool": "core.set", "retry": {"max_retries": 1}}, []),
    ],
)
def test_a_retry_of_what_may_happen_once_only_is_a_warning(more, expected):
    assert codes(with_node(type="tool", **more)) == expected


def test_the_queue_that_a_node_runs_on_has_one_spelling_and_is_for_tools():
    for right in ("queue:cpu", "queue:a_b-2", None):
        assert codes(with_node(type="tool", tool="core.set", runs_on=right)) == []
    for wrong in ("gpu", "queue:", "queue:GPU", "queue:-", 3, "queue:" + "a" * 61):
        problem = only(with_node(type="tool", tool="core.set", runs_on=wrong))
        assert (problem.code, problem.field) == ("INVALID_CONFIG", "runs_on")
        assert problem.message.startswith("'runs_on' must be queue:NAME, a queue that workers serve, such as queue:cpu")
    problem = only(with_node(type="agent", provider="p", model="m", prompt="?", runs_on="queue:cpu"))
    assert problem.code == "UNKNOWN_KEY"
    assert problem.message.startswith("'runs_on' belongs to tool nodes, and this is a node of type agent")
