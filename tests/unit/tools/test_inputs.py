import contextvars
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any, Literal, Optional, TypedDict

import pytest
from pydantic import BaseModel, Field

from workflows_app.dag.types import JsonObject, JsonValue, ToolInfo
from workflows_app.tools import ToolContext, tool
from workflows_app.tools.errors import NodeInputError, ToolDefinitionError
from workflows_app.tools.registry import registry

type Days = int
type Call = Callable[..., Awaitable[object]]


def info(function: Callable[..., object]) -> ToolInfo:
    tool("demo.it")(function)
    return registry.catalogue()["demo.it"]


@pytest.fixture
def call(context: ToolContext) -> Call:
    async def run(function: Callable[..., object], inputs: JsonObject, *, strict: bool = True) -> object:
        tool("demo.it")(function)
        return await registry.get("demo.it").call(inputs, context, strict=strict)

    return run


async def wrong(call: Call, function: Callable[..., object], inputs: JsonObject, *, strict: bool = True) -> str:
    with pytest.raises(NodeInputError) as caught:
        await call(function, inputs, strict=strict)
    return str(caught.value)


async def whole(a: int) -> int:
    return a


async def fraction(a: float) -> float:
    return a


async def exact(a: Decimal) -> Decimal:
    return a


async def text(a: str) -> str:
    return a


async def test_a_parameter_of_type_float_gets_a_float(call: Call) -> None:
    result = await call(fraction, {"a": Decimal("0.1")})
    assert (result, type(result)) == (0.1, float)
    assert type(await call(fraction, {"a": 3})) is float


async def test_a_decimal_keeps_all_its_digits(call: Call) -> None:
    amount = Decimal("1234567890123456789012345.123")
    assert str(await call(exact, {"a": amount})) == "1234567890123456789012345.123"
    assert await call(exact, {"a": 3}) == Decimal(3)


async def test_whole_numbers_are_taken_as_int_however_they_are_written(call: Call) -> None:
    assert await call(whole, {"a": 2**200}) == 2**200
    assert await call(whole, {"a": Decimal("2.0")}) == 2
    assert await call(whole, {"a": "12"}) == 12
    big = await call(whole, {"a": Decimal("12345678901234567890123")})
    assert (big, type(big)) == (12345678901234567890123, int)


async def test_a_fraction_is_no_int(call: Call) -> None:
    assert await wrong(call, whole, {"a": Decimal("1.5")}) == (
        "The input 'a' of tool 'demo.it' should be a valid integer, got a number with a fractional part; "
        "it is a number."
    )


@pytest.mark.parametrize("function", [whole, fraction, exact])
async def test_true_is_no_number(call: Call, function: Callable[..., object]) -> None:
    message = await wrong(call, function, {"a": True})
    assert message == "The input 'a' of tool 'demo.it' should be a number; it is true or false."


