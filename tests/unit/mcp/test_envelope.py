"""What passes the protocol's package in an envelope comes out as it went in, and nobody else can make one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions_app.mcp.envelope import envelope, opened, sealed, text_in
from workflows_app.dag import jsontext

AMOUNT = "1234567890123456789012345.678"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["jsontext", "a", "\\", '"']), inner),
    max_leaves=8,
)


def message(arguments):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": arguments}}
    return json.dumps(call)


def passed(text):
    """A message after a package that reads and writes it by the standard library."""
    return json.dumps(json.loads(text))


@given(st.dictionaries(st.sampled_from(["jsontext", "input"]), VALUES))
def test_arguments_and_results_are_what_they_were(arguments):
    inside = json.loads(passed(sealed(message(arguments))))["params"]["arguments"]
    assert jsontext.loads(text_in(inside)) == arguments
    text = jsontext.dumps(arguments)
    answer = {"result": {"content": [{"type": "text", "text": text}], "structuredContent": envelope(text)}}
    for ascii_only in (True, False):
        written = json.dumps(answer, ensure_ascii=ascii_only, separators=(",", ":")).encode()
        result = json.loads(opened(written))["result"]
        assert result["structuredContent"] == arguments
        assert result["content"][0]["text"] == text


def test_a_number_keeps_its_digits_in_an_envelope_and_loses_them_without():
    text = message({"amount": 0}).replace('"amount": 0', f'"amount": {AMOUNT}')
    inside = json.loads(passed(sealed(text)))["params"]["arguments"]
    assert text_in(inside) == f'{{"amount":{AMOUNT}}}'
    assert AMOUNT in opened(json.dumps({"structuredContent": envelope(text_in(inside))}).encode()).decode()
    # The control.
    assert AMOUNT not in passed(text)


def test_an_envelope_of_a_client_is_put_into_another_one():
    inside = json.loads(sealed(message({"jsontext": '{"amount":1}'})))["params"]["arguments"]
    assert jsontext.loads(text_in(inside)) == {"jsontext": '{"amount":1}'}


def test_a_text_that_looks_like_an_envelope_stays_a_text():
    text = '{"jsontext":"1"}'
    written = json.dumps({"message": text}).encode()
    assert opened(written) == written


def test_without_arguments_they_are_empty():
    assert text_in(None) == "{}"


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": "\\ud800"}', "[" * 100_000])
def test_what_the_codec_refuses_does_not_reach_the_package(text):
    with pytest.raises(jsontext.JsonError):
        sealed(text)
