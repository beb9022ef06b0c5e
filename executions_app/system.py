"""The engine, the database and the channel layer of this process, and who has which runs: for whoever runs the site.

Without names of hosts, paths or passwords of what they connect to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import connection
from django.db.models import Count, Max, Min, Prefetch

from executions_app.conf import execution_settings
from executions_app.dispatch.identity import engine_name, is_known_dead
from executions_app.dispatch.inline import Vitality, vitality
from executions_app.engine.states import ExecutionStatus
from executions_app.live.layer import layer_answers
from executions_app.models import WorkflowExecution, querysets
from executions_app.services.health import Backlog, Work, backlog, what_fails, without_engine, work_under_way
from executions_app.services.soundness import CHECKS, Violation, violations
from workflows_app.models import WorkflowVersion

if TYPE_CHECKING:
    from workflows_app.models.access import Account

# So many stuck runs, and so many violations, are listed.
LISTED = 100
# What a request may look through: a second for each few hundred. More is for `engine_fsck`.
MOST_CHECKED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    vitality: Vitality
    # None where there is no engine, which would have to lock a file to have a name.
    name: str | None
    concurrency: int
    tool_threads: int
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """`size` is in bytes; `problem` is a sentence where something is wrong."""

    name: str
    version: str
    size: int | None
    answered_ms: float
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerState:
    name: str
    # Whether other processes hear what happens in this one.
    is_shared: bool
    answers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What one engine has; without an owner: what was handed back."""

    owner: str
    runs: int
    first_until: datetime | None
    last_until: datetime | None
    # Certainly gone, as far as this host can tell.
    is_dead: bool
    # One of its leases has run out.
    is_over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    engine: EngineState
    database: DatabaseState
    layer: LayerState
    backlog: Backlog
    leases: Sequence[Lease]
    # Those that the user may see.
    stuck: Sequence[WorkflowExecution]
    can_check: bool
    now: datetime


def system_for(user: Account) -> System:
    return System(
        engine=_engine(),
        database=_database(),
        layer=_layer(),
        backlog=backlog(),
        leases=_leases(),
        stuck=_stuck(user),
        can_check=_can_check(),
        now=querysets.now(),
    )


def _can_check() -> bool:
    # In an order that an index has: nothing is counted beyond the limit.
    ids = WorkflowExecution.objects.order_by("-created_at", "-id").values_list("pk", flat=True)
    return not list(ids[MOST_CHECKED : MOST_CHECKED + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """What `engine_fsck` says: how often each check failed, and the first few findings that a user may see."""

    counts: Mapping[str, int]
    found: Sequence[Violation]
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def check_records(user: Account) -> Soundness:
    """Look through all records; changes nothing."""
    began = time.perf_counter()
    everything = list(violations())
    counts = {code: sum(one.code == code for one in everything) for code in CHECKS}
    ids = {one.execution_id for one in everything}
    seen = set(WorkflowExecution.objects.visible_to(user).filter(pk__in=ids).values_list("pk", flat=True))
    found = [one for one in everything if one.execution_id in seen][:LISTED]
    return Soundness(counts=counts, found=found, seconds=time.perf_counter() - began)


def _engine() -> EngineState:
    chosen, state = execution_settings(), vitality()
    return EngineState(
        vitality=state,
        name=None if state is Vitality.ABSENT else engine_name(),
        concurrency=chosen.concurrency,
        tool_threads=chosen.tool_threads,
        work=work_under_way(),
    )


def _database() -> DatabaseState:
    began = time.perf_counter()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        elif connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
        else:
            cursor.execute("SELECT NULL")
        (size,) = cursor.fetchone()
    answered_ms = (time.perf_counter() - began) * 1000
    version: Any = connection.get_database_version()
    return DatabaseState(
        name=connection.display_name,
        version=".".join(str(part) for part in version),
        size=size,
        answered_ms=answered_ms,
        problem=what_fails().get("database"),
    )


def _layer() -> LayerState:
    # The path of a class; where it connects to stands elsewhere.
    path = str(settings.CHANNEL_LAYERS.get("default", {}).get("BACKEND", ""))
    return LayerState(
        name=path.rpartition(".")[2],
        is_shared=bool(path) and "InMemory" not in path,
        answers=async_to_sync(layer_answers)(),
    )


def _leases() -> Sequence[Lease]:
    running = WorkflowExecution.objects.filter(status=ExecutionStatus.RUNNING).order_by()
    rows = running.values_list("claimed_by").annotate(Count("pk"), Min("lease_until"), Max("lease_until"))
    now = querysets.now()
    return [
        Lease(
            owner=owner,
            runs=runs,
            first_until=first,
            last_until=last,
            is_dead=bool(owner) and is_known_dead(owner),
            is_over=first is None or first < now,
        )
        for owner, runs, first, last in sorted(rows)
    ]


def _stuck(user: Account) -> Sequence[WorkflowExecution]:
    running = WorkflowExecution.objects.visible_to(user, one_by_one=True).filter(status=ExecutionStatus.RUNNING)
    late = running.filter(without_engine())
    versions = Prefetch("version", queryset=WorkflowVersion.objects.defer("plan"))
    return list(late.defer("input", "output").prefetch_related(versions).order_by("-created_at", "-id")[:LISTED])
