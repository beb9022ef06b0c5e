"""The settings of this app: the `PASTETRADER` dict, read when needed and typed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings

from executions_app.engine.ports import Limits
from workflows_app.agents.calls import Caps, limit_in_billionths
from workflows_app.tools.http.addresses import AllowedHost
from workflows_app.tools.http.limits import HttpLimits
from workflows_app.tools.process_limits import ChildSetup, Processes, ProcessLimits
from workflows_app.tools.threads import DEFAULT_LIMIT

INLINE = "inline"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSettings:
    limits: Limits
    # How many threads of this process may run synchronous tools.
    tool_threads: int
    # A run whose engine says nothing for so long may be taken by another one; how often an engine says something;
    # and how often it looks for runs whose engine is gone.
    lease_seconds: float
    heartbeat_seconds: float
    scan_seconds: float
    # What tools with a process of their own may use, and what is done there before they are loaded.
    processes: Processes
    # The programs that `shell.run` may run: absolute paths by their names.
    shell_programs: Mapping[str, str]
    # What HTTP calls of nodes may use and reach.
    http: HttpLimits
    # So many executions run at a time in a process that serves the site, or in a worker that is not told otherwise;
    # and whether a process that serves the site runs any.
    concurrency: int
    engine_in_asgi: bool
    # What tells workers of accepted runs: see `dispatch.base`.
    dispatch: str
    # Where Celery dispatches: the address of its broker, and the path of an application that there is already.
    celery_broker: str
    celery_app: str
    # The queues that this process serves; empty: all.
    queues: tuple[str, ...]
    # So many executions that one user started may wait.
    pending_executions: int
    # What opens `/metrics`; empty: it is open.
    metrics_token: str
    # How often a process looks whether somebody else asked for the end of one of its runs.
    cancel_poll_seconds: float
    # So many WebSockets one user may have open in a process.
    sockets_per_user: int


def execution_settings() -> ExecutionSettings:
    """The numbers that `checks.POSITIVE_NUMBERS` lists, or their defaults."""
    configured = getattr(settings, "PASTETRADER", {})
    default = Limits()
    return ExecutionSettings(
        limits=Limits(
            grace=float(configured.get("CANCEL_GRACE_SECONDS", default.grace)),
            output_bytes=int(configured.get("MAX_OUTPUT_BYTES", default.output_bytes)),
            execution_bytes=int(configured.get("MAX_EXECUTION_BYTES", default.execution_bytes)),
            agent_budget=_budget(configured.get("AGENT_BUDGET") or {}),
        ),
        processes=Processes(
            limits=ProcessLimits(
                memory_bytes=int(configured.get("PROCESS_MEMORY_BYTES", ProcessLimits().memory_bytes)),
                cpu_seconds=configured.get("PROCESS_CPU_SECONDS"),
                output_bytes=int(configured.get("MAX_OUTPUT_BYTES", default.output_bytes)),
            ),
            setup=ChildSetup(
                function=configured.get("PROCESS_SETUP"),
                keep_environment=tuple(configured.get("PROCESS_ENVIRONMENT", ())),
            ),
        ),
        shell_programs={str(name): str(path) for name, path in dict(configured.get("SHELL_PROGRAMS") or {}).items()},
        http=_http_limits(configured),
        tool_threads=int(configured.get("TOOL_THREADS", DEFAULT_LIMIT)),
        lease_seconds=float(configured.get("LEASE_SECONDS", 30.0)),
        heartbeat_seconds=float(configured.get("HEARTBEAT_SECONDS", 8.0)),
        scan_seconds=float(configured.get("SCAN_SECONDS", 5.0)),
        concurrency=int(configured.get("CONCURRENCY", 32)),
        # Where an engine of its own dispatches, the processes that serve the site are not meant to run anything.
        engine_in_asgi=bool(configured.get("ENGINE_IN_ASGI", _dispatch(configured) == INLINE)),
        dispatch=_dispatch(configured),
        celery_broker=str(
            configured.get("CELERY_BROKER") or os.environ.get("CELERY_BROKER_URL") or os.environ.get("REDIS_URL") or ""
        ),
        celery_app=str(configured.get("CELERY_APP") or ""),
        queues=tuple(configured.get("QUEUES") or ()),
        metrics_token=str(configured.get("METRICS_TOKEN", "")),
        pending_executions=int(configured.get("MAX_PENDING_EXECUTIONS", 1000)),
        cancel_poll_seconds=float(configured.get("CANCEL_POLL_SECONDS", 1.0)),
        sockets_per_user=int(configured.get("SOCKETS_PER_USER", 100)),
    )


def _dispatch(configured: Mapping[str, Any]) -> str:
    return str(configured.get("DISPATCH") or INLINE)


def _budget(configured: Mapping[str, Any]) -> Caps:
    cost = configured.get("max_cost")
    return Caps(
        max_requests=configured.get("max_requests"),
        max_tokens=configured.get("max_tokens"),
        max_cost=None if cost is None else limit_in_billionths(Decimal(cost)),
    )


def _http_limits(configured: Mapping[str, Any]) -> HttpLimits:
    default = HttpLimits()
    return HttpLimits(
        allowed=tuple(AllowedHost.parse(text) for text in configured.get("HTTP_ALLOWED_HOSTS", ())),
        total_seconds=float(configured.get("HTTP_TIMEOUT_SECONDS", default.total_seconds)),
        connect_seconds=float(configured.get("HTTP_CONNECT_SECONDS", default.connect_seconds)),
        response_bytes=int(configured.get("HTTP_RESPONSE_BYTES", default.response_bytes)),
        header_bytes=int(configured.get("HTTP_HEADER_BYTES", default.header_bytes)),
        header_count=int(configured.get("HTTP_HEADERS", default.header_count)),
        json_depth=int(configured.get("HTTP_JSON_DEPTH", default.json_depth)),
        connections=int(configured.get("HTTP_CONNECTIONS", default.connections)),
        ca_file=configured.get("HTTP_CA_FILE"),
    )