@pytest.mark.parametrize(
    ("hint", "good"),
    [
        (list[int], [1]),
        (Sequence[float], [1]),
        (dict[str, Decimal], {"x": Decimal(1)}),
        (tuple[int, ...], [1]),
        (Annotated[list[int], Field(min_length=1)], [1]),
        (int | None, 1),
        (Optional[int], 1),  # noqa: UP045 - the old spelling is another class
        (Days, 1),
        (list[Annotated[int, Field(ge=1)]], [1]),
    ],
)
async def test_true_is_no_number_inside_other_types_either(call: Call, hint: Any, good: JsonValue) -> None:
    async def take(a: hint) -> object:
        return a

    def with_true(value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [True]
        return {"x": True} if isinstance(value, dict) else True

    await call(take, {"a": good})
    assert "should be a number; it is true or false." in await wrong(call, take, {"a": with_true(good)})


async def test_a_bool_parameter_takes_true(call: Call) -> None:
    async def take(a: bool, b: int | bool) -> object:
        return [a, b]

    assert await call(take, {"a": True, "b": True}) == [True, True]


async def test_a_union_of_numbers_keeps_what_it_gets(call: Call) -> None:
    async def take(a: int | Decimal) -> object:
        return a

    for value in (3, Decimal("3.0"), Decimal("3.5")):
        result = await call(take, {"a": value})
        assert (str(result), type(result)) == (str(value), type(value))


async def test_a_parameter_of_any_json_value_changes_nothing(call: Call) -> None:
    async def take(a: JsonValue, b: Any, c) -> object:
        return [a, b, c]

    value: JsonValue = {"x": [True, 1, Decimal("1.0"), "1", None, {"y": Decimal("0.10")}]}
    assert repr(await call(take, {"a": value, "b": value, "c": value})) == repr([value, value, value])


async def test_numbers_are_not_turned_into_text(call: Call) -> None:
    assert "should be a valid string; it is a number." in await wrong(call, text, {"a": 1})


@pytest.mark.parametrize("value", ["nan", "inf", Decimal("9e308"), 10**400])
async def test_a_float_is_finite(call: Call, value: JsonValue) -> None:
    assert "The input 'a' of tool 'demo.it' should be a" in await wrong(call, fraction, {"a": value})


async def test_every_wrong_input_has_a_sentence_that_names_the_place(call: Call) -> None:
    async def take(a: int, items: list[int], b: str = "") -> object:
        return a

    message = await wrong(call, take, {"items": [1, None, 2, "x"], "b": [], "itms": 1})
    assert message == (
        "Tool 'demo.it' has no input 'itms'. Did you mean 'items'? "
        "Tool 'demo.it' needs the input 'a', which is missing: add it. "
        "The input 'items[1]' of tool 'demo.it' should be a valid integer; it is null. "
        "The input 'items[3]' of tool 'demo.it' should be a valid integer, unable to parse string as an integer; "
        "it is text. "
        "The input 'b' of tool 'demo.it' should be a valid string; it is a list."
    )


async def test_a_thousand_wrong_inputs_are_counted(call: Call) -> None:
    async def take(a: list[int]) -> object:
        return a

    message = await wrong(call, take, {"a": [None] * 1000})
    assert message.count("it is null") == 10
    assert message.endswith("There are 990 more errors.")


async def test_a_message_does_not_repeat_the_value(call: Call) -> None:
    async def take(a: int | list[Decimal]) -> object:
        return a

    message = await wrong(call, take, {"a": "hunter2"})
    assert "hunter2" not in message
    assert message.count("The input 'a'") == 1


async def test_members_of_a_union_are_not_part_of_the_place(call: Call) -> None:
    async def take(a: dict[str, int | list[int]]) -> object:
        return a

    assert "The input 'a.x' of tool" in await wrong(call, take, {"a": {"x": None}})


async def test_an_unknown_input_is_an_error_only_if_the_call_is_strict(call: Call) -> None:
    message = await wrong(call, whole, {"a": 1, "other": 2})
    assert message == "Tool 'demo.it' has no input 'other'. It takes 'a'."
    assert await call(whole, {"a": 1, "other": 2}, strict=False) == 1
    assert "'a', which is missing" in await wrong(call, whole, {"other": 2}, strict=False)


async def test_a_tool_without_parameters_takes_nothing(call: Call) -> None:
    async def nothing() -> int:
        return 1

    assert await call(nothing, {}) == 1
    assert await call(nothing, {"a": 1}, strict=False) == 1
    assert await wrong(call, nothing, {"a": 1}) == "Tool 'demo.it' has no input 'a'. It takes none."


async def test_a_function_with_keyword_arguments_takes_any_key(call: Call) -> None:
    async def take(a: int, **others: object) -> object:
        return {"a": a, "others": others}

    given: JsonObject = {"a": 1, "self": 2, "a b": [True], "input_0": Decimal("1.50")}
    assert await call(take, given) == {"a": 1, "others": {"self": 2, "a b": [True], "input_0": Decimal("1.50")}}
    assert info(take).input_schema["additionalProperties"] == {}


async def test_the_annotation_of_keyword_arguments_is_checked(call: Call) -> None:
    async def take(**prices: float) -> object:
        return prices

    assert await call(take, {"x": Decimal("1.5")}) == {"x": 1.5}
    assert "The input 'x' of tool 'demo.it' should be a number" in await wrong(call, take, {"x": True})
    assert info(take).input_schema["additionalProperties"] == {"type": "number"}


async def test_the_context_is_injected_and_no_input(call: Call, context: ToolContext) -> None:
    async def take(a: int, context: ToolContext) -> object:
        return context

    assert await call(take, {"a": 1}) is context
    assert await call(take, {"a": 1, "context": 5}, strict=False) is context
    assert "has no input 'context'" in await wrong(call, take, {"a": 1, "context": 5})
    assert list(info(take).input_schema["properties"]) == ["a"]


async def test_the_context_of_an_open_function_is_no_input_either(call: Call, context: ToolContext) -> None:
    async def take(context: ToolContext, **values: object) -> object:
        return context

    assert await call(take, {"context": 5}, strict=False) is context
    assert "has no input 'context'" in await wrong(call, take, {"context": 5})


def test_a_second_context_is_refused() -> None:
    async def take(a: ToolContext, b: ToolContext) -> None: ...

    with pytest.raises(ToolDefinitionError, match="has 2 parameters of type ToolContext"):
        info(take)


def test_a_type_that_cannot_be_checked_is_refused_with_the_name_of_the_tool() -> None:
    async def take(a: threading.Event) -> None: ...

    with pytest.raises(ToolDefinitionError, match=r"inputs of tool 'demo\.it' cannot be checked"):
        info(take)


async def test_an_input_may_have_any_name(call: Call) -> None:
    async def take(json: int, copy: int, model_config: int, _x: int = 4) -> object:
        return [json, copy, model_config, _x]

    assert await call(take, {"json": 1, "copy": 2, "model_config": 3}) == [1, 2, 3, 4]
    assert await call(take, {"json": 1, "copy": 2, "model_config": 3, "_x": 5}) == [1, 2, 3, 5]


async def test_annotations_may_be_text(call: Call) -> None:
    async def take(a: "list[float]", context: "ToolContext") -> "float":
        return sum(a)

    assert await call(take, {"a": [Decimal("0.5"), 1]}) == 1.5
    assert info(take).output_schema == {"type": "number"}


async def test_a_synchronous_function_runs_in_a_thread_with_the_callers_context_variables(
    call: Call, context: ToolContext
) -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("inside")

    def where() -> object:
        return [threading.current_thread() is threading.main_thread(), variable.get()]

    async def there() -> object:
        return [threading.current_thread() is threading.main_thread(), variable.get()]

    assert await call(where, {}) == [False, "inside"]
    with registry.scoped():
        tool("demo.there")(there)
        assert await registry.get("demo.there").call({}, context) == [True, "inside"]


async def test_a_coroutine_function_behind_a_plain_decorator_is_awaited(call: Call) -> None:
    @wraps(whole)
    def plain(**inputs: int) -> object:
        return whole(**inputs)

    assert await call(plain, {"a": 3}) == 3
    assert "has no input 'b'" in await wrong(call, plain, {"a": 3, "b": 4})


async def test_an_error_in_a_thread_is_raised_as_it_is(call: Call) -> None:
    def fail() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        await call(fail, {})


async def test_a_model_that_is_returned_becomes_a_dict_with_its_decimals(call: Call) -> None:
    class Order(BaseModel):
        amount: Decimal
        day: date

    async def order(a: Decimal) -> Order:
        return Order(amount=a, day=date(2026, 1, 2))

    assert await call(order, {"a": Decimal("1.10")}) == {"amount": Decimal("1.10"), "day": date(2026, 1, 2)}


def test_the_schemas_say_what_the_signature_says() -> None:
    class Row(TypedDict):
        amount: Decimal

    async def take(
        a: Annotated[int, Field(ge=1, description="How many.")],
        b: Annotated[Decimal, Field(gt=Decimal("0.10"))],
        c: int | Decimal,
        d: Literal["x", "y"] = "x",
        e: Decimal = Decimal("1.50"),
        f: str | None = None,
        g: Any = None,
    ) -> list[Row]:
        return []

    described = info(take)
    assert described.input_schema == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 1, "description": "How many."},
            "b": {"type": "number", "exclusiveMinimum": Decimal("0.10")},
            "c": {"type": "number"},
            "d": {"type": "string", "enum": ["x", "y"], "default": "x"},
            "e": {"type": "number", "default": Decimal("1.50")},
            "f": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "g": {"default": None},
        },
        "required": ["a", "b", "c"],
        "additionalProperties": False,
    }
    row = {
        "type": "object", "title": "Row", "properties": {"amount": {"type": "number"}}, "required": ["amount"],
    }  # fmt: skip
    assert described.output_schema == {"type": "array", "items": {"$ref": "#/$defs/Row"}, "$defs": {"Row": row}}


def test_an_output_of_which_nothing_is_known_may_be_anything() -> None:
    @dataclass
    class Known:
        a: int

    class Foreign:
        pass

    async def silent(): ...

    async def foreign() -> Foreign: ...

    async def known() -> Known: ...

    async def nothing() -> None: ...

    for function, expected in ((silent, {}), (foreign, {}), (nothing, {"type": "null"})):
        with registry.scoped():
            assert info(function).output_schema == expected
    assert info(known).output_schema["properties"] == {"a": {"type": "integer"}}


def test_a_default_that_is_not_json_is_left_out_of_the_schema() -> None:
    marker = object()

    async def take(a: Any = marker) -> None: ...

    assert info(take).input_schema["properties"] == {"a": {}}


async def test_a_default_is_the_functions_own(call: Call) -> None:
    marker = object()

    async def take(a: Any = marker) -> object:
        return a is marker

    assert await call(take, {}) is True
