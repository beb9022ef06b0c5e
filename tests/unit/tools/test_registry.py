import subprocess
import sys

import pytest

from workflows_app.dag.types import Effect
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.errors import DuplicateTool, ToolDefinitionError, UnknownTool
from workflows_app.tools.registry import Registry, Tool, catalogue, registry


def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    And nothing else.
    """
    return a + b


def another(a: int) -> int:
    return a


def test_the_decorator_registers_a_function_and_leaves_it_as_it_is() -> None:
    assert tool("demo.add", effect="none")(add) is add
    assert registry.get("demo.add").function is add
    assert "demo.add" in registry


def test_the_description_is_the_first_line_of_the_docstring_unless_it_is_given() -> None:
    tool("demo.add")(add)
    tool("demo.add_other", description="Something else.")(add)
    tool("demo.another")(another)
    assert registry.get("demo.add").description == "Add two numbers."
    assert registry.get("demo.add_other").description == "Something else."
    assert registry.get("demo.another").description == ""


def test_a_tool_that_says_nothing_is_at_most_once() -> None:
    tool("demo.add")(add)
    assert registry.get("demo.add").effect is Effect.AT_MOST_ONCE
    assert registry.get("demo.add").effects == frozenset()


def test_a_tool_may_allow_nodes_to_state_other_effects() -> None:
    tool("demo.add", effect="at_most_once", effects=["idempotent", Effect.NONE])(add)
    assert registry.catalogue()["demo.add"].effects == {Effect.IDEMPOTENT, Effect.NONE}


def test_an_effect_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match=r"'twice' of tool 'demo\.add' is none: use 'none', 'idempotent'"):
        tool("demo.add", effect="twice")


@pytest.mark.parametrize("name", ["add", "Demo.add", "demo.", ".add", "demo..add", "demo.2", "demo.add ", "demo.ädd"])
def test_a_name_needs_a_family_and_lower_case(name: str) -> None:
    with pytest.raises(ToolDefinitionError, match="is no name for a tool"):
        tool(name)(add)


def test_a_name_may_have_several_parts() -> None:
    tool("demo.sums_2.add")(add)
    assert "demo.sums_2.add" in registry


def test_a_second_function_under_the_same_name_is_refused_and_both_are_named() -> None:
    tool("demo.add")(add)
    with pytest.raises(DuplicateTool) as caught:
        tool("demo.add")(another)
    assert f"{__name__}.add " in str(caught.value)
    assert f"{__name__}.another " in str(caught.value)
    assert registry.get("demo.add").function is add


def test_the_same_function_may_be_registered_again() -> None:
    tool("demo.add")(add)
    tool("demo.add", effect="none")(add)
    assert registry.get("demo.add").effect is Effect.NONE


def test_only_a_function_can_be_a_tool() -> None:
    with pytest.raises(ToolDefinitionError, match="put @tool directly on"):
        tool("demo.add")(Registry)


def test_a_parameter_that_cannot_be_named_is_refused() -> None:
    def positional(a: int, /) -> int:
        return a

    def many(*numbers: int) -> int:
        return sum(numbers)

    for function in (positional, many):
        with pytest.raises(ToolDefinitionError, match="declare its parameter"):
            tool("demo.add")(function)
    assert "demo.add" not in registry


def test_an_unknown_tool_is_answered_with_those_that_are_spelled_alike() -> None:
    with pytest.raises(UnknownTool, match=r"There is no tool 'market\.rsl'\. Did you mean 'market\.rsi'"):
        registry.get("market.rsl")
    with pytest.raises(UnknownTool, match="Install the app that registers it"):
        registry.get("zzz")


def test_the_built_in_tools_are_registered_by_importing_the_package() -> None:
    names = {entry.name for entry in registry}
    assert names >= {"core.set", "core.sleep", "core.fail", "core.log", "market.prices", "market.rsi"}
    built_in = [entry for entry in registry if entry.name.startswith(("core.", "market."))]
    assert {entry.effect for entry in built_in} == {Effect.NONE}
    assert all(entry.description for entry in built_in)


def test_what_is_registered_in_a_scope_is_forgotten_and_what_it_replaced_is_back() -> None:
    own = Registry()
    own.register(Tool(name="demo.add", function=add))

    def register_and_fail() -> None:
        with own.scoped():
            own.register(Tool(name="demo.add", function=add, effect=Effect.NONE))
            own.register(Tool(name="demo.another", function=another))
            assert len(own) == 2
            own.register(Tool(name="demo.another", function=add))

    with pytest.raises(DuplicateTool):
        register_and_fail()
    assert [(entry.name, entry.effect) for entry in own] == [("demo.add", Effect.AT_MOST_ONCE)]


def test_the_catalogue_builds_an_entry_when_it_is_read() -> None:
    def broken(a: "Nowhere") -> int:  # noqa: F821 - the point of the test
        return a

    tool("demo.broken")(broken)
    tool("demo.add")(add)
    entries = registry.catalogue()
    assert {"demo.broken", "demo.add"} <= set(entries)
    assert "demo.broken" in entries
    assert entries["demo.add"].input_schema["required"] == ["a"]
    with pytest.raises(ToolDefinitionError, match=r"annotations of tool 'demo\.broken' cannot be resolved"):
        entries["demo.broken"]


def test_the_catalogue_is_a_mapping_that_follows_the_registry() -> None:
    entries = catalogue()
    assert entries.get("demo.add") is None
    tool("demo.add")(add)
    assert entries["demo.add"].name == "demo.add"
    assert len(entries) == len(registry)


def test_importing_the_tools_loads_no_pydantic_and_no_numbers_library() -> None:
    code = "import sys, workflows_app.tools; print({'pydantic', 'numpy', 'talib'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


async def test_a_synchronous_function_has_an_attempt_too(context: ToolContext) -> None:
    def who(context: ToolContext) -> str:
        return context.attempt_id

    tool("demo.who")(who)
    assert await registry.get("demo.who").call({}, context) == "attempt-1"
