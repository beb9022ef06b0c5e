"""Secrets in one attempt: they reach the processor's code, and nothing that leaves it."""

import base64
from urllib.parse import quote

import pytest

from executions_app.engine.testing import run_plan
from tests.unit.engine.test_run import plan
from workflows_app.dag import jsontext
from workflows_app.processors.registry import PROCESSORS
from workflows_app.tools.context import ToolContext
from workflows_app.tools.registry import registry, tool

VALUE = "S3CR3T/key+of=42"
KNOWN = {"TOKEN": VALUE, "PIN": "8291734650"}


@pytest.fixture(autouse=True)
def _forgetful():
    with registry.scoped():
        yield


def node(inputs, names=("TOKEN",), **more):
    return plan("t>a", a={"tool": "test.use", "inputs": inputs, "secrets": list(names), "effect": "none", **more})


async def record_of(the_plan):
    """The sink's whole record as text."""
    _, sink = await run_plan(the_plan, processors=PROCESSORS, secrets=KNOWN)
    settled, starts = sink.settled["a"], sink.starts["a"]
    entries = [[entry.message, entry.data] for entry in sink.entries]
    errors = [] if settled.error is None else [settled.error.message, settled.error.traceback]
    return sink, "\n".join([settled.output, *errors, *(start.input for start in starts), jsontext.dumps(entries)])


def assert_hidden(text, *values):
    for value in values or (VALUE,):
        for form in (value, base64.b64encode(value.encode()).decode(), quote(value, safe="")):
            assert form not in text


async def test_a_secret_reaches_the_tool_and_neither_input_output_nor_log_shows_it():
    got = []

    @tool("test.use", effect="none")
    async def use(context: ToolContext, header: str) -> dict[str, str]:
        got.append(header)
        context.log(f"Sending {header}.", header=header)
        return {"echo": header, "encoded": base64.b64encode(f"user:{header}".encode()).decode(), header: "as a key"}

    sink, text = await record_of(node({"header": "Bearer ${{ secrets.TOKEN }}"}))
    assert got == [f"Bearer {VALUE}"]
    assert sink.starts["a"][0].input == '{"header":"Bearer ***"}'
    assert jsontext.loads(sink.settled["a"].output)["echo"] == "Bearer ***"
    assert "Sending Bearer ***." in text
    assert_hidden(text)


async def test_an_error_is_masked_before_it_is_cut():
    @tool("test.use", effect="none")
    async def use(key: str) -> None:
        # The secret lies across the place where the message is cut.
        raise ValueError("x" * (8 * 1024 - 2) + key)

    sink, text = await record_of(node({"key": "${{ secrets.TOKEN }}"}))
    assert sink.settled["a"].error.message.endswith("xx** ...")
    assert VALUE[:5] not in text


async def test_what_an_expression_makes_of_a_secret_is_hidden_too():
    got = []

    @tool("test.use", effect="none")
    async def use(key: str, length: int, number: int, is_it: bool) -> list[object]:
        got.append((key, length, number, is_it))
        return [key, number]

    inputs = {
        "key": "${{ lower(secrets.TOKEN) }}",
        "length": "${{ len(secrets.TOKEN) }}",
        "number": "${{ int(secrets.PIN) }}",
        "is_it": "${{ secrets.TOKEN == 'guess' }}",
    }
    sink, text = await record_of(node(inputs, ("TOKEN", "PIN")))
    assert got == [(VALUE.lower(), len(VALUE), 8291734650, False)]
    assert_hidden(text, VALUE.lower(), "8291734650")
    assert sink.settled["a"].output == '["***","***"]'


async def test_inputs_that_do_not_fit_say_nothing_of_the_secret():
    @tool("test.use", effect="none")
    async def use(number: int) -> None: ...

    sink, text = await record_of(node({"number": "${{ secrets.TOKEN }}", "unknown": "${{ secrets.TOKEN }}"}))
    assert sink.settled["a"].error.type == "NodeInputError"
    assert sink.starts["a"][0].input == '{"number":"***","unknown":"***"}'
    assert_hidden(text)


async def test_a_secret_that_nobody_keeps_fails_the_node_before_any_effect_and_is_not_retried():
    @tool("test.use")
    async def use(key: str) -> None: ...

    retry = {"max_retries": 3, "delay": 0}
    sink, _ = await record_of(node({"key": "${{ secrets.OTHER }}"}, ("OTHER",), effect="at_most_once", retry=retry))
    settled = sink.settled["a"]
    assert (settled.error.type, settled.error.message) == ("NodeConfigurationError", "There is no secret 'OTHER'.")
    assert len(sink.starts["a"]) == 1


async def test_the_steps_of_an_attempt_are_measured_as_far_as_it_came():
    @tool("test.use", effect="none")
    async def use(text: str) -> dict[str, str]:
        if text == "fail":
            raise ValueError(text)
        return {"text": text}

    async def measured(inputs):
        _, sink = await run_plan(node(inputs, ()), processors=PROCESSORS)
        return sink.settled["a"].measures

    done = await measured({"text": "é"})
    assert (done.bytes_in, done.bytes_out) == (13, 13)
    assert min(done.pre_process, done.process, done.post_process) >= 0
    failed = await measured({"text": "fail"})
    assert failed.process is not None
    assert (failed.post_process, failed.bytes_out) == (None, None)
    refused = await measured({"text": 1})
    assert (refused.process, refused.bytes_in) == (None, None)
