"""Failures that a tool raises on purpose."""

import math
from decimal import Decimal

import pytest

from workflows_app.tools import Permanent, Retryable


@pytest.mark.parametrize(("given", "kept"), [(None, None), (0, 0.0), (1.5, 1.5), (Decimal("0.25"), 0.25)])
def test_a_retryable_failure_may_say_how_long_to_wait(given, kept):
    failure = Retryable("The server is busy.", retry_after=given)
    assert (str(failure), failure.retry_after, failure.retryable) == ("The server is busy.", kept, True)


@pytest.mark.parametrize("given", [-1, math.inf, math.nan])
def test_a_wait_that_is_none_is_refused_where_it_is_made(given):
    with pytest.raises(ValueError, match="give the seconds to wait, 0 or more, or leave it out"):
        Retryable("The server is busy.", retry_after=given)


def test_a_permanent_failure_is_not_retryable():
    assert Permanent("The order was refused.").retryable is False
