"""What is malformed is refused before anything runs; what tools do wrong is the failure of their node alone."""

import asyncio
import sys

import pytest

from executions_app.executor import WorkflowExecutor
from executions_app.models import ExecutionLog, NodeExecution, WorkflowExecution
from executions_app.services.errors import InvalidInput
from tests.integration.conftest import document
from tests.integration.runs import fates, row, run_text
from workflows_app.models import Workflow
from workflows_app.services.documents import read, save
from workflows_app.services.errors import InvalidDefinition
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = """name: good
settings: {timeout_seconds: 5}
nodes:
  - {key: t, type: trigger}
  - key: a
    type: tool
    tool: core.set
    inputs: {x: 1}
    retry: {max_retries: 1}
  - {key: b, type: adapter, output: "${{ nodes.a.x }}"}
edges:
  - {from: t, to: a}
  - {from: a, to: b}
"""


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("name: good", "name: Not A Slug", "INVALID_DOCUMENT", "line 1, name"),
        ("timeout_seconds: 5", "timeout_seconds: soon", "INVALID_DOCUMENT", "line 2, settings.timeout_seconds"),
        ("timeout_seconds: 5", "time: 5", "UNKNOWN_KEY", "line 2, settings.time"),
        ("key: t,", "key: 1t,", "INVALID_KEY", "line 4, "),
        ("key: b,", "key: a,", "DUPLICATE_KEY", "line 10, node a, key"),
        ("tool: core.set", "tool: core.sett", "UNKNOWN_TOOL", "line 7, node a, tool"),
        ("max_retries: 1", "max_retries: -1", "INVALID_CONFIG", "line 9, node a, retry.max_retries"),
        ("max_retries: 1", "retries: 1", "UNKNOWN_KEY", "line 9, node a, retry.retries"),
        ("type: adapter", "type: adaptor", "INVALID_CONFIG", "line 10, node b, type"),
        (', output: "${{ nodes.a.x }}"', "", "INVALID_CONFIG", "line 10, node b, output"),
        ("nodes.a.x", "nodes.a.", "INVALID_EXPRESSION", "line 10, node b, output"),
        ("nodes.a.x", "nodes.c.x", "UNKNOWN_REFERENCE", "line 10, node b, output"),
        ("nodes.a.x", "vars.c", "UNKNOWN_VARIABLE", "line 10, node b, output"),
        ("x: 1", 'x: "${{ nodes.b }}"', "NOT_AN_ANCESTOR", "line 8, node a, inputs.x"),
        ("from: a, to: b", "from: a, to: c", "NODE_NOT_FOUND", "line 13, edge a -> c, to"),
        ("from: a, to: b", "from: b, to: a", "CYCLE_DETECTED", None),
        ("from: a, to: b", "from: t, to: a", "DUPLICATE_EDGE", "line 13, edge t -> a"),
        ("from: a, to: b", "from: b, to: b", "SELF_LOOP", "line 13, edge b -> b"),
        ("from: a, to: b", "from: a, to: b, default: true", "INVALID_CONFIG", "line 13, edge a -> b, default"),
        ("from: a, to: b", "from: t, to: b, handle: error", "INVALID_HANDLE", "line 13, edge t -> b, handle"),
        ("from: a, to: b", "from: b, to: t", "TRIGGER_HAS_INPUT", "line 13, edge b -> t"),
    ],
)
def test_a_problem_names_its_line_and_field(owner, old, new, code, where):
    text = GOOD.replace(old, new)
    if code == "CYCLE_DETECTED":
        text += "  - {from: a, to: b}\n"
    with pytest.raises(InvalidDefinition) as refused:
        save(read(text), owner)
    found = {str(problem.code): problem for problem in refused.value.problems}
    assert code in found, refused.value
    if where is not None:
        assert found[code].where.startswith(where)
    assert found[code].message.endswith((".", "?"))
    assert not Workflow.objects.exists()


def test_all_problems_are_told_at_once(owner):
    text = GOOD.replace("core.set", "core.sett").replace("nodes.a.x", "nodes.c.x").replace("settings", "setings")
    with pytest.raises(InvalidDefinition) as refused:
        save(read(text), owner)
    assert {problem.code for problem in refused.value.problems} == {"UNKNOWN_TOOL", "UNKNOWN_REFERENCE", "UNKNOWN_KEY"}


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_a_document_that_is_no_mapping_is_one_problem(owner, value):
    with pytest.raises(InvalidDefinition) as refused:
        save(read(str(value).lower() if value is not None else "null"), owner)
    assert {str(problem.code) for problem in refused.value.problems} == {"INVALID_DOCUMENT"}


