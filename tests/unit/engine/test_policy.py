"""Whether there is another attempt, and when."""

from decimal import Decimal

import pytest

from executions_app.engine.errors import ErrorInfo
from executions_app.engine.policy import LONGEST_RETRY_AFTER, GiveUp, Retry, decide
from workflows_app.dag.plan import RetryPolicy
from workflows_app.dag.types import Jitter


def error(name="Broken", *bases, **fields):
    return ErrorInfo(code="node_error", message="it broke", type=name, node="a", bases=(name, *bases), **fields)


def waits(policy, count, chance=0.5, of=None):
    return [decide(policy, of or error(), retries, lambda: chance).delay for retries in range(count)]


def test_waits_grow_by_the_multiplier_up_to_max_delay():
    assert waits(RetryPolicy(max_retries=8), 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits(RetryPolicy(max_retries=3, delay=Decimal("0.5"), multiplier=1), 3) == [0.5, 0.5, 0.5]
    assert waits(RetryPolicy(max_retries=4, delay=8, multiplier=Decimal("0.5")), 4) == [8, 4, 2, 1]
    assert waits(RetryPolicy(max_retries=2, delay=0), 2) == [0, 0]


@pytest.mark.parametrize("multiplier", [Decimal("1e300"), 10**70])
def test_no_exponent_is_too_large(multiplier):
    policy = RetryPolicy(max_retries=10**9, multiplier=multiplier)
    assert decide(policy, error(), 10**9 - 1, lambda: 0) == Retry(delay=60)
    assert decide(RetryPolicy(max_retries=10**9, delay=0, multiplier=multiplier), error(), 10**8, lambda: 0) == Retry(
        delay=0
    )


@pytest.mark.parametrize(
    ("jitter", "chance", "expected"),
    [
        (Jitter.NONE, 0.25, [4, 8]),
        (Jitter.FULL, 0.25, [1, 2]),
        (Jitter.FULL, 0.0, [0, 0]),
        (Jitter.EQUAL, 0.25, [2.5, 5]),
        (Jitter.EQUAL, 0.0, [2, 4]),
    ],
)
def test_jitter_takes_its_share_by_chance(jitter, chance, expected):
    assert waits(RetryPolicy(max_retries=2, delay=4, jitter=jitter), 2, chance) == expected


def test_the_other_sides_wish_is_the_least_wait_even_past_max_delay():
    policy = RetryPolicy(max_retries=9, delay=4, max_delay=10)
    assert waits(policy, 3, of=error(retry_after=6.0)) == [6, 8, 10]
    assert waits(policy, 1, of=error(retry_after=90.0)) == [90]
    assert waits(policy, 1, of=error(retry_after=1e300)) == [LONGEST_RETRY_AFTER]
    assert waits(RetryPolicy(max_retries=1, delay=100, jitter=Jitter.FULL), 1, of=error(retry_after=70.0)) == [70]


@pytest.mark.parametrize(
    ("policy", "failed", "retries", "why"),
    [
        (RetryPolicy(), error(), 0, "0 of 0 used."),
        (RetryPolicy(max_retries=2), error(), 2, "2 of 2 used."),
        (RetryPolicy(max_retries=2), error(retryable=False), 0, "Broken is never retried."),
        (RetryPolicy(max_retries=2, never_retry_on=("OSError",)), error("A", "OSError"), 0, "A is in never_retry_on."),
        (RetryPolicy(max_retries=2, retry_on=("OSError",)), error("A"), 0, "A is not in retry_on."),
        (
            RetryPolicy(max_retries=2, retry_on=("A",), never_retry_on=("A",)), error("A"), 0,
            "A is in never_retry_on.",
        ),
    ],
)  # fmt: skip
def test_the_reason_why_retrying_stopped_is_a_sentence(policy, failed, retries, why):
    assert decide(policy, failed, retries, lambda: 0) == GiveUp(why=why)


def test_a_base_is_as_good_as_the_class():
    policy = RetryPolicy(max_retries=1, retry_on=("OSError",))
    assert isinstance(decide(policy, error("ConnectionError", "OSError"), 0, lambda: 0), Retry)
