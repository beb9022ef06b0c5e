"""Is this process fit for work, and how much of it waits: what probes and metrics ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min, Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions_app.conf import execution_settings
from executions_app.dispatch.inline import Vitality, vitality
from executions_app.dispatch.running import under_way
from executions_app.models import NodeJob, WorkflowExecution, querysets
from executions_app.models.job import JobState
from workflows_app.tools import threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is open in the database. `oldest` is since when the first of those that wait is due, or will be."""

    pending: int
    # Those of them that may start.
    due: int
    running: int
    # Running, and without an engine for longer than another one needs to find them.
    stuck: int
    oldest: datetime | None
    # Nodes that wait for a worker of their queue, and since when the first of them does.
    jobs: int
    oldest_job: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What this process does now."""

    executions: int
    tool_threads: int
    # Those of them whose node has ended without them.
    abandoned_threads: int


def work_under_way() -> Work:
    return Work(executions=under_way(), tool_threads=threads.pool.threads, abandoned_threads=threads.pool.overdue)


def without_engine() -> Q:
    """Of running executions: those that no engine has had for longer than another one needs to find them."""
    patience = timedelta(seconds=2 * execution_settings().scan_seconds)
    return Q(lease_until__isnull=True) | Q(lease_until__lt=querysets.now() - patience)


def backlog() -> Backlog:
    late = without_engine()
    # One status at a time: each has an index of its own.
    executions = WorkflowExecution.objects.order_by()
    pending = executions.filter(status="pending").aggregate(
        number=Count("*"), due=Count("pk", Q(due_at__lte=Now())), oldest=Min("due_at")
    )
    running = executions.filter(status="running").aggregate(number=Count("*"), late=Count("pk", late))
    jobs = NodeJob.objects.filter(state=JobState.WAITING).aggregate(number=Count("*"), oldest=Min("posted_at"))
    return Backlog(
        pending=pending["number"],
        due=pending["due"],
        oldest=pending["oldest"],
        running=running["number"],
        stuck=running["late"],
        jobs=jobs["number"],
        oldest_job=jobs["oldest"],
    )


def engine_is_dead() -> bool:
    return vitality() is Vitality.DEAD


_SCHEMA_IS_READY: set[str] = set()


def what_fails() -> Mapping[str, str]:
    """What keeps this process from working, by part; without names or addresses, for anybody may read it."""
    failures: dict[str, str] = {}
    try:
        problem = _schema_problem()
    except (DatabaseError, InterfaceError):
        problem = _("It does not answer.")
    if problem is not None:
        failures["database"] = problem
    if engine_is_dead():
        failures["engine"] = _("Its thread has ended: start the process again.")
    return failures


def _schema_problem() -> str | None:
    """Migrations are looked at until all were applied once; after that a question is enough."""
    connection = connections[DEFAULT_DB_ALIAS]
    if DEFAULT_DB_ALIAS in _SCHEMA_IS_READY:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return None
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return _("Migrations are not applied: run `manage.py migrate`.")
    _SCHEMA_IS_READY.add(DEFAULT_DB_ALIAS)
    return None
