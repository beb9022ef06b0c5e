"""What a dispatcher is: it brings word of accepted runs to the workers, and that is all it does.

The record says which runs there are, which is next, and who has it; a job of a dispatcher is a permit to take up one
run of a queue, not a particular one. So it may be lost, come twice or out of order: a permit too many finds nothing to
do, and for one too few workers look themselves. Nothing of a run depends on it but how soon it begins.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple, Protocol

# What the one task is called in a queue that has names for them.
TASK = "pastetrader.permit"


class Job(NamedTuple):
    """Word of an accepted run. `due_at` is None where it may begin at once."""

    execution_id: uuid.UUID
    queue: str
    priority: int
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a dispatcher can do; what it cannot, is done without it."""

    # What is sent in a transaction is sent with its commit, or not at all. Without: it is sent after the commit.
    transactional: bool
    # It delivers a job when it is due. Without: nothing is sent of a run that is due later, and workers find it.
    run_at: bool
    # Of the jobs of a queue it delivers those of a higher priority first. Without: the record's order decides alone.
    priority: bool


class Dispatcher(Protocol):
    """One way of telling workers. A class with this shape is all that a further one needs: see docs/dispatchers.md."""

    capabilities: ClassVar[Capabilities]

    def send(self, job: Job) -> None:
        """Tell the workers of the job's queue. Raises whatever keeps it from doing so."""
        ...

    async def serve(self, concurrency: int, queues: Sequence[str]) -> None:
        """Work, in the running event loop, until SIGTERM or Ctrl-C; then hand back what is under way.

        So many runs at a time, of these queues, or of all.
        """
        ...
