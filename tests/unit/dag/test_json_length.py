"""Refusing a huge value before its text is made."""

from hypothesis import given
from hypothesis import strategies as st

from workflows_app.dag import jsontext

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner) | st.tuples(inner, inner),
)


@given(VALUES, st.integers(0, 60))
def test_what_is_called_longer_is_longer(value, limit):
    if jsontext.is_longer(value, limit):
        assert len(jsontext.dumps(value)) > limit


def test_a_value_far_over_the_limit_is_noticed_wherever_its_length_is():
    huge = "x" * 2000
    for value in (huge, [huge], {"a": {"b": (huge,)}}, [None] * 1000, {str(n): n for n in range(300)}):
        assert jsontext.is_longer(value, 1000)
        assert not jsontext.is_longer(value, 10_000)


def test_a_list_of_a_billion_items_is_not_walked():
    class Endless(list):
        def __len__(self):
            return 10**9

        def __iter__(self):
            raise AssertionError("walked")

    assert jsontext.is_longer({"items": Endless()}, 16 * 1024 * 1024)


def test_a_value_that_contains_itself_is_given_up_at_once():
    itself = []
    itself.append(itself)
    assert not jsontext.is_longer(itself, 16 * 1024 * 1024)
