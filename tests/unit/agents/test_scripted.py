"""The provider that asks nobody."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from tests.unit.processors.conftest import Line, MakeCall
from workflows_app.dag.types import JsonObject, JsonValue, NodeType
from workflows_app.processors.base import NodeCall
from workflows_app.processors.errors import NodeOutputError
from workflows_app.processors.registry import PROCESSORS

type Run = Callable[[NodeCall], Awaitable[object]]

MARK = "Scripted answer, no model was asked."


def scripted(call_of: MakeCall, **fields: object) -> NodeCall:
    return call_of(NodeType.AGENT, provider="scripted", model="any", **fields)


async def test_it_gives_the_prompt_back_and_says_that_no_model_was_asked(
    call_of: MakeCall, run: Run, lines: list[Line]
) -> None:
    call = scripted(call_of, prompt="What of ${{ input.symbol }}?", execution_input={"symbol": "AAPL"})
    assert await run(call) == {"text": f"{MARK} The prompt: What of AAPL?"}
    assert lines == [("warning", "The model is scripted: no model is asked.", {"scripted": True})]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, MARK),
        ({"type": "string", "maxLength": 8}, "Scripted"),
        ({"type": "number", "minimum": Decimal("0.10")}, Decimal("0.10")),
        ({"type": ["integer", "null"]}, 0),
        ({"enum": ["buy", "sell"]}, "buy"),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"type": "boolean", "default": True}, True),
        ({"type": "array", "minItems": 2, "items": {"type": "boolean"}}, [False, False]),
        ({"properties": {"a": {"type": "null"}, "b": {"type": "object"}}}, {"a": None, "b": {}}),
    ],
)
async def test_it_gives_the_smallest_value_of_a_schema(
    call_of: MakeCall, run: Run, schema: JsonObject, value: JsonValue
) -> None:
    assert await run(scripted(call_of, prompt="?", output_schema=schema)) == value


async def test_what_it_cannot_make_up_fails_as_a_models_answer_does(call_of: MakeCall, run: Run) -> None:
    schema = {"type": "string", "pattern": "^[A-Z]{4}$"}
    with pytest.raises(NodeOutputError, match="None of the model's 3 answers is what was asked for"):
        await run(scripted(call_of, prompt="?", output_schema=schema))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"prompt": "Hi", "system": "Be ${{ vars.mood }}."}, {"system": "Be kind.", "prompt": "Hi", "input": None}),
        ({}, {"system": "", "prompt": '{"mood":"kind","a":1.50}', "input": {"mood": "kind", "a": Decimal("1.50")}}),
        (
            {"prompt": "Hi", "inputs": {"b": "${{ nodes.p.a }}"}},
            {"system": "", "prompt": 'Hi\n\n{"b":1.50}', "input": {"b": Decimal("1.50")}},
        ),
        ({"prompt": "${{ nodes.p }}"}, {"system": "", "prompt": '{"a":1.50}', "input": None}),
    ],
)
def test_what_is_on_record_is_what_is_asked(call_of: MakeCall, fields: JsonObject, shown: JsonObject) -> None:
    call = scripted(call_of, variables={"mood": "kind"}, arrived={"p": {"a": Decimal("1.50")}}, **fields)
    assert PROCESSORS[NodeType.AGENT].pre_process(call).input == shown
