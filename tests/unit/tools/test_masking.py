"""A secret comes back in no spelling, and nothing else is touched."""

import base64
import html
import json
from decimal import Decimal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spellings import hexadecimal, inside_base64, spellings
from workflows_app.tools.masking import Mask

AWKWARD = "pä\"s'w\\o/r+d =&<%>\n~€😀"
PLAIN = "S3CR3T-7b0c6f0e"


SECRETS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=8, max_size=40)
# What is white space around a secret is found without it, and a mark is found in marks.
SECRETS = SECRETS.filter(lambda value: len(value.strip()) >= 8 and "*" not in value)
AROUND = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), max_size=12)


@given(SECRETS, AROUND, AROUND, st.data())
def test_no_spelling_of_a_secret_is_left_in_a_masked_text(value, before, behind, data):
    spelling = data.draw(st.sampled_from(sorted(spellings(value))))
    masked = Mask.of([value]).text(before + spelling + behind)
    assert not [form for form in spellings(value) if form in masked]
    assert "***" in masked


@given(SECRETS, st.binary(max_size=9), st.binary(max_size=9), st.sampled_from(["b64encode", "urlsafe_b64encode"]))
def test_base64_of_a_longer_text_shows_nothing_of_a_secret_in_it(value, before, behind, encoder):
    encoded = getattr(base64, encoder)(before + value.encode() + behind).decode()
    for text in (encoded, encoded.rstrip("="), quote(encoded, safe="")):
        masked = Mask.of([value]).text(text)
        assert "***" in masked
        assert not [form for form in inside_base64(value) if form in masked]


@given(st.lists(SECRETS, min_size=2, max_size=4), st.data())
def test_of_secrets_that_contain_or_overlap_each_other_nothing_is_left(values, data):
    longer = values[0] + values[1]
    overlapping = values[0][4:] + values[1][:4]
    values = [*values, longer, overlapping]
    order = data.draw(st.permutations(values))
    masked = Mask.of(order).text("<" + ">\n<".join([*values, values[0] + values[1] + values[0]]) + ">")
    assert not [value for value in values if value.strip() in masked]


@given(SECRETS, AROUND)
def test_a_text_without_a_secret_is_the_same_object(value, text):
    mask = Mask.of([value])
    if mask.text(text) == text:
        assert mask.text(text) is text


@pytest.mark.parametrize("spelling", sorted(spellings(AWKWARD)))
def test_every_spelling_of_an_awkward_secret_is_one_mark(spelling):
    assert Mask.of([AWKWARD]).text(f"<{spelling}>") == "<***>"


def test_overlapping_secrets_are_hidden_from_the_first_letter_to_the_last():
    assert Mask.of(["abcdefgh", "efghijkl", "ijklmnop"]).text("<abcdefghijklmnop>") == "<***>"
    assert Mask.of(["abcabcab"]).text("<abcabcabcabcab>") == "<***>"


def test_a_secret_inside_another_leaves_nothing_of_the_longer_one():
    mask = Mask.of(["hunter22", "my-hunter22-password"])
    assert mask.text("my-hunter22-password, hunter22") == "***, ***"


def test_white_space_around_a_secret_need_not_be_there():
    assert Mask.of([" secret-value\n"]).text("<secret-value>, < secret-value\n>") == "<***>, <***>"


def test_a_header_of_basic_authentication_shows_nothing():
    header = base64.b64encode(f"ada:{PLAIN}".encode()).decode()
    masked = Mask.of([PLAIN]).text(f"Authorization: Basic {header}")
    assert masked == "Authorization: Basic YWRhO***"


def test_a_mixture_of_spellings_is_found():
    assert Mask.of(["a/b c&d'e"]).text(r"?k=a%2fb+c&amp;d\'e") == "?k=***"


@pytest.mark.parametrize("size", [5000, 65536])
@pytest.mark.parametrize("letters", [PLAIN, AWKWARD, "한글"])
def test_a_long_secret_is_found_in_every_spelling(size, letters):
    value = (letters * size)[: size - 1] + "!"
    mask = Mask.of([value, "a-short-one"])
    forms = {value, quote(value), quote_plus(value), json.dumps(value)[1:-1], html.escape(value)}
    for form in forms | hexadecimal(value) | inside_base64(value):
        assert mask.text(f"<{form}> a-short-one") == "<***> ***"


def test_of_too_many_letters_that_can_be_spelled_in_many_ways_every_usual_spelling_is_found():
    values = [chr(0xAC00 + number) * 4000 + "!" for number in range(3)]
    mask = Mask.of(values)
    for value in values:
        for form in (value, quote(value), json.dumps(value)[1:-1], value.encode().hex()):
            assert mask.text(f"<{form}>") == "<***>"


def test_a_value_is_masked_in_texts_and_keys_at_every_depth():
    value = {"a": [1, {"b": f"x{PLAIN}y"}], PLAIN: True, f"{PLAIN}{PLAIN}": None, "c": Decimal("1.5")}
    masked = Mask.of([PLAIN]).value(value)
    assert masked == {"a": [1, {"b": "x***y"}], "***": True, "***2": None, "c": Decimal("1.5")}
    assert list(masked) == ["a", "***", "***2", "c"]


def test_a_value_without_a_secret_is_the_same_object():
    value = {"a": [1, {"b": "x"}], "c": Decimal("1.5")}
    assert Mask.of([PLAIN]).value(value) is value
    assert Mask.of([]).value(value) is value


@pytest.mark.parametrize(
    ("secret", "number"),
    [
        ("12345678", 12345678),
        ("12345678", -9123456789),
        ("12345678", Decimal("1.2345678E+7")),
        ("12345678", Decimal("1234.5678")),
        ("1234.5678", Decimal("1234.5678")),
        ("0012345678", 12345678),
        ("12345600", Decimal("1.23456E+7")),
    ],
)
def test_a_number_whose_digits_contain_a_secret_is_hidden_as_a_whole(secret, number):
    assert Mask.of([secret]).value({"n": [number]}) == {"n": ["***"]}


def test_other_numbers_stay():
    value = [1234567, 12345679, True, Decimal("0.5")]
    assert Mask.of(["12345678", "0000000001"]).value(value) is value
    assert Mask.of(["abcdefgh"]).value([12345678]) == [12345678]


def test_lone_surrogates_in_a_text_are_no_error():
    assert Mask.of([PLAIN]).text(f"\ud800{PLAIN}\udfff") == "\ud800***\udfff"


def test_an_empty_mask_hides_nothing():
    assert Mask.of([]).is_empty
    assert Mask.of([""]).is_empty
    assert not Mask.of([PLAIN]).is_empty
    assert Mask.of([]).text(PLAIN) == PLAIN


def test_a_mask_says_none_of_its_values():
    mask = Mask.of([PLAIN])
    assert PLAIN not in f"{mask!r} {mask!s}"
    assert mask == Mask.of([PLAIN, PLAIN])


def test_a_text_of_a_secret_alone_that_resembles_itself_takes_no_quadratic_time():
    assert Mask.of(["a" * 512]).text("a" * (1 << 20)) == "***"
