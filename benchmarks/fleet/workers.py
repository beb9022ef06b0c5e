"""Worker processes, and the runs that they find."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.fleet.usage import TABLES
from benchmarks.product import ROOT
from benchmarks.workloads import workload

PATIENCE_SECONDS = 60.0
# Runs at a time in each worker: the default of the product.
CONCURRENCY = 32
EXECUTIONS = "executions_app_workflowexecution"


@contextmanager
def working(count: int, *, dispatch: str, concurrency: int = CONCURRENCY) -> Iterator[Sequence[int]]:
    """So many workers; their process ids."""
    command = [sys.executable, "manage.py", "run_worker", "--concurrency", str(concurrency)]
    environment = os.environ | {"DISPATCH": dispatch}
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _ = process.wait(PATIENCE_SECONDS)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A workflow, and a run of it as it is after its acceptance, of which there are copies at once."""

    name: str
    workflow: Any
    nodes: int

    def accept(self, connection: psycopg.Connection, count: int, tables: Sequence[str] = TABLES) -> None:
        """Accept so many runs at once, and tell nobody: what acceptance takes is measured apart."""
        with connection.transaction():
            _ = connection.execute("CREATE TEMP TABLE made ON COMMIT DROP AS SELECT uuidv7() AS new_id "
                                   f"FROM generate_series(1, {count})")  # fmt: skip
            for table in tables:
                key = "id" if table == "workflowexecution" else "execution_id"
                others = ", ".join(
                    f'"{name}"' for name in _columns(connection, table) if name not in ("id", "execution_id")
                )
                _ = connection.execute(
                    f"INSERT INTO executions_app_{table} ({key}, {others}) "
                    f"SELECT new_id, {others} FROM {_kept(self.name, table)}, made ORDER BY new_id"
                )
        _ = connection.execute(f"ANALYZE {', '.join(f'executions_app_{table}' for table in tables)}")


def prepare(connection: psycopg.Connection, name: str) -> Prepared:
    """Import a workload's document, accept one run and keep it apart."""
    from django.contrib.auth import get_user_model

    from executions_app.services.start import StartRequest, start
    from workflows_app.services import documents

    work = workload(name)
    users: Any = get_user_model()
    user = users.objects.get(username="bench")
    source = documents.Source(document=work.document(), line_of=lambda _path: None)
    workflow, _ = documents.save(source, user)
    # Nobody takes it until this process is gone or its lease is over, whose time is not kept.
    execution = start(StartRequest(target=workflow, input={}, user=user, reserved=True)).execution
    for table in TABLES:
        key = "id" if table == "workflowexecution" else "execution_id"
        _ = connection.execute(
            f"CREATE TABLE {_kept(name, table)} AS SELECT * FROM executions_app_{table} WHERE {key} = '{execution.id}'"
        )
    _ = connection.execute(
        f"UPDATE {_kept(name, 'workflowexecution')} SET claimed_by = 'nobody', lease_until = now() + interval '1 day'"
    )
    clear(connection)
    return Prepared(name, workflow, len(work.nodes))


def open_gate() -> float:
    """Let the workers have what was accepted, and tell them as the dispatcher does: the time of the commit."""
    from django.db import connection, transaction

    from executions_app.dispatch.base import Job
    from executions_app.dispatch.chosen import send

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {EXECUTIONS} SET claimed_by = '', lease_until = NULL RETURNING id")
            ids = sorted(id_ for (id_,) in cursor.fetchall())
        for id_ in ids:
            send(Job(execution_id=id_, queue="default", priority=0))
        return time.time()


def wait_for_end(connection: psycopg.Connection, count: int) -> None:
    """Return when so many have ended well."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        open_runs = connection.execute(
            f"SELECT 1 FROM {EXECUTIONS} WHERE status = 'running' UNION ALL "
            f"SELECT 1 FROM {EXECUTIONS} WHERE status = 'pending' LIMIT 1"
        ).fetchone()
        if open_runs is None:
            break
        time.sleep(0.05)
    found = connection.execute(f"SELECT status, count(*) FROM {EXECUTIONS} GROUP BY status").fetchall()
    if found != [("completed", count)]:
        raise RuntimeError(f"Of {count} executions there are {found}.")


def clear(connection: psycopg.Connection) -> None:
    _ = connection.execute(f"TRUNCATE {', '.join(f'executions_app_{table}' for table in TABLES)}")


def _kept(name: str, table: str) -> str:
    return f"bench_{name.lower()}_{table}"


def _columns(connection: psycopg.Connection, table: str) -> list[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position"
    return [name for (name,) in connection.execute(query, (f"executions_app_{table}",))]
