"""What the judge lets pass and what it finds under `on_failure: stop`."""

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.engine.generators import scenarios
from tests.unit.engine.judging import check_stop, descendants, differences
from tests.unit.engine.reference import Fail, Fate, Result, Succeed, predict

# t -> a -> b, t -> c -> d; `a` fails while `c` runs.
DOCUMENT = {
    "name": "example",
    "settings": {"on_failure": "stop", "scheduling": "eager"},
    "nodes": [{"key": "t", "type": "trigger"}, *({"key": key, "type": "tool", "tool": "test.node"} for key in "abcd")],
    "edges": [{"from": source, "to": target} for source, target in ("ta", "ab", "tc", "cd")],
}
BEHAVIOUR = {"a": Fail(), "b": Succeed(), "c": Succeed(), "d": Succeed()}
COMPLETED = Fate(status="completed")
STOPPED = Fate(status="cancelled", reason="stopped")


def observed(status="failed", reason="node_error", **changes):
    nodes = {
        "t": COMPLETED,
        "a": Fate(status="failed", reason="node_error"),
        "b": Fate(status="skipped", reason="upstream_failed", cause="a"),
        "c": COMPLETED,
        "d": STOPPED,
    }
    return Result(status=status, reason=reason, nodes=nodes | changes)


def test_running_nodes_may_finish_and_waiting_ones_are_cancelled():
    assert check_stop(DOCUMENT, BEHAVIOUR, observed(), started={"t", "a", "c"}) == []
    assert check_stop(DOCUMENT, BEHAVIOUR, observed(c=STOPPED), started={"t", "a"}) == []
    assert check_stop(DOCUMENT, BEHAVIOUR, observed(d=COMPLETED)) == []


def test_a_second_failure_may_come_to_nodes_that_are_cancelled_already():
    behaviour = BEHAVIOUR | {"c": Fail()}
    failed = Fate(status="failed", reason="node_error")
    assert check_stop(DOCUMENT, behaviour, observed(c=failed)) == []
    assert (
        check_stop(
            DOCUMENT, behaviour, observed(c=failed, d=Fate(status="skipped", reason="upstream_failed", cause="c"))
        )
        == []
    )


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (observed(status="completed", reason=None), "The execution is completed"),
        (observed(b=COMPLETED), "b ran (completed) although"),
        (observed(b=STOPPED), "b is cancelled stopped, but it descends"),
        (observed(b=Fate(status="skipped", reason="upstream_failed", cause="t")), "b is skipped upstream_failed"),
        (observed(c=STOPPED, d=COMPLETED), "d ran (completed) although ['c'] had been stopped"),
        (observed(c=Fate(status="failed", reason="node_error")), "c ran, but ended otherwise"),
        (observed(d=Fate(status="skipped", reason="upstream_failed", cause="a")), "d is skipped upstream_failed"),
        (observed(d=Fate(status="pending")), "d is pending"),
        (observed(c=Fate(status="running")), "c is running"),
        (observed(c=Fate(status="cancelled", reason="user")), "c is cancelled user"),
    ],
)
def test_a_wrong_stop_is_found(result, sentence):
    found = check_stop(DOCUMENT, BEHAVIOUR, result)
    assert any(item.startswith(sentence) for item in found), found


def test_a_node_that_starts_after_the_failure_is_found():
    assert check_stop(DOCUMENT, BEHAVIOUR, observed(d=COMPLETED), started={"t", "a", "c"}) != []
    by_levels = DOCUMENT | {"settings": {"on_failure": "stop", "scheduling": "levels"}}
    assert check_stop(by_levels, BEHAVIOUR, observed()) == []
    assert check_stop(by_levels, BEHAVIOUR, observed(d=COMPLETED)) != []


def test_without_an_unhandled_failure_nothing_may_be_stopped():
    document = DOCUMENT | {
        "edges": [*DOCUMENT["edges"][:1], {"from": "a", "to": "b", "handle": "error"}, *DOCUMENT["edges"][2:]]
    }
    result = observed(status="completed", reason=None, b=COMPLETED, d=COMPLETED)
    assert check_stop(document, BEHAVIOUR, result) == []
    assert check_stop(document, BEHAVIOUR, dataclasses.replace(result, nodes={**result.nodes, "d": STOPPED})) != []


def test_a_node_without_a_result_is_found():
    result = observed()
    missing = Result(status="failed", reason="node_error", nodes={key: result.nodes[key] for key in "tabc"})
    assert check_stop(DOCUMENT, BEHAVIOUR, missing) != []
    assert differences(result, missing) == ["d is None, expected: cancelled stopped."]


def simulated_stop(scenario, data):
    """Some run that a stop can leave, and the descendants of the failure that came first."""
    expected = predict(scenario.document, scenario.behaviour, execution_input=scenario.execution_input)
    assume(expected.unhandled)
    first = data.draw(st.sampled_from(sorted(expected.unhandled)))
    below = descendants(scenario.document, first)
    above = {key for key in expected.nodes if first in descendants(scenario.document, key)}
    assume(not above & expected.unhandled)
    # Whatever of the others is decided is decided with all before it; another failure may end last.
    late = data.draw(st.sets(st.sampled_from(sorted(expected.nodes))))
    stopped = set()
    for key in late - above - {first}:
        stopped |= {key} | descendants(scenario.document, key)
    nodes = {}
    for key, fate in expected.nodes.items():
        if key in below:
            nodes[key] = Fate(status="skipped", reason="upstream_failed", cause=first)
        elif key in stopped:
            nodes[key] = STOPPED
        else:
            nodes[key] = fate
    # What comes after another failure cannot have started without being after a stop.
    for key in expected.unhandled - {first} - stopped - below:
        for other in descendants(scenario.document, key) - below:
            nodes[other] = STOPPED
    return Result(status="failed", reason="node_error", nodes=nodes), below


@given(scenarios(on_failure=("stop",), scheduling=("eager",), max_nodes=12), st.data())
def test_every_possible_stop_passes_and_one_that_goes_on_does_not(scenario, data):
    result, below = simulated_stop(scenario, data)
    arguments = {"execution_input": scenario.execution_input}
    assert check_stop(scenario.document, scenario.behaviour, result, **arguments) == []
    for key in below:
        gone_on = dataclasses.replace(result, nodes={**result.nodes, key: COMPLETED})
        assert check_stop(scenario.document, scenario.behaviour, gone_on, **arguments) != []