SCHEMA = {
    "type": "object",
    "properties": {"symbol": {"type": "string"}, "size": {"type": "integer", "minimum": 1}},
    "required": ["symbol"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({}, "symbol"),
        (None, "symbol"),
        ({"symbol": 5}, "symbol"),
        ({"symbol": "A", "size": 0}, "size"),
        ({"symbol": "A", "sice": 1}, "sice"),
    ],
)
def test_an_input_that_misses_the_schema_is_refused_and_the_field_is_named(import_document, value, part):
    workflow = import_document(document("t>a", input_schema=SCHEMA))
    with pytest.raises(InvalidInput, match=part) as refused:
        asyncio.run(WorkflowExecutor().execute(workflow.id, value))
    assert any(part in field or part in sentence for field, sentence in refused.value.problems)
    assert not WorkflowExecution.objects.exists()
    assert not NodeExecution.objects.exists()
    assert not ExecutionLog.objects.exists()


class Odd(Exception):
    """An error whose text no column takes."""


def hostile():
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    async def cancels_itself():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    async def raises_a_group():
        async with asyncio.TaskGroup() as group:
            group.create_task(cancels_itself())
            group.create_task(fails("in a group"))

    async def fails(text):
        raise Odd(text)

    def raising(error):
        def work():
            raise error

        return work

    deep: list[object] = []
    for _ in range(500):
        deep = [deep]
    loop: list[object] = []
    loop.append(loop)
    return {
        "raises": raising(ValueError("wrong")),
        "raises_nothing_to_say": raising(Odd()),
        "raises_nul_and_surrogates": raising(Odd("a\0b \ud800 \udfff c")),
        "raises_much": raising(Odd("x" * 10_000_000)),
        "raises_without_text": raising(Unprintable()),
        "raises_timeout": raising(TimeoutError()),
        "raises_stop": raising(StopIteration(5)),
        "raises_a_group": raises_a_group,
        "exits": raising(SystemExit(3)),
        "calls_exit": lambda: sys.exit("bye"),
        "generator_exit": raising(GeneratorExit()),
        "cancels_itself": cancels_itself,
        "raises_cancelled": raising(asyncio.CancelledError()),
        "recurses": lambda: recursion(),
        "returns_a_set": lambda: {1},
        "returns_nan": lambda: {"n": [float("nan")]},
        "returns_an_object": lambda: object(),
        "returns_bytes": lambda: b"x",
        "returns_keys_of_numbers": lambda: {1: 2},
        "returns_nul": lambda: {"a": "\0"},
        "returns_a_surrogate": lambda: "\ud800",
        "returns_a_surrogate_key": lambda: {"\ud800": 1},
        "returns_depth": lambda: deep,
        "returns_a_cycle": lambda: loop,
        "returns_a_coroutine_function": lambda: fails,
        "returns_100_mb": lambda: "x" * 100_000_000,
        "returns_a_huge_number": lambda: 2**300,
    }


def recursion():
    return recursion()


@pytest.mark.parametrize("name", hostile())
def test_whatever_a_tool_does_its_node_fails_with_a_sentence_and_its_siblings_finish(owner, tools, name):
    tool(f"test.{name}", effect="none")(hostile()[name])
    result = run_text(
        f"""name: hostile
nodes:
  - {{key: t, type: trigger}}
  - {{key: a, type: tool, tool: test.{name}, inputs: {{}}}}
  - {{key: child, type: adapter, output: 1}}
  - {{key: b, type: tool, tool: core.set, inputs: {{}}}}
  - {{key: c, type: adapter, output: 1}}
edges: [{{from: t, to: a}}, {{from: a, to: child}}, {{from: t, to: b}}, {{from: b, to: c}}]
""",
        owner,
    )
    assert fates(result) == {
        "t": "completed",
        "a": "failed node_error",
        "child": "skipped upstream_failed",
        "b": "completed",
        "c": "completed",
    }
    assert (result.status, result.reason) == ("failed", "node_error")
    assert result.error.keys() == {"code", "message", "type", "node"}
    assert 0 < len(result.error_message) < 10_000
    assert "\0" not in row(result, "a").traceback
    assert row(result, "a").output is None


def test_a_tool_that_is_gone_when_its_workflow_runs_is_a_problem_of_the_definition(owner, tools):
    tool("test.here", effect="none")(recursion)
    text = GOOD.replace("core.set", "test.here").replace("inputs: {x: 1}", "inputs: {}")
    workflow, _ = save(read(text), owner)
    tools._tools.pop("test.here")
    with pytest.raises(InvalidDefinition, match="UNKNOWN_TOOL"):
        asyncio.run(WorkflowExecutor().execute(workflow.id, {}))
    assert not WorkflowExecution.objects.exists()
