import pytest

from workflows_app.dag.agents import AgentInfo, collapsed, example_of, expanded, is_agent_name
from workflows_app.dag.plan import Plan
from workflows_app.dag.registered import mistakes
from workflows_app.dag.validation import validate

GIVES = {"provider": "p", "model": "m", "system": "You judge.", "output_schema": {"type": "object"}}
AGENTS = {
    "analyst": AgentInfo(name="analyst", gives=GIVES),
    "idle": AgentInfo(name="idle", gives=GIVES, active=False),
    "broken": AgentInfo(name="broken", gives=GIVES, mistakes=lambda: ["Its tool is gone."]),
}


def naming(name, **more):
    return {"key": "n", "type": "agent", "agent": name, **more}


def found(node, agents=AGENTS):
    body = {"name": "w", "nodes": [{"key": "t", "type": "trigger"}, node], "edges": [{"from": "t", "to": "n"}]}
    return [(problem.code, problem.field, problem.message) for problem in validate(body, {}, agents=agents)]


def test_a_node_has_what_its_agent_gives_and_can_be_written_as_it_was():
    node = naming("analyst", prompt="x")
    whole = expanded(node, AGENTS)
    assert whole == {**node, **GIVES, "from_agent": ["provider", "model", "system", "output_schema"]}
    assert collapsed(whole) == node
    own = naming("analyst", output_schema={"type": "array"})
    assert expanded(own, AGENTS)["output_schema"] == {"type": "array"}
    assert collapsed(expanded(own, AGENTS)) == own


def test_a_node_that_names_no_agent_stays_as_it_is():
    node = {"key": "n", "type": "agent", "provider": "p", "model": "m"}
    assert expanded(node, {}) is node
    assert collapsed(node) == node


def test_a_plan_keeps_which_keys_the_agent_gave():
    body = {"name": "w", "nodes": [{"key": "t", "type": "trigger"}, expanded(naming("analyst"), AGENTS)], "edges": []}
    plan = Plan.from_document(body)
    assert Plan.from_json(plan.to_json()).nodes[1].from_agent == ("provider", "model", "system", "output_schema")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("analist", "Did you mean 'analyst'?"),
        ("idl", "Correct the name or make the agent."),
        ("idle", "is switched off"),
        ("broken", "The agent 'broken' cannot run. Its tool is gone."),
    ],
)
def test_an_agent_that_cannot_be_asked_is_a_problem_where_it_is_named(name, said):
    ((code, field, message),) = found(naming(name))
    assert (code, field, said in message) == ("INVALID_CONFIG", "agent", True)


def test_nobody_looks_names_up_who_does_not_know_the_agents():
    assert found(naming("analyst")) == []
    assert found(naming("nobody"), agents=None) == []
    assert found(naming("nobody"), agents={}) != []


@pytest.mark.parametrize("name", ["analyst", "desk.analyst", "a_1.b2"])
def test_names_are_those_of_tools_and_the_family_may_be_left_out(name):
    assert is_agent_name(name)
    example = {**example_of(name), "key": "n"}
    assert found(example, agents={name: AgentInfo(name=name, gives=GIVES)}) == []


@pytest.mark.parametrize("name", ["", "Analyst", "1a", "a-b", "a.", ".a", "a b", "a\n", "ä"])
def test_other_texts_are_no_names(name):
    assert not is_agent_name(name)


def test_an_agent_is_checked_as_a_node_that_states_the_same():
    assert mistakes(GIVES, {}) == []
    wrong = {**GIVES, "model": "", "system": "${{ vars.x }} ${{ nodes.y }}", "tools": ["no.such"], "limits": {"a": 1}}
    assert [mistake.field for mistake in mistakes(wrong, {})] == [
        *("model", "tools[0]", "limits.a"),
        *("system", "system"),
    ]
