"""Generated scenarios: always valid, and of every kind."""

import pytest
from hypothesis import Phase, find, given, settings

from tests.unit.engine.generators import CATALOGUE, documents, scenarios
from tests.unit.engine.reference import predict
from workflows_app.dag.problems import errors_of
from workflows_app.dag.validation import validate


@given(documents())
def test_every_document_is_valid(document):
    assert errors_of(validate(document, CATALOGUE)) == []


@given(scenarios())
def test_every_scenario_has_a_prediction(scenario):
    found = predict(scenario.document, scenario.behaviour, execution_input=scenario.execution_input)
    assert found.nodes.keys() == {node["key"] for node in scenario.document["nodes"]}
    failed = {key for key, fate in found.nodes.items() if fate.status == "failed"}
    assert failed == found.unhandled | found.handled | found.continued
    assert all((fate.cause is not None) == (fate.status == "skipped") for fate in found.nodes.values())
    assert (found.status == "failed") == bool(found.unhandled)


@given(scenarios())
def test_a_trigger_never_fails(scenario):
    found = predict(scenario.document, scenario.behaviour, execution_input=scenario.execution_input)
    triggers = [node["key"] for node in scenario.document["nodes"] if node["type"] == "trigger"]
    assert triggers
    assert all(found.nodes[key].status == "completed" for key in triggers)


REASONS = ["node_error", "condition_error", "not_taken", "upstream_failed", "upstream_skipped", "join_rule"]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_occurs(reason):
    def has_reason(scenario):
        found = predict(scenario.document, scenario.behaviour, execution_input=scenario.execution_input)
        return any(fate.reason == reason for fate in found.nodes.values())

    search = settings(max_examples=200, database=None, derandomize=True, phases=[Phase.generate])
    assert find(scenarios(), has_reason, settings=search)
