import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest

from workflows_app.dag import jsontext
from workflows_app.dag.types import JsonObject
from workflows_app.tools import ToolContext
from workflows_app.tools.errors import NodeInputError, ToolFailed
from workflows_app.tools.registry import registry


async def run(name: str, inputs: JsonObject, context: ToolContext) -> object:
    return await registry.get(name).call(inputs, context)


async def test_set_returns_its_inputs_in_their_order(context: ToolContext) -> None:
    given: JsonObject = {"b": Decimal("0.10"), "a": [1, True, None], "self": {"x": "y"}, "values": 1}
    result = await run("core.set", given, context)
    assert jsontext.dumps(result) == '{"b":0.10,"a":[1,true,null],"self":{"x":"y"},"values":1}'
    assert await run("core.set", {}, context) == {}


@pytest.mark.parametrize("seconds", [0, Decimal("0.001"), Decimal("0.0")])
async def test_sleep_returns_the_seconds_as_they_are_given(context: ToolContext, seconds: int | Decimal) -> None:
    assert jsontext.dumps(await run("core.sleep", {"seconds": seconds}, context)) == f'{{"slept":{seconds}}}'


async def test_sleep_waits_that_long(context: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now = [loop.time()]
    # The event loop's clock stands still, and moves when the test says so.
    monkeypatch.setattr(loop, "time", lambda: now[0])
    task = asyncio.create_task(run("core.sleep", {"seconds": Decimal("3600.5")}, context))
    for passed, done in ((0.0, False), (3600.4, False), (0.2, True)):
        now[0] += passed
        for _ in range(5):
            await asyncio.sleep(0)
        assert task.done() is done
    assert await task == {"slept": Decimal("3600.5")}


async def test_sleep_can_be_cancelled(context: ToolContext) -> None:
    task = asyncio.create_task(run("core.sleep", {"seconds": 3600}, context))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seconds", [-1, Decimal("-0.001"), True, None, "soon"])
async def test_sleep_refuses_what_is_no_duration(context: ToolContext, seconds: object) -> None:
    with pytest.raises(NodeInputError, match=r"'seconds' of tool 'core\.sleep'"):
        await run("core.sleep", {"seconds": seconds}, context)


def test_sleep_takes_any_number_of_seconds() -> None:
    assert registry.catalogue()["core.sleep"].input_schema["properties"] == {"seconds": {"type": "number"}}


async def test_fail_fails_with_its_message(context: ToolContext) -> None:
    with pytest.raises(ToolFailed, match=r"^boom$") as caught:
        await run("core.fail", {"message": "boom"}, context)
    assert type(caught.value) is ToolFailed
    assert caught.value.retryable


async def test_fail_says_something_without_a_message(context: ToolContext) -> None:
    with pytest.raises(ToolFailed, match="made to fail"):
        await run("core.fail", {}, context)


@pytest.mark.parametrize("kind", [ValueError, TimeoutError, ConnectionResetError, OSError, ZeroDivisionError])
async def test_fail_raises_the_builtin_exception_of_the_name(context: ToolContext, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="boom") as caught:
        await run("core.fail", {"message": "boom", "type": kind.__name__}, context)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "name",
    ["BrokerDown", "Überlast", "SystemExit", "KeyboardInterrupt", "StopIteration", "UnicodeDecodeError", "print"],
)
async def test_fail_raises_a_class_of_any_other_name(context: ToolContext, name: str) -> None:
    with pytest.raises(ToolFailed, match="boom") as caught:
        await run("core.fail", {"message": "boom", "type": name}, context)
    assert type(caught.value).__name__ == name


@pytest.mark.parametrize("name", ["", "no name", "a.b", "1x", "class"])
async def test_fail_refuses_a_type_that_is_no_name(context: ToolContext, name: str) -> None:
    with pytest.raises(NodeInputError, match="no name of a class"):
        await run("core.fail", {"type": name}, context)


async def test_fail_fails_only_so_many_times(context_of: Callable[..., ToolContext]) -> None:
    for number in (1, 2):
        with pytest.raises(ToolFailed):
            await run("core.fail", {"times": 2}, context_of(number))
    assert await run("core.fail", {"times": 2}, context_of(3)) == {"attempt": 3}
    assert await run("core.fail", {"times": 0}, context_of(1)) == {"attempt": 1}
    with pytest.raises(ToolFailed):
        await run("core.fail", {"times": None}, context_of(1000))


async def test_fail_refuses_a_negative_number_of_times(context: ToolContext) -> None:
    with pytest.raises(NodeInputError, match=r"'times' of tool 'core\.fail' is negative"):
        await run("core.fail", {"times": -1}, context)


async def test_log_writes_to_the_journal_and_returns_its_message(context: ToolContext, lines: list[object]) -> None:
    assert await run("core.log", {"message": "hello"}, context) == {"message": "hello"}
    assert await run("core.log", {"message": "careful", "level": "warning"}, context) == {"message": "careful"}
    assert lines == [("info", "hello", None), ("warning", "careful", None)]


async def test_log_knows_four_levels(context: ToolContext, lines: list[object]) -> None:
    schema = registry.catalogue()["core.log"].input_schema["properties"]
    assert schema["level"]["enum"] == ["debug", "info", "warning", "error"]
    with pytest.raises(NodeInputError, match=r"'level' of tool 'core\.log' should be 'debug', 'info'"):
        await run("core.log", {"message": "x", "level": "loud"}, context)
    assert lines == []


def test_a_tool_can_log_data(context: ToolContext, lines: list[object]) -> None:
    context.log("priced", "debug", price=0.1, message="own")
    assert lines == [("debug", "priced", {"price": Decimal("0.1"), "message": "own"})]


def test_a_tool_cannot_log_what_is_not_json(context: ToolContext) -> None:
    with pytest.raises(jsontext.JsonError):
        context.log("priced", price=object())
