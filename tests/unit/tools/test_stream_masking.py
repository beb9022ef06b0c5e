"""Secrets in a text that comes in pieces are hidden as in the whole text, wherever it is cut."""

import base64
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows_app.tools.masking import Mask
from workflows_app.tools.stream_masking import MaskedStream

VALUES = ["S3CR3T/key+of=42", "hunter22", "密碼-密碼-密碼"]
SPELLINGS = [
    form
    for value in VALUES
    for form in (value, quote(value, safe=""), base64.b64encode(value.encode()).decode(), value.encode().hex())
]


def streamed(mask, pieces):
    stream = MaskedStream(mask)
    return [*map(stream.take, pieces), stream.end()]


SPACED = "a key of words"


@pytest.mark.parametrize("values", [VALUES, [*VALUES, SPACED]], ids=["words", "spaces"])
@given(
    parts=st.lists(st.sampled_from([*SPELLINGS, SPACED]) | st.text("abS3= %\\/", max_size=30), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_what_is_shown_is_the_masked_text_wherever_it_is_cut(values, parts, cuts):
    text = "".join(parts)
    pieces = [text[start:end] for start, end in pairwise([0, *sorted(cuts), len(text) + 600])]
    assert "".join(streamed(Mask.of(values), pieces)) == Mask.of(values).text(text)


def test_cutting_without_holding_back_would_show_a_secret():
    mask = Mask.of(VALUES)
    pieces = ["the key hunt", "er22 is it"]
    assert "".join(map(mask.text, pieces)) == "the key hunter22 is it"
    assert "".join(streamed(mask, pieces)) == "the key *** is it"


def test_words_are_shown_as_they_come():
    pieces = ["so it", " goes on", " and on"]
    assert streamed(Mask.of(["hunter22"]), pieces) == ["so ", "it goes ", "on and ", "on"]


def test_where_a_secret_has_white_space_most_of_a_long_text_is_shown_before_its_end():
    shown = streamed(Mask.of([SPACED]), ["so it goes "] * 100)
    assert 400 < len("".join(shown[:-1])) < 1000


@pytest.mark.parametrize("mask", [None, Mask.of([])])
def test_without_secrets_nothing_is_held_back(mask):
    assert streamed(mask, ["a", "b"]) == ["a", "b", ""]
