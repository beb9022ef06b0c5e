"""What a fleet and its database have used until now, from /proc and from the database's own counts."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")
TABLES = ("workflowexecution", "nodeexecution", "nodeattempt", "executionlog")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Counts that only grow; the difference of two is what was used in between."""

    at: float
    # Seconds of processor time.
    workers: float
    postgresql: float
    # Of the whole machine, whoever used them.
    busy: float
    # Transactions that changed something, and what they wrote to the log, in bytes.
    commits: int
    wal_bytes: int

    def __sub__(self, earlier: "Usage") -> "Usage":
        return Usage(
            at=self.at - earlier.at,
            workers=self.workers - earlier.workers,
            postgresql=self.postgresql - earlier.postgresql,
            busy=self.busy - earlier.busy,
            commits=self.commits - earlier.commits,
            wal_bytes=self.wal_bytes - earlier.wal_bytes,
        )


class Meter:
    """Looks at these processes and at the server whose postmaster this is."""

    def __init__(self, connection: psycopg.Connection, postmaster: int) -> None:
        self._connection = connection
        self._postmaster = postmaster

    def read(self, workers: Sequence[int]) -> Usage:
        row = self._connection.execute(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_current_wal_insert_lsn() - '0/0'"
        ).fetchone()
        assert row is not None
        return Usage(
            at=time.monotonic(),
            workers=sum(cpu_of(pid) for pid in workers),
            postgresql=cpu_of(self._postmaster, dead_children=True)
            + sum(cpu_of(pid) for pid in _children(self._postmaster)),
            busy=_busy(),
            commits=row[0],
            wal_bytes=int(row[1]),
        )


def cpu_of(pid: int, *, dead_children: bool = False) -> float:
    """Seconds of processor time of a process, 0 where it is gone; with those of its children that it has seen end."""
    try:
        # Its name, in brackets, may have blanks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11 : 15 if dead_children else 13])) / TICKS


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _busy() -> float:
    user, nice, system, _idle, _wait, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / TICKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Bytes on the disk with indexes, and rows, by table."""

    size: dict[str, int]
    rows: dict[str, int]


def stored(connection: psycopg.Connection) -> Stored:
    size: dict[str, int] = {}
    rows: dict[str, int] = {}
    for table in TABLES:
        found = connection.execute(
            f"SELECT pg_total_relation_size('executions_app_{table}'), count(*) FROM executions_app_{table}"
        ).fetchone()
        assert found is not None
        size[table], rows[table] = found
    return Stored(size=size, rows=rows)
