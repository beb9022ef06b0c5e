"""The bucket of a tool in memory: what the database's statement must do, under any clock."""

import asyncio
from dataclasses import dataclass, field

from executions_app.models.rate import Grant


@dataclass
class Bucket:
    """`questions` are the wishes of all who asked, `granted` when how many calls were given."""

    tokens: float = float("inf")
    at: float = 0.0
    crowd: float = 1.0
    questions: list[int] = field(default_factory=list)
    granted: list[tuple[float, int]] = field(default_factory=list)
    latency: float = 0.001
    broken: Exception | None = None

    def take(self, rate, wanted, now):
        level = min(rate.capacity, self.tokens + max(0.0, now - self.at) * rate.per_second)
        given = min(wanted, int(level))
        if given == 0:
            self.crowd = min(64, self.crowd * 1.25)
        elif given > 0:
            self.crowd = 1 if level >= rate.capacity else max(1, self.crowd * 0.8)
        self.tokens, self.at = level - given, now
        return Grant(given, self.tokens, self.crowd)

    async def asked(self, _tool, rate, wanted):
        """As a pacer asks, in the loop's time."""
        await asyncio.sleep(self.latency)
        self.questions.append(wanted)
        if self.broken is not None:
            raise self.broken
        grant = self.take(rate, wanted, asyncio.get_running_loop().time())
        self.granted.append((asyncio.get_running_loop().time(), grant.granted))
        await asyncio.sleep(self.latency)
        return grant


def surplus(times, rate):
    """By how many calls at most any stretch of time has more than its rate and its burst; not more than 0 is well."""
    # With f(i) = i - rate * time(i), the calls i..j are too many where f(j) - f(i) + 1 is more than the capacity.
    worst, least = float("-inf"), float("inf")
    for number, at in enumerate(sorted(times)):
        value = number - rate.per_second * at
        least = min(least, value)
        worst = max(worst, value - least + 1)
    return worst - rate.capacity
