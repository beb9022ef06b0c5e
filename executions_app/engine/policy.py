"""Whether a failed attempt is followed by another one, and when. A decision is a value."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal

from executions_app.engine.errors import ErrorInfo
from workflows_app.dag.plan import RetryPolicy
from workflows_app.dag.types import Jitter

# A server may ask to wait, but not for ever.
LONGEST_RETRY_AFTER = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Wait `delay` seconds, then try again."""

    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The failure is final; `why` is a sentence that follows "No more retries"."""

    why: str


def decide(policy: RetryPolicy, error: ErrorInfo, retries: int, random: Callable[[], float]) -> Retry | GiveUp:
    """Decide after a failed attempt that `retries` retries came before.

    Where the failed side asked to wait (`retry_after`), the wait is no shorter than that, also past `max_delay`, up
    to a day. Jitter is drawn from `random`, uniform in [0, 1).
    """
    if not error.retryable:
        return GiveUp(why=f"{error.type} is never retried.")
    if retries >= policy.max_retries:
        return GiveUp(why=f"{retries} of {policy.max_retries} used.")
    names = set(error.bases)
    if names.intersection(policy.never_retry_on):
        return GiveUp(why=f"{error.type} is in never_retry_on.")
    if policy.retry_on and not names.intersection(policy.retry_on):
        return GiveUp(why=f"{error.type} is not in retry_on.")
    wait = jittered(policy.jitter, backoff(policy, retries), random)
    return Retry(delay=max(wait, min(error.retry_after, LONGEST_RETRY_AFTER)))


def backoff(policy: RetryPolicy, retries: int) -> float:
    """`min(max_delay, delay * multiplier ** retries)` in seconds, safe for any exponent."""
    ceiling = Decimal(policy.max_delay)
    # Nothing traps: an overflow is infinite, which the ceiling cuts; only 0 times infinity is no number.
    unbounded = Context(prec=28, Emax=999_999, Emin=-999_999, traps=[])
    growth = unbounded.power(Decimal(policy.multiplier), retries)
    wait = unbounded.multiply(Decimal(policy.delay), growth)
    return float(min(ceiling, wait)) if not wait.is_nan() else 0.0


def jittered(jitter: Jitter, delay: float, random: Callable[[], float]) -> float:
    match jitter:
        case Jitter.NONE:
            return delay
        case Jitter.FULL:
            return delay * random()
        case _:
            # Jitter.EQUAL: half of it at least.
            return delay / 2 + delay / 2 * random()
