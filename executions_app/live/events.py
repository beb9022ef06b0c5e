"""The journal's entries as they leave the record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from executions_app.engine.journal import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A journal entry that is durable, with its number in the execution."""

    seq: int
    at: datetime
    entry: Entry


# Hears the entries of one execution, in order, after their commit.
type Observer = Callable[[Sequence[Committed]], None]
