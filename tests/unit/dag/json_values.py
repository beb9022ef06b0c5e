"""Random canonical JSON values: what the codec may hold, and all of it."""

from decimal import Decimal

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.one_of(
    st.integers(-(2**256) + 1, 2**256 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**40), max_value=10**40),
    st.builds(
        lambda digits, exponent: Decimal(digits).scaleb(exponent),
        st.integers(-(10**60), 10**60),
        st.integers(-240, 240),
    ),
)
# Written without fraction and exponent, a Decimal is an integer: that is not canonical.
NUMBERS = NUMBERS.filter(lambda number: not isinstance(number, Decimal) or bool(number.as_tuple().exponent))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=15
)


def same(one, other):
    """Equal, with the same types and the same digits, and keys in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, Decimal):
        return one.as_tuple() == other.as_tuple()
    return one == other
