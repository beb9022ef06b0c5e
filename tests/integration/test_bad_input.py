"""What tools do wrong is the failure of their node alone, with a sentence."""

import asyncio

import pytest

from tests.integration.runs import fates, row, run_text
from workflows_app.tools import tool

pytestmark = pytest.mark.django_db(transaction=True)


class Odd(Exception):
    """An error of a class that nobody else knows."""


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def recursion():
    return recursion()


def hostile():
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
        "generator_exit": raising(GeneratorExit()),
        "interrupts": raising(KeyboardInterrupt()),
        "cancels_itself": cancels_itself,
        "recurses": recursion,
        "returns_bytes": lambda: b"x",
        "returns_keys_of_numbers": lambda: {1: 2},
        "returns_nul": lambda: {"a": "\0"},
        "returns_a_surrogate": lambda: "\ud800",
        "returns_a_surrogate_key": lambda: {"\ud800": 1},
        "returns_depth": lambda: deep,
        "returns_a_cycle": lambda: loop,
        "returns_a_coroutine_function": lambda: fails,
        "returns_a_huge_number": lambda: 2**300,
    }


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
